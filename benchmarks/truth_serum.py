"""What mislabelled replicas of 20 targets do to their membership, against the same noise aimed at nothing.

    python benchmarks/truth_serum.py [--data digits] [--seeds 12] [--models 32] [--rest 600]

Per seed and condition, K models are trained on random halves of the candidates and on the poison; each in turn is the
victim and the others are its shadow models (LiRA, online). AUC over the pairs of target and model, one figure a seed;
true-positive rate at 1 % false positives at one threshold over all seeds' pairs, averaged over seeds; intervals over
seeds (t). Published: CIFAR-10, AUC .703 → .994 at 8 replicas, arXiv 2204.00032.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from threatloop import modality
from threatloop.algorithms.ensemble import ensemble_log_probs, fit_ensemble
from threatloop.algorithms.poisoning import mislabelled
from threatloop.algorithms.shadow_scoring import lira_online
from threatloop.core.assets import Architecture, Dataset, concatenate
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.engine.operations.shadows import balanced_masks
from threatloop.models.defaults import default_recipe
from threatloop.numerics.intervals import Interval, mean_t
from threatloop.numerics.roc import auc

REPLICAS = (0, 1, 2, 4, 8, 16)
TARGETS = 20
MLP = Architecture(name="mlp")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One seed under one condition: scores and membership of every pair of model and target, and clean accuracy."""

    targets: Floats
    member: npt.NDArray[np.bool_]
    others: float
    accuracy: float


@dataclass(frozen=True)
class Seed:
    """The records of one seed. ``targets`` and ``bystanders`` are positions in the candidates."""

    candidates: Dataset
    test: Dataset
    targets: npt.NDArray[np.int64]
    bystanders: npt.NDArray[np.int64]
    streams: Streams

    @classmethod
    def draw(cls, data: Dataset, number: int, held_out: int) -> Seed:
        streams = Streams(2204, (f"seed-{number}",))
        order = streams.numpy("split").permutation(len(data))
        candidates, test = data.take(order[held_out:]), data.take(order[:held_out])
        drawn = streams.numpy("targets").permutation(len(candidates))
        return cls(candidates, test, drawn[:TARGETS], drawn[TARGETS : 2 * TARGETS], streams)

    def scores(self, poison: Dataset, models: int) -> Scores:
        """Every model in turn against the others."""
        n = len(self.candidates)
        masks = balanced_masks(models, n, self.streams)
        pool = concatenate([self.candidates, poison]) if len(poison) else self.candidates
        rows = np.concatenate([masks, np.ones((models, len(poison)), np.bool_)], axis=1)
        recipe = default_recipe(pool.schema, MLP, n // 2)
        fitted = fit_ensemble(MLP, pool, rows, recipe, [self.streams.child(f"model-{k}") for k in range(models)])
        kind = modality.of(pool.schema)
        answers = ensemble_log_probs(fitted, self.candidates)
        signals = np.stack([kind.membership_signal(one, self.candidates) for one in answers])
        rest = [np.arange(models) != k for k in range(models)]
        found = np.stack([lira_online(signals[k], signals[rest[k]], masks[rest[k]]) for k in range(models)])
        untouched = np.setdiff1d(np.arange(n), np.concatenate([self.targets, self.bystanders]))
        right = ensemble_log_probs(fitted, self.test).argmax(2) == self.test.y
        others = auc(found[:, untouched].ravel(), masks[:, untouched].ravel())
        assert isinstance(others, float)
        return Scores(found[:, self.targets].ravel(), masks[:, self.targets].ravel(), others, float(right.mean()))


def figures(seeds: list[Scores]) -> dict[str, Floats]:
    """AUC, TPR at 1 %, AUC of the others and clean accuracy, one figure per seed each."""
    areas = [auc(one.targets, one.member) for one in seeds]
    scores, member = (np.concatenate([getattr(one, name) for one in seeds]) for name in ("targets", "member"))
    cut = np.quantile(scores[~member], 0.99, method="higher")
    return {
        "AUC": np.array(areas, float),
        "TPR@1%": np.array([(one.targets[one.member] > cut).mean() for one in seeds]),
        "AUC others": np.array([one.others for one in seeds]),
        "accuracy": np.array([one.accuracy for one in seeds]),
    }


def shown(values: Floats) -> str:
    """Mean over seeds with its interval."""
    found = mean_t(values)
    half = f" ± {(found.high - found.low) / 2:.3f}" if isinstance(found, Interval) else ""
    return f"{values.mean():.3f}{half}".replace("0.", ".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="an embedded data set, or the path of an .npz file")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--models", type=int, default=32)
    parser.add_argument("--rest", type=int, default=600, help="held-out records, for the accuracy")
    parser.add_argument("--limit", type=int, default=1797, help="records that are used at most")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = {"npz": given.data} if given.data.endswith(".npz") else given.data
    data = parse_source(source).read(Path()).dataset
    data = data.take(np.random.default_rng(0).permutation(len(data))[: given.limit])
    seeds = [Seed.draw(data, number, given.rest) for number in range(given.seeds)]
    aims: dict[str, Callable[[Seed], npt.NDArray[np.int64]]] = {
        "targets": lambda one: one.targets,
        "noise": lambda one: one.bystanders,
    }
    pairs = given.seeds * given.models * TARGETS // 2
    print(f"{given.data}: {given.seeds} seeds, {given.models} models, {pairs} non-member pairs", flush=True)
    found: dict[tuple[int, str], dict[str, Floats]] = {}
    for replicas in REPLICAS:
        for aim, rows in aims.items() if replicas else [("targets", aims["targets"])]:
            scored = []
            for seed in seeds:
                poison = mislabelled(seed.candidates.take(rows(seed)), replicas, seed.streams.numpy("wrong"))
                scored.append(seed.scores(poison, given.models))
            found[replicas, aim] = figures(scored)
            cells = "   ".join(f"{name} {shown(values)}" for name, values in found[replicas, aim].items())
            print(f"{replicas:3} replicas of {aim:8} {cells}", flush=True)
    for replicas in REPLICAS[1:]:
        gain, rate = (found[replicas, "targets"][n] - found[replicas, "noise"][n] for n in ("AUC", "TPR@1%"))
        print(f"{replicas:3} replicas, targets less noise: AUC {shown(gain)}   TPR@1% {shown(rate)}")


if __name__ == "__main__":
    main()
