"""A Bloom filter: a set that forgets what is in it, and never denies what is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

WORD = 8
"""Bytes of one hash."""
MOST_HASHES = 8


@dataclass(frozen=True)
class Bloom:
    """Bloom 1970, "Space/Time Trade-offs in Hash Coding with Allowable Errors", Communications of the ACM 13.

    Attributes:
        bits: uint8, eight to each.
        hashes: places that each member takes.
    """

    bits: npt.NDArray[np.uint8]
    hashes: int

    @classmethod
    def of(cls, members: Iterable[str], false_rate: float) -> Bloom:
        """A filter of these members that takes a stranger for one of them at about this rate, in (0, 1)."""
        known = set(members)
        size = max(64, math.ceil(-len(known) * math.log(false_rate) / math.log(2) ** 2))
        hashes = min(MOST_HASHES, max(1, round(size / max(1, len(known)) * math.log(2))))
        found = cls(np.zeros(-(-size // 8), np.uint8), hashes)
        for member in known:
            for place in found._places(member):
                found.bits[place >> 3] |= np.uint8(1 << (place & 7))
        return found

    def __contains__(self, one: str) -> bool:
        return all(self.bits[place >> 3] >> (place & 7) & 1 for place in self._places(one))

    def _places(self, one: str) -> list[int]:
        raw = blake2b(one.encode(), digest_size=WORD * self.hashes).digest()
        size = 8 * len(self.bits)
        return [int.from_bytes(raw[i * WORD : (i + 1) * WORD], "little") % size for i in range(self.hashes)]
