"""Prints how near every inversion comes to the training data of a model's classes, beside the guess without the model.

    python benchmarks/inversion.py [DATA_FOLDER] [--seeds 3] [--only digits,breast_cancer,pneumoniamnist] [--attacks ..]

Digits and breast cancer are embedded; `pneumoniamnist.npz` is read from DATA_FOLDER and skipped where absent. Every
seed divides the records into members, non-members and the attacker's pool, trains the victim on the members and the
evaluator on everything. With `--stranger` the attacks are run on a model trained on the attacker's pool instead: what
they gain there, they do not owe to the members. Figures are means over seeds, with the standard deviation of the class
advantage: that, evaluator accuracy, distance and mean distance (in those of typical members), member share, queries,
CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.catalogue import ATTACKS
from threatloop.core.metric import Case
from threatloop.core.schema import Column, ImageSchema, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.metrics.inversion import Inversion
from threatloop.models.defaults import default_recipe
from threatloop.models.responder import local_service

ROWS = (
    "prior_guess",
    "gradient_inversion",
    "inversion_network",
    "generative_guess",
    "generative_inversion",
    "label_only_inversion",
)
FIGURES = ("", ".accuracy", ".distance", ".mean_distance", ".member_share")
MOST = 2000
"""Records per role."""


def digits(_: Path) -> Dataset:
    raw = load_digits()
    schema = ImageSchema(classes=tuple("0123456789"), channels=1, height=8, width=8)
    x = np.rint(raw.images * (255 / 16)).astype(np.uint8)[:, None]
    return Dataset(x, raw.target.astype(np.int64), schema, np.arange(len(x)))


def breast_cancer(_: Path) -> Dataset:
    raw = load_breast_cancer()
    bounds = zip(raw.feature_names, raw.data.min(0), raw.data.max(0), strict=True)
    columns = tuple(Column(name=str(name), low=float(low), high=float(high)) for name, low, high in bounds)
    schema = TabularSchema(classes=("malignant", "benign"), columns=columns)
    return Dataset(raw.data.astype(np.float32), raw.target.astype(np.int64), schema, np.arange(len(raw.data)))


def pneumoniamnist(folder: Path) -> Dataset:
    with np.load(folder / "pneumoniamnist.npz", allow_pickle=False) as arrays:
        x = np.concatenate([arrays[f"{part}_images"] for part in ("train", "val", "test")])[:, None]
        y = np.concatenate([arrays[f"{part}_labels"] for part in ("train", "val", "test")]).ravel().astype(np.int64)
    return Dataset(
        x, y, ImageSchema(classes=("normal", "pneumonia"), channels=1, height=28, width=28), np.arange(len(y))
    )


READERS: dict[str, tuple[Callable[[Path], Dataset], Architecture]] = {
    "digits": (digits, Architecture(name="mlp", parameters={"hidden": [64, 64]})),
    "breast_cancer": (breast_cancer, Architecture(name="mlp", parameters={"hidden": [64, 64]})),
    "pneumoniamnist": (pneumoniamnist, Architecture(name="cnn")),
}


@dataclass(frozen=True)
class World:
    """One seed: who holds which records, and the models trained on them."""

    members: Dataset
    nonmembers: Dataset
    pool: Dataset
    victim: Model
    evaluator: Model
    streams: Streams

    @classmethod
    def of(cls, data: Dataset, architecture: Architecture, seed: int, stranger: bool) -> World:
        streams = Streams(seed, ("benchmark",))
        third = min(MOST, len(data) // 3)
        order = streams.numpy("roles").permutation(len(data))
        members, nonmembers, pool = (data.take(order[i * third : (i + 1) * third]) for i in range(3))
        training = RecipeTraining(architecture, default_recipe(data.schema, architecture, third))
        victim = training.fit(pool if stranger else members, streams.child("victim"))
        evaluator = training.fit(data, streams.child("evaluator"))
        return cls(members, nonmembers, pool, victim, evaluator, streams)

    def run(self, attack: ModelToData, limit: int | None) -> list[float]:
        """The figures, the queries spent and the seconds of one attack."""
        service, progress = local_service(self.victim, limit=limit), Progress()
        bench = Bench(self.streams.child("attack"), {Resource.QUERY_POOL: self.pool}, progress)
        start = time.process_time()
        found = attack.run(service, bench).result
        seconds = time.process_time() - start
        truths = {"outcome": found, "members": self.members, "nonmembers": self.nonmembers, "held": self.pool}
        case = Case({**truths, "evaluator": self.evaluator}, attack, self.streams.child("judge"))
        read = {r.metric: r.value for r in Inversion().grade(case).readings}
        values = [read["inversion" + figure] for figure in FIGURES]
        return [np.nan if v is None else v for v in values] + [float(service.ledger.spent), seconds]


def show(name: str, values: list[list[float]]) -> None:
    """One line: means, and the standard deviation of the class advantage over seeds."""
    mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
    figures = "".join(f"{value:9.3f}" for value in mean[1:5])
    print(f"  {name:44s}{mean[0]:8.3f} ±{spread[0]:.3f}{figures}{mean[5]:10.0f}{mean[6]:8.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(READERS))
    parser.add_argument("--attacks", default=",".join(ROWS), help="rows of the catalogue, name or name:field=value")
    parser.add_argument("--limit", type=int, help="query budget")
    parser.add_argument("--stranger", action="store_true", help="attack a model that has seen no member")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.only.split(","):
        reader, architecture = READERS[name]
        try:
            data = reader(arguments.data)
        except FileNotFoundError as error:
            print(f"{name}: skipped, {error.filename} is absent")
            continue
        worlds = [World.of(data, architecture, seed, arguments.stranger) for seed in range(arguments.seeds)]
        print(f"{name}: {len(worlds[0].members)} members, {arguments.seeds} seeds")
        print(f"  {'':44s}advantage       accuracy distance mean dist  members   queries CPU s")
        for written in arguments.attacks.split(","):
            row, *fields = written.split(":")
            attack = ATTACKS.load(row).model_validate(dict(field.split("=") for field in fields))
            assert isinstance(attack, ModelToData)
            show(written, [world.run(attack, arguments.limit) for world in worlds])


if __name__ == "__main__":
    main()
