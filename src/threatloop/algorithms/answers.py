"""What a server does to answers: probabilities in, log-probabilities out, the leading class where it was."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
LEAST = 1e-6
"""Probability in place of 0, so that logarithms stay finite."""


def probabilities(log_probs: npt.NDArray[np.float32]) -> Floats:
    """Answers (n, classes) as float64 probabilities; rows sum to 1."""
    found = np.exp(log_probs.astype(np.float64))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def answers(shares: Floats) -> npt.NDArray[np.float32]:
    """Log-probabilities of shares (n, classes) ≥ 0; a share below `LEAST` counts as `LEAST`."""
    floored = np.maximum(shares, LEAST)
    return np.asarray(np.log(floored / floored.sum(axis=1, keepdims=True)), dtype=np.float32)


def led_by(shares: Floats, leaders: Rows) -> Floats:
    """The shares with the largest one at ``leaders`` (n,): the two change places where it is elsewhere."""
    found, rows = shares.copy(), np.arange(len(shares))
    top = found.argmax(axis=1)
    found[rows, top], found[rows, leaders] = shares[rows, leaders], shares[rows, top]
    # Where two classes tie, the one that leads must not be decided by its number.
    found[rows, leaders] += LEAST
    return found


def distortion(before: Floats, after: Floats) -> Floats:
    """l1 distance between answers, (n,), from 0 to 2."""
    return np.asarray(np.abs(before - after).sum(axis=1))


def coins(x: npt.NDArray[Any], key: bytes) -> Floats:
    """One number in [0, 1) per record (n,), the same whenever the record is asked: nothing can be averaged away."""
    rows = np.ascontiguousarray(x)
    found = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=6, key=key).digest()) for row in rows]
    return np.array(found, dtype=np.float64) / float(1 << 48)
