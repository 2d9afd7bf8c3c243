"""What answers of a language model say about its last layer: how wide it is, and which directions it spans.

Logits are W h: a matrix (vocabulary, width) times a state. Log-probabilities are logits less one number per answer, the
logarithm of the normaliser. Taken as they are, that number adds one direction, all ones, to the span of the answers:
their rank is the width plus one. Less their mean over the vocabulary (or less any one token) the number drops out, and
what is left is P W h with P = I − 11ᵀ/vocabulary. Softmax cannot tell W from W + 1aᵀ, so P W is all that any answers
show. Its rank is the width unless W happens to span the ones itself.

A LayerNorm before W leaves states in an affine space of one dimension less than the width; its shift supplies the last
dimension, so the rank of answers is still the width, and falls by one when their mean over the queries is taken out.
Behind an RMSNorm it stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.numerics.undefined import Undefined

Doubles = npt.NDArray[np.float64]
Columns = npt.NDArray[np.floating[Any]]

BEYOND = 8
"""Singular values that must follow the gap: fewer cannot show that what follows is noise."""
CLEAR = 4.0
"""How many times larger the last value of the signal must be than the first of the noise. The largest of a smooth
spectrum's ratios stays below 2 where eight values follow."""
ROUGH = 3.0
"""How far the first value of the noise may exceed the edge for independent noise of the same size."""
ROWS = 4096
"""Of a tall matrix that are decomposed at a time."""
CERTAIN = 1e3
"""A gap like this needs no look at what follows: numerical noise is not always independent."""


def centred(answers: Columns) -> Columns:
    """Answers (n, vocabulary) less the mean of each, as columns (vocabulary, n) of the same precision."""
    columns = np.array(np.asarray(answers).T)
    columns -= columns.mean(axis=0, dtype=np.float64).astype(columns.dtype)
    return columns


def coordinates(answers: Columns, basis: Columns) -> Columns:
    """Of answers (n, vocabulary), less the mean of each, in an orthonormal basis (vocabulary, width): (n, width).

    In the precision of the two; answers of float32 are no finer than products of them are.
    """
    around = answers - answers.mean(axis=1, dtype=np.float64, keepdims=True).astype(answers.dtype)
    return np.asarray(around @ basis)


def spectrum(columns: Columns) -> tuple[Doubles, Doubles]:
    """Of a matrix (vocabulary, n) whose columns sum to 0: singular values and right singular vectors as rows.

    The largest m = min(n, vocabulary − 1) values, float64 (m,), descending, and as many rows (m, n).
    """
    tokens, n = columns.shape
    most = min(n, tokens - 1)
    # Squaring would halve the digits, and noise of float32 lies below half of them.
    small = triangle(columns) if tokens > n else np.asarray(columns, np.float64)
    _, values, right = np.linalg.svd(small, full_matrices=False)
    return np.asarray(values[:most], np.float64), np.asarray(right[:most], np.float64)


def triangle(*parts: Columns) -> Doubles:
    """R of the QR decomposition of matrices (n, ·) beside each other, a few rows at a time: those may be many.

    Demmel, Grigori, Hoemmen, Langou 2012, "Communication-optimal parallel and sequential QR and LU factorizations",
    SIAM Journal on Scientific Computing 34.
    """
    found = np.zeros((0, sum(part.shape[1] for part in parts)))
    for start in range(0, len(parts[0]), ROWS):
        rows = np.hstack([np.asarray(part[start : start + ROWS], np.float64) for part in parts])
        found = np.asarray(np.linalg.qr(np.vstack([found, rows]), mode="r"))
    return found


