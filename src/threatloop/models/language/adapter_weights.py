"""The matrices of an adapter that a user brought, against what the base model needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import Schema
from threatloop.models.language.adapter_config import WEIGHTS, is_adapter
from threatloop.models.language.hub_base import Arrays, shared_base
from threatloop.models.language.loading import adapter_of, check_language

MOST_TENSORS, MOST_LINES = 100_000, 12
_NUMBERS = ("F64", "F32", "F16", "BF16")
_PREFIX, _OURS = "base_model.model.", ".default"
_LAYER = re.compile(r"\.\d+\.")

Shapes = Mapping[str, tuple[int, ...]]


def read_adapter(path: Path, architecture: Architecture, schema: Schema) -> Model:
    """The base model with the adapter in a folder, or, where ``path`` is the base itself, the base as it is.

    Raises:
        InputError: it cannot be read, or the base model is not there.
        Problems: matrices that are missing, unexpected, of another shape or not finite, alike ones in one line.
    """
    check_language(architecture, schema)
    if not is_adapter(path):
        return Model(architecture, schema, {}, {"weights_from": path.name})
    shared = shared_base(adapter_of(architecture), torch.device("cpu"))
    needed = {name: tuple(parameter.shape) for name, parameter in shared.adapter.items()}
    at = f"adapter {path.name} for this base model"
    try:
        with safe_open(path / WEIGHTS, framework="pt") as file:
            names = {_internal(name): name for name in file.keys()}  # noqa: SIM118
            if len(names) > MOST_TENSORS:
                raise InputError(f"adapter {path.name}: {len(names)} tensors; at most {MOST_TENSORS} are read")
            slices = {ours: file.get_slice(name) for ours, name in names.items()}
            shapes = {ours: tuple(one.get_shape()) for ours, one in slices.items()}
            kinds = {ours: str(one.get_dtype()) for ours, one in slices.items()}
            if lines := grouped([*_differences(shapes, needed), *_unreadable(kinds)]):
                raise Problems(at, lines)
            # Only now: what has the shapes that the base needs cannot be too large.
            found = {ours: file.get_tensor(names[ours]).float().numpy() for ours in needed}
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"adapter {path.name}: {WEIGHTS} cannot be read ({reason})") from None
    if lines := grouped(_not_finite(found)):
        raise Problems(at, lines)
    return Model(architecture, schema, found, {"weights_from": path.name})


def grouped(found: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> list[str]:
    """Names and what is wrong with each, as one line for all layers alike; the first few lines and how many more."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, wrong in found:
        groups.setdefault((_LAYER.sub(".*.", name), wrong), []).append(name)
    lines = [
        f"{alike if len(names) > 1 else names[0]} {wrong}" + (f" ({len(names)} layers)" if len(names) > 1 else "")
        for (alike, wrong), names in sorted(groups.items())
    ]
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"and {more} more kinds of matrices"]


def _internal(name: str) -> str:
    """The name that a matrix has in the network; any other name as it is, shortened, so that it can be shown."""
    bare = name.removeprefix(_PREFIX)
    if bare.endswith(".weight") and ".lora_" in bare:
        return f"{bare.removesuffix('.weight')}{_OURS}.weight"
    return f"{bare}{_OURS}" if ".lora_embedding_" in bare else ascii(bare[:200])[1:-1]


def _spoken(name: str) -> str:
    return name.replace(_OURS, "")


def _differences(shapes: Shapes, needed: Shapes) -> Iterator[tuple[str, str]]:
    for name in needed.keys() - shapes.keys():
        yield _spoken(name), "is missing"
    for name in shapes.keys() - needed.keys():
        yield _spoken(name), "is unexpected: the base has no such matrix, or the adapter does not name its layer"
    for name in needed.keys() & shapes.keys():
        if shapes[name] != needed[name]:
            yield _spoken(name), f"is {shapes[name]}; this base model and the adapter's rank need {needed[name]}"


def _unreadable(kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, kind in kinds.items():
        if kind not in _NUMBERS:
            yield _spoken(name), f"holds {kind[:20]}; allowed are {', '.join(_NUMBERS)}"


def _not_finite(found: Arrays) -> Iterator[tuple[str, str]]:
    for name, array in found.items():
        if not np.isfinite(array).all():
            yield _spoken(name), "has NaN or infinite numbers"
