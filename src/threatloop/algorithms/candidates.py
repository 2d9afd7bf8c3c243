"""Candidate architectures: which suit records of a kind, how they are written, and which of them comes nearest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from threatloop.core.assets import Architecture
from threatloop.core.schema import Schema

USUAL = (
    Architecture(name="mlp", parameters={"hidden": (64,)}),
    Architecture(name="mlp", parameters={"hidden": (64, 64)}),
    Architecture(name="mlp", parameters={"hidden": (256, 256)}),
    Architecture(name="mlp", parameters={"hidden": (64, 64, 64, 64)}),
    Architecture(name="cnn"),
)


def chosen(candidates: tuple[Architecture, ...], schema: Schema) -> tuple[Architecture, ...]:
    """The candidates, or the usual ones that read such records.

    Raises:
        InputError: a built-in candidate does not read such records, or has wrong parameters.
    """
    from threatloop.models.build import BLUEPRINTS, blueprint

    found = candidates or tuple(one for one in USUAL if schema.kind in BLUEPRINTS[one.name].kinds)
    for one in found:
        if ":" not in one.name:
            blueprint(one, schema)
    return found


def written(candidates: Sequence[Architecture]) -> list[dict[str, Any]]:
    """As JSON."""
    return [one.model_dump(mode="json") for one in candidates]


def sizes(architecture: Architecture) -> tuple[int, ...]:
    """The widths of a built-in architecture's layers, first to last, its defaults filled in; () for others."""
    from threatloop.models.build import BLUEPRINTS

    if architecture.name not in BLUEPRINTS:
        return ()
    full = BLUEPRINTS[architecture.name].model_validate(architecture.parameters).model_dump()
    return tuple(_numbers(full))


def nearest(truth: Architecture, candidates: Sequence[Architecture]) -> tuple[int, bool] | None:
    """Position of the candidate of the same family nearest in depth, then in width, and whether it is the truth
    itself; None where no candidate is of the family."""
    same = [i for i, one in enumerate(candidates) if one.name == truth.name]
    if not same:
        return None
    wanted = sizes(truth)
    best = min(same, key=lambda i: _distance(wanted, sizes(candidates[i])))
    exact = sizes(candidates[best]) == wanted and (bool(wanted) or candidates[best].parameters == truth.parameters)
    return best, exact


def _distance(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, float]:
    return abs(len(a) - len(b)), abs(_log_width(a) - _log_width(b))


def _log_width(widths: tuple[int, ...]) -> float:
    return math.log(max(1, sum(widths)))


def _numbers(values: Mapping[str, Any]) -> list[int]:
    """The sizes among the parameters of an architecture; words, such as the kind of normalisation, are none."""
    found: list[int] = []
    for value in values.values():
        if not isinstance(value, str):
            found += value if isinstance(value, (list, tuple)) else [int(value or 0)]
    return found
