"""Undoing blends whose signs were thrown away: who is in which, with what share, and then the records themselves.

After Carlini et al. 2021, "Is private learning possible with instance encoding?", arXiv 2011.05315: absolute values
take off the random signs; encodings that share a record are found; a regression solves for the records. Here the first
estimate of every record comes from a network that learned on encodings of the attacker's own, and the three steps
alternate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

SHARES = np.linspace(0.1, 0.65, 12)
"""Shares of one more record that are tried."""
COOLING = np.geomspace(0.3, 0.01, 8)
"""Variances of an encoded pixel at which its sign is decided; from open to almost certain."""
FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class Blends:
    """Who is in every encoding.

    Attributes:
        who: (n, k) records, the encoding's own first.
        shares: (n, k), each row with sum 1.
        misfit: (n,) mean squared error of the squared encodings.
    """

    who: Index
    shares: Floats
    misfit: Floats

    def weights(self) -> csr_matrix:
        n, k = self.who.shape
        return csr_matrix((self.shares.ravel(), (np.repeat(np.arange(n), k), self.who.ravel())), shape=(n, n))


def unmix(sizes: Floats, guess: Floats, variance: float, mixed: int, rounds: int) -> Floats:
    """The records (n, d) in [−1, 1].

    Args:
        sizes: absolute values of the encodings (n, d).
        guess: a first estimate of every record (n, d), encoding i being of record i.
        variance: of the guess around the record, per pixel.
        mixed: k, records in an encoding.
        rounds: times that the blends are found anew from better records.
    """
    records = guess
    for _ in range(rounds):
        blends = find_blends(sizes, records, mixed)
        records = _solved(sizes, blends, guess, variance)
    return records


def find_blends(sizes: Floats, records: Floats, mixed: int) -> Blends:
    """Add to each encoding's own record, one at a time, the record and share that explain its square best.

    The square of a blend needs no sign, and is a sum of products of records: the fit of all pairs is a few matrix
    products.
    """
    n = len(sizes)
    who, shares = np.arange(n)[:, None], np.ones((n, 1), np.float32)
    squares, blend, misfit = sizes**2, records.copy(), np.zeros(n, np.float32)
    for _ in range(mixed - 1):
        best, partner, share = _best_partner(squares, blend, records, who)
        blend = (1 - share[:, None]) * blend + share[:, None] * records[partner]
        shares = np.concatenate([shares * (1 - share[:, None]), share[:, None]], axis=1)
        who = np.concatenate([who, partner[:, None]], axis=1)
        misfit = best / sizes.shape[1]
    return Blends(who, shares, misfit)


def _best_partner(squares: Floats, blend: Floats, records: Floats, who: Index) -> tuple[Floats, Index, Floats]:
    """Over all records and shares: least squared error of the square (n,), the record, its share."""
    n = len(squares)
    best, partner, share = np.full(n, np.inf, np.float32), np.zeros(n, np.int64), np.zeros(n, np.float32)
    two, three = records**2, records**3
    fourth, own2 = (two**2).sum(axis=1), blend**2
    cross, quad, cube = own2 @ two.T, squares @ two.T, blend @ three.T
    first, own_first = (squares * blend) @ records.T, (own2 * blend) @ records.T
    total, own_square, own_fourth = (squares**2).sum(axis=1), (squares * own2).sum(axis=1), (own2**2).sum(axis=1)
    for b in SHARES:
        a = 1 - b
        # |y² − (a·u + b·x)²|² written out in products of u, x and y².
        error = (total - 2 * a * a * own_square + a**4 * own_fourth)[:, None] + b**4 * fourth
        error = error + (4 + 2) * a * a * b * b * cross - 4 * a * b * first - 2 * b * b * quad
        error = error + 4 * a**3 * b * own_first + 4 * a * b**3 * cube
        np.put_along_axis(error, who, np.inf, axis=1)
        at = error.argmin(axis=1)
        value = error[np.arange(n), at]
        better = value < best
        best, partner, share = np.where(better, value, best), np.where(better, at, partner), np.where(better, b, share)
    return best.astype(np.float32), partner, share.astype(np.float32)


def _solved(sizes: Floats, blends: Blends, guess: Floats, variance: float) -> Floats:
    """Records given who is in which blend: least squares with expected signs, the guess as prior; cooled."""
    weights, records = blends.weights(), guess
    trust = (np.median(blends.misfit) + FLOOR) / (blends.misfit + FLOOR)
    for noise in COOLING:
        # tanh is the expectation of a sign of which size and estimate are known.
        blend = weights @ records
        signed = sizes * np.tanh(sizes * blend / noise)
        gain = np.minimum(trust, 1.0) / noise
        normal = (weights.T.multiply(gain) @ weights).toarray() + np.eye(len(records)) / variance
        right = weights.T @ (gain[:, None] * signed) + guess / variance
        records = cho_solve(cho_factor(normal), right)
    return np.asarray(np.clip(records, -1, 1), np.float32)
