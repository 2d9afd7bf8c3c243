"""Named random streams derived from one run seed. Nothing in threatloop touches a global random state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Streams:
    """A node in the tree of random streams.

    A stream is a pure function of (run seed, path of names): adding a consumer never shifts another's draws, and the
    arms of one seed that use the same names see the same randomness.

    Attributes:
        run_seed: the one seed of the run, ≥ 0.
        path: names from the root to here, such as ``("seed-3", "victim")``.
    """

    run_seed: int
    path: tuple[str, ...] = ()

    def child(self, *names: str) -> Streams:
        """The stream tree below these names."""
        return Streams(self.run_seed, self.path + names)

    def integer(self, role: str, bits: int = 63) -> int:
        """A reproducible integer in [0, 2**bits), for generators of other libraries. ``bits`` ≤ 256."""
        text = "\x1f".join((str(self.run_seed), *self.path, role)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=32).digest(), "little") >> (256 - bits)

    def numpy(self, role: str) -> np.random.Generator:
        """A fresh generator, always in the same state for the same role."""
        return np.random.default_rng(self.integer(role, bits=128))

    def key(self, role: str) -> bytes:
        """A reproducible 16-byte secret, such as a watermark key."""
        return self.integer(role, bits=128).to_bytes(16, "little")

    def of_seed(self) -> Streams:
        """The streams of the seed to which these belong: what several of its tasks must draw alike comes from there."""
        return Streams(self.run_seed, self.path[:1])
