"""Which sets are looked at: all of them where they are few, else what an evolutionary search visits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from threatloop.analysis.recommendation.sets import EXHAUSTIVE, Members, Universe
from threatloop.numerics.arrays import Floats

TRIALS: Final = 1500
POPULATION: Final = 60
Score = Callable[[Members], tuple[Floats, float]]
"""Of one set: its objectives, and by how much it breaks the limits (at most 0 where it does not)."""


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
    sampler = optuna.samplers.NSGAIISampler(
        population_size=POPULATION, seed=seed, constraints_func=lambda trial: trial.user_attrs["broken"]
    )
    rng = np.random.default_rng(seed)
    objectives = len(score(frozenset())[0])
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    names = [f"d{i}" for i in range(len(found.elements))]
    for members in known:
        study.enqueue_trial({name: i in members for i, name in enumerate(names)})
    seen: dict[Members, tuple[Floats, float]] = {}

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        asked = [i for i, name in enumerate(names) if trial.suggest_categorical(name, [False, True])]
        members = _mended(found, asked, most, rng)
        if members not in seen:
            seen[members] = score(members)
        values, broken = seen[members]
        trial.set_user_attr("broken", (broken,))
        return tuple(float(value) for value in values)

    study.optimize(objective, n_trials=TRIALS + len(known))
    return list(seen)


def _mended(found: Universe, asked: Sequence[int], most: int, rng: np.random.Generator) -> Members:
    """Part of what was asked that can stand together."""
    kept: list[int] = []
    for i in rng.permutation(np.array(asked, np.int64)):
        if len(kept) < most and found.admissible(frozenset((*kept, int(i)))):
            kept.append(int(i))
    return frozenset(kept)
