"""The two assets: Dataset and Model. Both are frozen values with a content digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from threatloop.core.digests import digest_array, digest_arrays, digest_json
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema

SCHEMA: TypeAdapter[Schema] = TypeAdapter(Schema)


@dataclass(frozen=True)
class Dataset:
    """Frozen records with their schema.

    Attributes:
        x: records, first axis n; dtype and shape as the schema says. May be a read-only memory map.
        y: labels, int64 of shape (n,), indices into ``schema.classes``.
        schema: what a record is.
        ids: int64 of shape (n,): the record's number in the data as it was read; -1 for records that an attack made.
            Used by the engine to tell members, touched records and overlaps; attacks do not need it.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    schema: Schema
    ids: npt.NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.ids):
            raise InputError(
                f"data set: {len(self.x)} records, {len(self.y)} labels and {len(self.ids)} ids; need equal"
            )

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def digest(self) -> str:
        """Content digest over records, labels, ids and schema."""
        arrays = [digest_array(np.asarray(a)) for a in (self.x, self.y, self.ids)]
        return digest_json([arrays, self.schema.model_dump(mode="json")])

    @property
    def n_classes(self) -> int:
        return len(self.schema.classes)

    def take(self, rows: npt.NDArray[Any] | Sequence[int] | slice) -> Dataset:
        """The records at these positions (or where a boolean mask is true), in that order."""
        return replace(self, x=self.x[rows], y=self.y[rows], ids=self.ids[rows])

    def with_x(self, x: npt.NDArray[Any]) -> Dataset:
        """The same labels and ids with other records."""
        return replace(self, x=x)

    def with_y(self, y: npt.NDArray[Any]) -> Dataset:
        """The same records with other labels."""
        return replace(self, y=y.astype(np.int64))


def concatenate(parts: Sequence[Dataset]) -> Dataset:
    """One Dataset of all the parts' records, in order. All parts share one schema.

    Raises:
        InputError: no parts, or parts with different schemas.
    """
    if not parts:
        raise InputError("cannot join zero data sets")
    if any(part.schema != parts[0].schema for part in parts):
        raise InputError("cannot join data sets with different schemas")
    dtype = parts[0].x.dtype if len({p.x.dtype for p in parts}) == 1 else np.dtype(np.float32)
    xs = [_as_dtype(part.x, dtype) for part in parts]
    return Dataset(
        np.concatenate(xs),
        np.concatenate([part.y for part in parts]),
        parts[0].schema,
        np.concatenate([part.ids for part in parts]),
    )


def _as_dtype(x: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if x.dtype == np.uint8 and dtype != np.uint8:
        return x.astype(np.float32) / 255.0
    return x.astype(dtype, copy=False)


class Architecture(BaseModel):
    """How to build a network: a name, its parameters, and what happens at its two ends.

    Attributes:
        name: ``mlp``, ``cnn``, ``resnet18``, ``gpt``, or the user's ``module:function`` that returns a torch module.
        parameters: keyword arguments of the architecture, such as ``hidden``.
        mean: subtracted from the encoded input, per channel or column; None takes it from the training data.
        std: divides the encoded input, per channel or column, > 0; None takes it from the training data.
        outputs: what the network answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    parameters: dict[str, Any] = {}
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    outputs: Literal["logits", "probabilities"] = "logits"


@dataclass(frozen=True)
class Model:
    """A frozen architecture reference, its weights and the schema of what it reads.

    Attributes:
        architecture: how to build the network.
        schema: records that it reads and classes that it answers.
        weights: named arrays (parameters and buffers), as in a safetensors file.
        notes: JSON-able facts about the training; ``attack_artefact`` marks poisoned or stolen weights.
    """

    architecture: Architecture
    schema: Schema
    weights: Mapping[str, npt.NDArray[Any]] = field(repr=False)
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def digest(self) -> str:
        """Content digest over architecture, schema and weights."""
        about = [self.architecture.model_dump(mode="json"), self.schema.model_dump(mode="json")]
        return digest_json([about, digest_arrays(self.weights)])


@dataclass(frozen=True)
class Evidence:
    """What a Probe returns: named arrays, one entry per record or per question. It ends a chain."""

    arrays: Mapping[str, npt.NDArray[Any]]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shadows:
    """Shadow models of one seed, shared by every attack of that seed that declares them.

    Attributes:
        models: K models trained by the victim's recipe on random halves of the candidates.
        masks: bool (K, n); whether candidate j was in the training set of model k. Each column has K/2 true.
        log_probs: float32 (K, n, ...): every model's answers on every candidate.
    """

    models: tuple[Model, ...] = field(repr=False)
    masks: npt.NDArray[np.bool_] = field(repr=False)
    log_probs: npt.NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        if not len(self.models) == len(self.masks) == len(self.log_probs):
            raise InputError("shadow models, masks and answers must be equally many")
