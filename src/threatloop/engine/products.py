"""What operations yield beside assets, and their form in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from threatloop.core.assets import SCHEMA, Architecture, Dataset, Evidence, Model, Shadows
from threatloop.core.metric import Exchange, Graded, Reading
from threatloop.engine.storage.payload import Artefact


@dataclass(frozen=True)
class Split:
    """Roles of one seed: named positions in a loaded data set."""

    roles: Mapping[str, npt.NDArray[np.int64]]
    data_key: str


@dataclass(frozen=True)
class Loaded:
    """A data set as it was read, with the partition that its source names (0 train, 1 val, 2 test, -1 none)."""

    data: Dataset
    partition: npt.NDArray[np.int8]


@dataclass(frozen=True)
class NotAssessed:
    """Stands for a result that could not be had; what depends on it is not assessed either."""

    reason: str


@dataclass(frozen=True)
class Product:
    """What an operation returns: a value, and facts about how it came to be (queries, stop reason, gate, notes)."""

    value: Any
    facts: Mapping[str, Any] = field(default_factory=dict)


def encode(product: Product, seconds: float) -> Artefact:
    """The product as arrays, tables and JSON."""
    kind = type(product.value).__name__
    arrays, meta, tables = _ENCODERS[kind](product.value)
    return Artefact(arrays, {"kind": kind, "facts": {**product.facts, "seconds": seconds}, **meta}, tables)


def decode(artefact: Artefact) -> Product:
    """The inverse of `encode`; ``seconds`` is among the facts."""
    return Product(_DECODERS[artefact.meta["kind"]](artefact), artefact.meta["facts"])


_Parts = tuple[dict[str, npt.NDArray[Any]], dict[str, Any], dict[str, pa.Table]]


def _dataset(value: Dataset) -> _Parts:
    arrays = {"x": np.asarray(value.x), "y": value.y, "ids": value.ids}
    return arrays, {"schema": value.schema.model_dump(mode="json")}, {}


def _read_dataset(found: Artefact) -> Dataset:
    schema = SCHEMA.validate_python(found.meta["schema"])
    return Dataset(found.arrays["x"], found.arrays["y"], schema, found.arrays["ids"])


def _loaded(value: Loaded) -> _Parts:
    arrays, meta, tables = _dataset(value.data)
    return {**arrays, "partition": value.partition}, meta, tables


def _read_loaded(found: Artefact) -> Loaded:
    return Loaded(_read_dataset(found), found.arrays["partition"])


def _model(value: Model) -> _Parts:
    meta = {
        "architecture": value.architecture.model_dump(mode="json"),
        "schema": value.schema.model_dump(mode="json"),
        "notes": dict(value.notes),
    }
    return dict(value.weights), meta, {}


def _read_model(found: Artefact) -> Model:
    architecture = Architecture.model_validate(found.meta["architecture"])
    schema = SCHEMA.validate_python(found.meta["schema"])
    return Model(architecture, schema, dict(found.arrays), found.meta["notes"])


def _evidence(value: Evidence) -> _Parts:
    return dict(value.arrays), {"notes": dict(value.notes)}, {}


def _read_evidence(found: Artefact) -> Evidence:
    return Evidence(dict(found.arrays), found.meta["notes"])


def _split(value: Split) -> _Parts:
    return dict(value.roles), {"data_key": value.data_key}, {}


def _read_split(found: Artefact) -> Split:
    return Split(dict(found.arrays), found.meta["data_key"])


def _shadows(value: Shadows) -> _Parts:
    first = value.models[0]
    names = {name: np.stack([model.weights[name] for model in value.models]) for name in first.weights}
    arrays = {f"weights/{name}": stack for name, stack in names.items()}
    _, meta, _ = _model(first)
    return {**arrays, "masks": value.masks, "log_probs": value.log_probs}, meta, {}


def _read_shadows(found: Artefact) -> Shadows:
    architecture = Architecture.model_validate(found.meta["architecture"])
    schema = SCHEMA.validate_python(found.meta["schema"])
    stacks = {name[8:]: stack for name, stack in found.arrays.items() if name.startswith("weights/")}
    masks = found.arrays["masks"]
    models = [Model(architecture, schema, {n: s[k] for n, s in stacks.items()}) for k in range(len(masks))]
    return Shadows(tuple(models), masks, found.arrays["log_probs"])


def _graded(value: Graded) -> _Parts:
    arrays = {f"records/{name}": np.asarray(column) for name, column in value.records.items()}
    arrays |= {f"gallery/{name}": np.asarray(batch, np.float32) for name, batch in value.gallery.items()}
    for name, curve in value.curves.items():
        arrays |= {f"curves/{name}/{column}": np.asarray(values) for column, values in curve.items()}
    meta: dict[str, Any] = {"readings": [asdict(reading) for reading in value.readings]}
    if value.texts:
        meta["texts"] = [asdict(one) for one in value.texts]
    return arrays, meta, {}


def _read_graded(found: Artefact) -> Graded:
    readings = tuple(Reading(**reading) for reading in found.meta["readings"])
    curves: dict[str, dict[str, npt.NDArray[Any]]] = {}
    groups: dict[str, dict[str, npt.NDArray[Any]]] = {"records": {}, "gallery": {}}
    for path, array in found.arrays.items():
        group, _, name = path.partition("/")
        if group == "curves":
            curve, _, column = name.rpartition("/")
            curves.setdefault(curve, {})[column] = array
        else:
            groups[group][name] = array
    texts = tuple(Exchange(**one) for one in found.meta.get("texts", ()))
    return Graded(readings, curves, groups["records"], groups["gallery"], texts)


_ENCODERS: dict[str, Callable[[Any], _Parts]] = {
    "Dataset": _dataset,
    "Loaded": _loaded,
    "Model": _model,
    "Evidence": _evidence,
    "Split": _split,
    "Shadows": _shadows,
    "Graded": _graded,
    "NotAssessed": lambda value: ({}, {"reason": value.reason}, {}),
}
_DECODERS: dict[str, Callable[[Artefact], Any]] = {
    "Dataset": _read_dataset,
    "Loaded": _read_loaded,
    "Model": _read_model,
    "Evidence": _read_evidence,
    "Split": _read_split,
    "Shadows": _read_shadows,
    "Graded": _read_graded,
    "NotAssessed": lambda found: NotAssessed(found.meta["reason"]),
}
