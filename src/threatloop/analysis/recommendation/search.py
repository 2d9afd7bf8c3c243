"""Which sets are looked at: all of them where they are few, else what an evolutionary search visits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from threatloop.analysis.recommendation.sets import EXHAUSTIVE, Members, Universe
from threatloop.numerics.arrays import Floats

TRIALS: Final = 1200
POPULATION: Final = 60
_EMPTY: Final = -1
Score = Callable[[Members], Floats]
"""The objectives of one set; of one that breaks the limits far above those of all others."""


def candidates(found: Universe, measured: Sequence[Members], most: int, score: Score, seed: int) -> list[Members]:
    """Sets to choose from; measured ones always are among them.

    Args:
        most: defences in a set.
        score: asked by the evolutionary search only.
        seed: of its sampler.
    """
    known = [one for one in measured if found.admissible(one)]
    if found.count(most) <= EXHAUSTIVE:
        return list(dict.fromkeys((*known, *found.all_sets(most))))
    return list(dict.fromkeys((*known, *_evolved(found, known, most, score, seed))))


def _evolved(found: Universe, known: Sequence[Members], most: int, score: Score, seed: int) -> list[Members]:
    """Everything that NSGA-II visits, from the measured sets on."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    rng = np.random.default_rng(seed)
    objectives = len(score(frozenset()))
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    slots, choices = [f"slot{i}" for i in range(most)], [_EMPTY, *range(len(found.elements))]
    for members in known:
        filled = [*sorted(members), *[_EMPTY] * most][:most]
        study.enqueue_trial(dict(zip(slots, filled, strict=True)))
    seen: dict[Members, Floats] = {}

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        asked = {trial.suggest_categorical(slot, choices) for slot in slots} - {_EMPTY}
        members = _mended(found, sorted(asked), rng)
        if members not in seen:
            seen[members] = score(members)
        return tuple(float(value) for value in seen[members])

    study.optimize(objective, n_trials=TRIALS + len(known))
    return list(seen)


def _mended(found: Universe, asked: Sequence[int], rng: np.random.Generator) -> Members:
    """Part of what was asked that can stand together."""
    kept: list[int] = []
    for i in rng.permutation(np.array(asked, np.int64)):
        if found.admissible(frozenset((*kept, int(i)))):
            kept.append(int(i))
    return frozenset(kept)
