"""Gradient matching beside ART's GradientMatchingAttack: same targets, number of poisons, radius, steps, restarts.

    python benchmarks/parity_targeted.py DATA_FOLDER [--only digits,pneumoniamnist] [--seeds 5] [--targets 3]

Needs `adversarial-robustness-toolbox` and `packaging`, in an environment of its own. Every attack knows the training
data, architecture and recipe, and poisons for one target at a time; both draw the records that they poison by
themselves. Victims are then trained from scratch. Targets are test records that the honest victim gets right, each
meant for the class after its own. Success counts the victims that take their target for the class meant; its interval
is a t-interval over seeds, as is that of the paired difference. Bar: not below the peer.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from threatloop.algorithms.surrogates import movable, radius, surrogates
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_model.gradient_matching import RADIUS, GradientMatching
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.data.sources import parse_source
from threatloop.modality import of
from threatloop.models.defaults import default_recipe
from threatloop.models.responder import LocalResponder
from threatloop.numerics.intervals import Interval, paired_t

ARCHITECTURES = {"digits": "mlp", "pneumoniamnist": "cnn"}
RECORDS = {"digits": 1797, "pneumoniamnist": 2500}
POISONS = {"digits": 0.03, "pneumoniamnist": 0.05}
"""Of all training data."""
VICTIMS = 2
"""Trained on each poison, from different initial weights."""


def load(name: str, folder: Path) -> Dataset:
    """Records as floats in [0, 1], which is what ART moves; the same ones in every run."""
    if name == "digits":
        data = Embedded(embedded="digits").read(Path()).dataset
    else:
        data = parse_source({"npz": str(folder / "pneumoniamnist.npz")}).read(Path()).dataset
    data = data.take(np.random.default_rng(0).permutation(len(data))[: RECORDS[name]])
    return data.with_x(of(data.schema).encode(data.x, data.schema))


@dataclass(frozen=True)
class Case:
    """One split, its honest victims, and the targets."""

    streams: Streams
    train: Dataset
    test: Dataset
    training: RecipeTraining
    targets: Dataset
    poisons: int

    @classmethod
    def of(cls, name: str, data: Dataset, seed: int, targets: int) -> Case:
        streams = Streams(2009, (name, f"seed-{seed}"))
        order = streams.numpy("split").permutation(len(data))
        cut = len(data) * 4 // 5
        train, test = data.take(order[:cut]), data.take(order[cut:])
        architecture = Architecture(name=ARCHITECTURES[name])
        training = RecipeTraining(architecture, default_recipe(data.schema, architecture, len(train)))
        case = cls(streams, train, test, training, test, round(POISONS[name] * cut))
        right = np.all([answers(model, test) == test.y for model in case.victims(train)], axis=0)
        return replace(case, targets=test.take(np.flatnonzero(right)[:targets]))

    def victims(self, data: Dataset) -> list[Model]:
        return [self.training.fit(data, self.streams.child(f"victim-{k}")) for k in range(VICTIMS)]

    def wanted(self, target: Dataset) -> int:
        return int(target.y[0] + 1) % target.n_classes


_BUILT = torch.utils.data.DataLoader.__init__


def _unworked(loader: Any, *given: Any, **named: Any) -> None:
    _BUILT(loader, *given, **{**named, "num_workers": 0})


Poison = Callable[[Case, Dataset, int], Dataset]


def answers(model: Model, data: Dataset) -> NDArray[Any]:
    found: NDArray[Any] = LocalResponder(model).log_probs(data.x).argmax(1)
    return found


def ours(attack: GradientMatching) -> Poison:
    def poison(case: Case, target: Dataset, number: int) -> Dataset:
        rate = case.poisons / np.count_nonzero(case.train.y == case.wanted(target))
        held = {
            Resource.QUERY_POOL: case.train.take(slice(0)),
            Resource.LIFECYCLE: case.training,
            Resource.TARGETS: target,
        }
        bench = Bench(case.streams.child(f"attack-{number}"), held)
        made: Dataset = attack.model_copy(update={"rate": rate}).run(case.train, bench).result
        return made

    return poison


def art(attack: GradientMatching) -> Poison:
    """The peer as its documentation shows it, on one surrogate trained like the victim."""

    def poison(case: Case, target: Dataset, number: int) -> Dataset:
        from art.attacks.poisoning import GradientMatchingAttack
        from art.estimators.classification import PyTorchClassifier

        seed = case.streams.integer(f"art-{number}")
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the peer draws from the global generators
        torch.manual_seed(seed)
        (network,) = surrogates(case.training, case.train, 1, case.streams.child(f"attack-{number}"))
        network = copy.deepcopy(network).requires_grad_()
        classifier = PyTorchClassifier(
            network,
            torch.nn.CrossEntropyLoss(),
            tuple(case.train.x.shape[1:]),
            case.train.n_classes,
            optimizer=torch.optim.SGD(network.parameters(), lr=0.05),
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )
        epsilon = attack.epsilon or radius(RADIUS, movable(case.train))
        # A little more than the share, which is rounded down.
        share = (case.poisons + 0.5) / len(case.train)
        peer = GradientMatchingAttack(
            classifier, share, epsilon=epsilon, max_trials=attack.restarts, max_epochs=attack.steps, verbose=0
        )
        x = np.array(case.train.x, np.float32)
        y = np.eye(case.train.n_classes, dtype=np.float32)
        # The peer starts a process per step to load one batch; loading in this one changes its speed only.
        with patch.object(torch.utils.data.DataLoader, "__init__", _unworked):
            made, _ = peer.poison(np.array(target.x, np.float32), y[[case.wanted(target)]], x, y[case.train.y])
        return case.train.with_x(np.asarray(made, np.float32))

    return poison


@dataclass(frozen=True)
class Outcome:
    """Of one seed and method: hits and clean accuracies, one per victim, and seconds per poison."""

    hits: list[bool]
    clean: list[float]
    seconds: list[float]


def measure(case: Case, poison: Poison | None) -> Outcome:
    """One poison and its victims per target; None is the honest victim."""
    found = Outcome([], [], [])
    for number in range(len(case.targets)):
        target = case.targets.take(np.array([number]))
        started = time.process_time()
        made = case.train if poison is None else poison(case, target, number)
        found.seconds.append(time.process_time() - started)
        changed = int((made.x != case.train.x).reshape(len(made), -1).any(axis=1).sum())
        assert changed <= case.poisons, f"{changed} records changed, {case.poisons} allowed"
        for model in case.victims(made):
            found.hits.append(bool(answers(model, target)[0] == case.wanted(target)))
            found.clean.append(float((answers(model, case.test) == case.test.y).mean()))
    return found


def line(name: str, found: list[Outcome], against: list[Outcome]) -> str:
    """Means over seeds, with t-intervals of the success and of its difference to another method."""
    rates, others = (np.array([np.mean(one.hits) for one in some]) for some in (found, against))
    clean = np.mean([np.mean(one.clean) for one in found])
    seconds = np.mean([np.mean(one.seconds) for one in found])
    cells = [f"{name:22} success {rates.mean():.3f} {within(rates)}   clean {clean:.3f}   {seconds:6.1f} s a poison"]
    if found is not against:
        cells.append(f"ours less this {(others - rates).mean():+.3f} {within(others - rates)}")
    return "   ".join(cells)


def within(values: NDArray[Any]) -> str:
    inside = paired_t(values)
    return f"[{inside.low:+.3f}, {inside.high:+.3f}]" if isinstance(inside, Interval) else "(no interval)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first seed")
    parser.add_argument("--targets", type=int, default=3, help="per seed, one after the other")
    given = parser.parse_args()
    torch.set_num_threads(1)
    attack = GradientMatching()
    poisons: dict[str, Poison | None] = {
        "threatloop": ours(attack),
        "one surrogate, no laps": ours(attack.model_copy(update={"surrogates": 1, "retrain": 0})),
        "ART": art(attack),
        "honest": None,
    }
    for name in given.only.split(","):
        data = load(name, given.data)
        found: dict[str, list[Outcome]] = {method: [] for method in poisons}
        for number in range(given.first, given.first + given.seeds):
            case = Case.of(name, data, number, given.targets)
            for method, poison in poisons.items():
                found[method].append(measure(case, poison))
        print(f"{name}: {given.seeds} seeds, {given.targets} targets each, {VICTIMS} victims per target", flush=True)
        for method, outcomes in found.items():
            print(f"  {line(method, outcomes, found['threatloop'])}", flush=True)


if __name__ == "__main__":
    main()
