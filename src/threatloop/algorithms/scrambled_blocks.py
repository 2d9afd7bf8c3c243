"""Ciphertext-only attack on elements shuffled and negated inside blocks, alike in all blocks.

The covariances of a block's elements, and those with the blocks to its right and below, are those of plain images with
elements moved and negated. Images of the attacker's own say what they should be; graph matching finds the move.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate
from scipy.optimize import linear_sum_assignment

from threatloop.algorithms.encodings import Bytes, SignedMap, cut, join_nibbles, paste, split_nibbles
from threatloop.algorithms.signed_matching import Graphs, match, random_starts
from threatloop.core.protection import Structure

Floats = npt.NDArray[np.float64]

SINGLE = 0.02
"""Weight of an element's own mean and skewness beside its covariances: they tell a picture from its negative."""
ROUNDS = 3
"""Times that lower half bytes are matched to the picture that upper ones, then both, show."""
AROUND = np.array([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]]) / 12


def recover_scrambled(
    coded: Bytes, pool: Bytes, structure: Structure, restarts: int, rng: np.random.Generator
) -> Bytes:
    """The images (n, C, H, W) as they were, from pool images of their kind.

    Args:
        coded: encoded images.
        pool: plain images of the same shape, at least one.
        structure: of the encoding; ``moved`` is ``pixels``.
        restarts: random starting points beside the one by single elements.
        rng: for the starting points.
    """
    known, k_single = _relations(_elements(pool, structure), structure)
    seen, s_single = _relations(_elements(coded, structure), structure)
    d = known.shape[1]
    single = k_single.T @ s_single
    scale = SINGLE * float((known**2).sum()) / (d * max(float(np.abs(single).max()), 1e-9))
    graphs = Graphs(known, seen, single * scale)
    p, best = match(graphs, random_starts(d, restarts, single, rng))
    found = trial = SignedMap(np.abs(p).argmax(axis=0), p.sum(axis=0) < 0, _top(structure))
    for _ in range(ROUNDS if structure.halves else 0):
        trial = _lower_halves(coded, trial, structure)
        if (value := graphs.value(_matrix(trial))) > best:
            found, best = trial, value
    return _opened(coded, found, structure)


def _matrix(found: SignedMap) -> Floats:
    """Known by coded elements."""
    p = np.zeros((len(found.index), len(found.index)))
    p[found.index, np.arange(len(found.index))] = np.where(found.negate, -1.0, 1.0)
    return p


def _top(structure: Structure) -> int:
    return 15 if structure.halves else 255


def _elements(images: Bytes, structure: Structure) -> Bytes:
    blocks = np.asarray(cut(images, structure.side), np.uint8)
    return split_nibbles(blocks) if structure.halves else blocks


def _opened(coded: Bytes, found: SignedMap, structure: Structure) -> Bytes:
    elements = _elements(coded, structure)
    rows = found.invert(elements.reshape(-1, elements.shape[-1])).reshape(elements.shape)
    return paste(join_nibbles(rows) if structure.halves else rows, coded, structure.side)


def _relations(elements: Bytes, structure: Structure) -> tuple[Floats, Floats]:
    """Correlations inside a block, to the right and below: (3, d, d); and each element's mean and skew: (2, d)."""
    d = elements.shape[-1]
    flat = elements.astype(np.float32) - _top(structure) / 2
    mean = flat.mean(axis=(0, 1, 2), dtype=np.float64)
    flat -= mean.astype(np.float32)
    skew = np.cbrt((flat.reshape(-1, d).astype(np.float64) ** 3).mean(axis=0))
    flat /= np.maximum(flat.std(axis=(0, 1, 2)), 1e-6)
    pairs = ((flat, flat), (flat[:, :, :-1], flat[:, :, 1:]), (flat[:, :-1], flat[:, 1:]))
    products = [a.reshape(-1, d).T @ b.reshape(-1, d) / max(a.size // d, 1) for a, b in pairs]
    return np.stack(products).astype(np.float64), np.stack([mean, skew])


def _lower_halves(coded: Bytes, found: SignedMap, structure: Structure) -> SignedMap:
    """Match lower half bytes anew: each to what the pixels around it say that the lower half should be.

    They vary almost independently of all else, so that covariances alone leave some of them in doubt.
    """
    elements = _elements(coded, structure)
    d = elements.shape[-1]
    opened = _opened(coded, found, structure).astype(np.float64)
    around = correlate(opened, AROUND[None, None], mode="nearest")
    upper = np.floor(opened / 16) * 16
    expected = cut(np.clip(around - upper, 0, 15), structure.side).reshape(-1, d // 2)
    lower = np.flatnonzero(found.index >= d // 2)
    agreement = _unit(expected).T @ _unit(elements.reshape(-1, d)[:, lower].astype(np.float64))
    rows, columns = linear_sum_assignment(-np.abs(agreement))
    index, negate = found.index.copy(), found.negate.copy()
    index[lower[columns]] = rows + d // 2
    negate[lower[columns]] = agreement[rows, columns] < 0
    return SignedMap(index, negate, found.top)


def _unit(rows: npt.NDArray[np.generic]) -> Floats:
    centred = np.asarray(rows, np.float64) - np.asarray(rows, np.float64).mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-9))
