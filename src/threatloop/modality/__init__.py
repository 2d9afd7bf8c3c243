"""What records of one kind can do: bounds, encode, perturb, distance, triggers."""

from __future__ import annotations

from typing import Any

from threatloop.core.schema import Schema
from threatloop.modality.base import Modality
from threatloop.modality.image import Image
from threatloop.modality.tabular import Tabular
from threatloop.modality.text import Text

MODALITIES: dict[str, Modality[Any]] = {m.kind: m for m in (Image(), Tabular(), Text())}


def of(schema: Schema) -> Modality[Any]:
    """The modality of records with this schema."""
    return MODALITIES[schema.kind]