def hidden_width(values: Doubles, tokens: int, n: int) -> int | Undefined:
    """The number of singular values before the gap.

    The largest ratio of neighbours marks it (Carlini et al. 2024, "Stealing Part of a Production Language Model",
    arXiv 2403.06634, section 4.1), and counts only where it is clear and what follows looks like independent noise,
    whose largest value is close to σ(√rows + √columns). Fewer queries than the width leave a smooth spectrum.

    Args:
        values: of `spectrum`.
        tokens: of the vocabulary.
        n: queries.
    """
    last = len(values) - BEYOND
    if last < 1:
        return Undefined(f"{len(values)} singular values are too few to show a gap; ask more queries")
    floor = np.finfo(np.float64).eps * max(tokens, n) * max(values[0], np.finfo(np.float64).tiny)
    safe = np.maximum(values, floor)
    ratios = safe[:-1] / safe[1:]
    width = int(np.argmax(ratios[:last])) + 1
    edge = np.sqrt(tokens - 1 - width) + np.sqrt(n - width)
    noise = roughness(safe, width, tokens, n)
    alike = safe[width] <= ROUGH * noise * edge or ratios[width - 1] >= CERTAIN
    if ratios[width - 1] < CLEAR or not alike:
        return Undefined(
            f"the spectrum of {n} answers has no clear gap; either the width is at least {last}, so that more queries "
            "are needed, or the answers are too rough"
        )
    return width


def span(columns: Columns, values: Doubles, right: Doubles, width: int) -> Doubles:
    """The ``width`` leading left singular vectors, (vocabulary, width), of columns with this `spectrum`."""
    by, found = right[:width].T / values[:width], np.empty((len(columns), width))
    for start in range(0, len(columns), ROWS):
        found[start : start + ROWS] = np.asarray(columns[start : start + ROWS], np.float64) @ by
    return found


def spread(around: Columns) -> tuple[Doubles, Doubles]:
    """Of coordinates (n, width) less their mean: singular values, and right singular vectors as rows."""
    _, values, right = np.linalg.svd(triangle(around), full_matrices=False)
    return np.asarray(values, np.float64), np.asarray(right, np.float64)


def flattened(values: Doubles, n: int, noise: float) -> bool:
    """Whether coordinates, less their mean, fill a dimension less: as behind a LayerNorm with a shift.

    Args:
        values: of `spread`.
        n: how many coordinates there are.
        noise: standard deviation of a coordinate that holds nothing else, as `roughness` finds it.
    """
    if len(values) < 2:
        return False
    drop = values[-2] / max(values[-1], np.finfo(np.float64).tiny)
    return bool(drop >= CERTAIN or (drop >= CLEAR and values[-1] <= ROUGH * noise * np.sqrt(n)))


def roughness(values: Doubles, width: int, tokens: int, n: int) -> float:
    """Standard deviation of the noise on one number, from the singular values behind the ``width``-th."""
    return float(np.sqrt((values[width:] ** 2).sum() / ((tokens - 1 - width) * (n - width))))


def linear_error(true: Columns, found: Columns) -> float:
    """Relative Frobenius error of the best linear map from one matrix's columns to the other's; the worse direction.

    In [0, 1]; 0 where both span the same. The other direction keeps a matrix that spans everything from being right.
    """
    width, both = true.shape[1], triangle(true, found)  # Angles between columns are as in the tall matrices.
    true, found = both[:, :width], both[:, width:]
    return max(_unexplained(true, found), _unexplained(found, true))


def rotation_error(true: Doubles, found: Doubles) -> float:
    """Relative Frobenius error of the best orthogonal map from ``found`` (tokens, k) to ``true`` (tokens, m), m ≥ k.

    Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 31.
    """
    left, _, right = np.linalg.svd(found.T @ true, full_matrices=False)
    return float(np.linalg.norm(true - found @ (left @ right)) / np.linalg.norm(true))


def _unexplained(wanted: Columns, by: Columns) -> float:
    width = by.shape[1]
    rest = np.asarray(np.linalg.qr(np.hstack([by, wanted]), mode="r"))[:, width:]
    return min(1.0, float(np.linalg.norm(rest[width:])) / float(np.linalg.norm(wanted)))
