"""Sums of models' weights. Of adapters it is the changes that are added, products of two thin matrices each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Model
from threatloop.core.errors import InputError
from threatloop.numerics.low_rank import Matrix, Pair, nearest, singular

FIRST, SECOND = ".lora_A.", ".lora_B."
"""In the names of an adapter's factors: right and left."""
Arrays = dict[str, npt.NDArray[np.float32]]
TINY = 1e-12


def combined(parts: Sequence[tuple[float, Model]]) -> Arrays:
    """The weighted sum of weights; of adapters the nearest of the same rank to that of their changes.

    Raises:
        InputError: the models differ in names or shapes.
    """
    models = [model for _, model in parts]
    _check(models)
    found: Arrays = {}
    for name in _full(models[0]):
        sums = sum(factor * model.weights[name].astype(np.float64) for factor, model in parts)
        found[name] = np.asarray(sums, models[0].weights[name].dtype)
    for name in _pairs(models[0]):
        _put(found, name, nearest([(factor, _pair(model, name)) for factor, model in parts], _rank(models[0], name)))
    return _ordered(found, models[0])


def projected(tuned: Model, start: Model, unaligned: Model, threshold: float, energy: float) -> tuple[Arrays, int]:
    """The tuned weights with each matrix's change turned into the directions in which alignment changed it.

    Those are the leading left singular vectors of ``start`` − ``unaligned`` that hold ``energy`` of it. Only changes
    whose cosine with what they would become is below ``threshold`` are turned.

    Returns:
        The weights, and how many matrices were turned.
    """
    _check([tuned, start, unaligned])
    found, turned = {name: np.array(array) for name, array in tuned.weights.items()}, 0
    for name in _full(tuned):
        if tuned.weights[name].ndim != 2:
            continue
        new, old, other = (model.weights[name].astype(np.float64) for model in (tuned, start, unaligned))
        basis = _leading(*np.linalg.svd(old - other, full_matrices=False)[:2], energy)
        change = new - old
        kept = basis @ (basis.T @ change)
        if np.linalg.norm(kept) < threshold * np.linalg.norm(change):
            found[name], turned = (old + kept).astype(found[name].dtype), turned + 1
    for name in _pairs(tuned):
        new_pair, old_pair, other_pair = (_pair(model, name) for model in (tuned, start, unaligned))
        basis = _leading(*singular([(1.0, old_pair), (-1.0, other_pair)])[:2], energy)
        whole = singular([(1.0, new_pair), (-1.0, old_pair)])[1]
        share = (basis.T @ new_pair[0]) @ new_pair[1] - (basis.T @ old_pair[0]) @ old_pair[1]
        if np.linalg.norm(share) < threshold * np.linalg.norm(whole):
            _put(found, name, nearest([(1.0, old_pair), (1.0, (basis, share))], _rank(tuned, name)))
            turned += 1
    return _ordered(found, tuned), turned


def _leading(u: Matrix, s: npt.NDArray[np.float64], energy: float) -> Matrix:
    """The fewest left singular vectors that hold this share of the squared singular values."""
    total = float((s**2).sum())
    if total <= TINY:
        return u[:, :0]
    return u[:, : int(np.searchsorted(np.cumsum(s**2) / total, energy * (1 - 1e-9)) + 1)]


def _check(models: Sequence[Model]) -> None:
    shapes = [{name: array.shape for name, array in model.weights.items()} for model in models]
    if any(one != shapes[0] for one in shapes):
        raise InputError("weights of different models cannot be added: names or shapes differ")


def _pairs(model: Model) -> Iterator[str]:
    """Names of the right factors of adapters."""
    return (name for name in model.weights if FIRST in name and name.replace(FIRST, SECOND) in model.weights)


def _full(model: Model) -> Iterator[str]:
    factors = {one for name in _pairs(model) for one in (name, name.replace(FIRST, SECOND))}
    return (name for name in model.weights if name not in factors)


def _pair(model: Model, name: str) -> Pair:
    left, right = model.weights[name.replace(FIRST, SECOND)], model.weights[name]
    return left.astype(np.float64), right.astype(np.float64)


def _rank(model: Model, name: str) -> int:
    return int(model.weights[name].shape[0])


def _put(found: Arrays, name: str, pair: Pair) -> None:
    found[name.replace(FIRST, SECOND)], found[name] = pair[0].astype(np.float32), pair[1].astype(np.float32)


def _ordered(found: Mapping[str, npt.NDArray[np.float32]], like: Model) -> Arrays:
    return {name: found[name] for name in like.weights}
