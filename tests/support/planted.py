"""Defences with known main and pairwise effects, and the run that measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from defended import DIRECTIONS, world
from threatloop.core.measurement import Measurement, RunRecord

Pair = frozenset[str]


@dataclass(frozen=True)
class Planted:
    """Effects on the logit scale.

    Attributes:
        main: of a defence on the risk of an attack.
        pair: of two defences together, beyond their own.
        use: of a defence on accuracy.
        plain: without defences, logits of risk and of accuracy.
    """

    main: Mapping[tuple[str, str], float]
    pair: Mapping[tuple[Pair, str], float] = field(default_factory=dict)
    use: Mapping[str, float] = field(default_factory=dict)
    plain: float = 0.5
    accuracy_plain: float = 3.0

    def risk(self, attack: str, members: frozenset[str]) -> float:
        z = self.plain + sum(self.main.get((one, attack), 0.0) for one in members)
        z += sum(self.pair.get((frozenset(two), attack), 0.0) for two in combinations(sorted(members), 2))
        return _rate(z)

    def accuracy(self, members: frozenset[str]) -> float:
        return _rate(self.accuracy_plain + sum(self.use.get(one, 0.0) for one in members))

    def run(
        self,
        sets: Mapping[str, Sequence[str]],
        seeds: int = 12,
        noise: float = 0.03,
        draw: int = 0,
        adaptive: Sequence[str] = tuple(DIRECTIONS),
    ) -> tuple[RunRecord, list[Measurement]]:
        rng = np.random.default_rng(draw)

        def risk(attack: str, members: frozenset[str], _seed: int) -> float:
            return float(np.clip(self.risk(attack, members) + noise * rng.normal(), 0, 1))

        def accuracy(members: frozenset[str], _seed: int) -> float:
            return float(np.clip(self.accuracy(members) + noise / 4 * rng.normal(), 0, 1))

        return world(sets, seeds, risk, accuracy, lambda members: 1.0 + len(members) / 2, adaptive)


def drawn(names: Sequence[str], draw: int, pairs: float = 0.5) -> Planted:
    """Random effects, of pairs with this spread."""
    rng = np.random.default_rng(draw)
    main = {(one, attack): rng.normal(-0.6, 0.8) for one in names for attack in DIRECTIONS}
    pair = {(frozenset(two), a): pairs * rng.normal() for two in combinations(names, 2) for a in DIRECTIONS}
    return Planted(main, pair, {one: -abs(0.3 * rng.normal()) for one in names})


def design(names: Sequence[str], sizes: Sequence[int], most: int = 1000, draw: int = 0) -> dict[str, tuple[str, ...]]:
    """All sets of the first sizes, of each size so many at most."""
    rng, found = np.random.default_rng(draw), dict[str, tuple[str, ...]]()
    for size in sizes:
        every = list(combinations(names, size))
        for i in sorted(rng.permutation(len(every))[:most]):
            found["-".join(every[i])] = every[i]
    return found


def _rate(z: float) -> float:
    return float(1 / (1 + np.exp(-z)))
