"""Schemas: what the records of a Dataset are. A tagged union by modality; behaviour per modality is in `modality/`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    """Class names; labels are indices into it."""


class ImageSchema(_Schema):
    """Images, stored as uint8 0-255 or float32 in [0, 1], in NCHW order."""

    kind: Literal["image"] = "image"
    channels: int = Field(ge=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class Column(BaseModel):
    """One column of a table.

    A categorical cell holds the index of its category; an unseen category is index ``len(categories)``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["numeric", "integer", "categorical"] = "numeric"
    categories: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


class TabularSchema(_Schema):
    """Rows of a table, stored as float32 of shape (n, columns)."""

    kind: Literal["tabular"] = "tabular"
    columns: tuple[Column, ...]


class TextSchema(_Schema):
    """Documents and conversations, stored as uint8 of shape (n, width): UTF-8, padded with zeros on the right.

    `modality.conversation` writes and reads them. Tokens are the model's business, since two models cut one text in two
    ways.
    """

    kind: Literal["text"] = "text"
    width: int = Field(ge=2)
    classes: tuple[str, ...] = ("text",)


Schema = Annotated[ImageSchema | TabularSchema | TextSchema, Field(discriminator="kind")]
