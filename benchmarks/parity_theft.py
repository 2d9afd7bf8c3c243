"""Prints the fidelity of stolen clones beside ART's KnockoffNets, and beside a surrogate that never asks the victim.

    python benchmarks/parity_theft.py [DATA_FOLDER] [--seeds 3] [--queries 500,1000,2000] [--only digits,pneumoniamnist]

The peer is adversarial-robustness-toolbox (with `packaging`); where it is not installed, its column is left out. Both
sides train the same architecture on the same queries and read the same victim. The peer trains as its documentation
shows: Adam at 1e-3, batches of 64, 100 epochs, on probabilities or one-hot labels. Figures are means over seeds with
95 % t-intervals; the excess is fidelity less the surrogate's, seed by seed. Digits are embedded; `pneumoniamnist.npz`
is read from DATA_FOLDER and skipped where absent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from threatloop.algorithms.queries import draw
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.model_to_model.active_theft import ActiveTheft
from threatloop.attacks.model_to_model.knockoff import Knockoff
from threatloop.attacks.model_to_model.surrogate import Surrogate
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.modality import of
from threatloop.models.defaults import default_recipe
from threatloop.models.responder import local_service

EPOCHS = 100
ARCHITECTURES = {"digits": "mlp", "pneumoniamnist": "cnn"}
MEMBERS = {"digits": 0.25, "pneumoniamnist": 0.3}
POOL = {"digits": 0.4, "pneumoniamnist": 0.4}


def load(name: str, folder: Path) -> Dataset | None:
    if name == "digits":
        return Embedded(embedded="digits").read(Path()).dataset
    path = folder / "pneumoniamnist.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        x = np.concatenate([arrays[f"{part}_images"] for part in ("train", "val", "test")])[:, None]
        y = np.concatenate([arrays[f"{part}_labels"] for part in ("train", "val", "test")]).ravel()
    schema = ImageSchema(classes=("normal", "pneumonia"), channels=1, height=28, width=28)
    return Dataset(x, y.astype(np.int64), schema, np.arange(len(y)))


@dataclass(frozen=True)
class Case:
    """One victim, and what its thieves hold."""

    streams: Streams
    pool: Dataset
    test: Dataset
    training: RecipeTraining
    victim: Model

    @classmethod
    def of(cls, name: str, data: Dataset, seed: int) -> Case:
        streams = Streams(7, (name, f"seed-{seed}"))
        order = streams.numpy("split").permutation(len(data))
        members, pool = (round(share[name] * len(data)) for share in (MEMBERS, POOL))
        own, held, test = (data.take(rows) for rows in np.split(order, [members, members + pool]))
        architecture = Architecture(name=ARCHITECTURES[name])
        training = RecipeTraining(architecture, default_recipe(data.schema, architecture, len(own)))
        return cls(streams, held, test, training, training.fit(own, streams.child("victim")))

    def bench(self) -> Bench:
        held = {
            Resource.QUERY_POOL: self.pool,
            Resource.OUT_OF_DISTRIBUTION: self.pool.take(slice(0)),
            Resource.LIFECYCLE: self.training,
        }
        return Bench(self.streams.child("attack"), held)

    def asked(self, queries: int) -> Dataset:
        """The records that our random thief asks about."""
        return draw(self.pool, queries, self.bench().streams.numpy("queries"))

    def fidelity(self, labels: NDArray[np.int64]) -> float:
        return float((labels == local_service(self.victim).labels(self.test.x)).mean())


def ours(attack: Any) -> Callable[[Case], float]:
    def run(case: Case) -> float:
        clone = attack.run(local_service(case.victim), case.bench()).result
        return case.fidelity(clone.labels(case.test.x))

    return run


def peer(queries: int, answers: str) -> Callable[[Case], float]:
    """ART's KnockoffNets on the queries that our thief draws; it trains a fresh network of the victim's kind."""
    import torch
    from art.attacks.extraction import KnockoffNets
    from art.estimators.classification import PyTorchClassifier

    from threatloop.models.build import build, load

    def run(case: Case) -> float:
        schema = case.pool.schema
        encoded = [np.asarray(of(schema).encode(d.x, schema)) for d in (case.asked(queries), case.test)]
        fresh = build(case.victim.architecture, schema, torch.Generator().manual_seed(case.streams.integer("peer")))
        mean, std = encoded[0].mean(), encoded[0].std()
        fresh.normalise_by(np.full(1, mean, np.float32), np.full(1, std, np.float32))
        np.random.seed(case.streams.integer("peer", 31))  # noqa: NPY002 - the peer draws from the global state
        known = {"input_shape": encoded[0].shape[1:], "nb_classes": len(schema.classes), "device_type": "cpu"}
        loss = torch.nn.CrossEntropyLoss()
        victim = PyTorchClassifier(_probabilities(load(case.victim)), loss=loss, **known)
        adam = torch.optim.Adam(fresh.parameters(), lr=1e-3)
        thief = PyTorchClassifier(fresh, loss=loss, optimizer=adam, **known)
        attack = KnockoffNets(
            victim,
            batch_size_fit=64,
            batch_size_query=256,
            nb_epochs=EPOCHS,
            nb_stolen=queries,
            use_probability=answers == "soft",
            verbose=False,
        )
        stolen = attack.extract(encoded[0].astype(np.float32), thieved_classifier=thief)
        return case.fidelity(stolen.predict(encoded[1].astype(np.float32)).argmax(axis=1))

    return run


def _probabilities(network: Any) -> Any:
    import torch

    return torch.nn.Sequential(network, torch.nn.Softmax(dim=1))


def has_peer() -> bool:
    try:
        import art  # noqa: F401
    except ImportError:
        return False
    return True


def interval(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.4f}"
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.4f} ± {half:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--queries", default="500,1000,2000")
    parser.add_argument("--only", default="digits,pneumoniamnist")
    chosen = parser.parse_args()
    for name in chosen.only.split(","):
        data = load(name, chosen.folder)
        if data is None:
            print(f"{name}: not found in {chosen.folder}, skipped")
            continue
        cases = [Case.of(name, data, seed) for seed in range(chosen.seeds)]
        print(f"{name}: {ARCHITECTURES[name]}, pool {len(cases[0].pool)}, test {len(cases[0].test)}")
        for queries in map(int, chosen.queries.split(",")):
            _compare(cases, queries)


def _compare(cases: list[Case], queries: int) -> None:
    own = [ours(Surrogate(queries=queries))(case) for case in cases]
    print(f"  {queries} queries: surrogate {interval(own)}", flush=True)
    for answers in ("soft", "hard"):
        sides: dict[str, Callable[[Case], float]] = {
            "knockoff": ours(Knockoff(queries=queries, answers=answers)),
            "active": ours(ActiveTheft(queries=queries, answers=answers)),
        }
        if has_peer():
            sides["ART"] = peer(queries, answers)
        found: dict[str, list[float]] = {}
        for side, run in sides.items():
            started = time.perf_counter()
            found[side] = [run(case) for case in cases]
            excess = [value - base for value, base in zip(found[side], own, strict=True)]
            seconds = (time.perf_counter() - started) / len(cases)
            figures = f"{interval(found[side])}  excess {interval(excess)}  {seconds:.1f} s"
            print(f"    {answers} {side:9s} {figures}", flush=True)
        if "ART" in found:
            gaps = [a - b for a, b in zip(found["knockoff"], found["ART"], strict=True)]
            print(f"    {answers} knockoff − ART {interval(gaps)}", flush=True)


if __name__ == "__main__":
    main()
