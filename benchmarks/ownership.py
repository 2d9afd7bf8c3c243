"""Prints how often owners claim a model: their own, clones stolen from it, and independent ones (false claims).

    python benchmarks/ownership.py [DATA_FOLDER] [--data digits] [--victims 10] [--independent 6] [--queries 500]
        [--proofs backdoor_watermark,…] [--set FIELD=VALUE …]

A claim is made at p ≤ .01. Independent models are trained by the same recipe on records that the owner never had; the
records that a claim compares with are nobody's. Clones are Knockoff Nets' with soft and with hard answers. Intervals
are 95 % Clopper-Pearson; independent models of one victim share its claim's secrets, so they are not quite independent
trials. `KS` is the p-value of a one-sided test that false claims' p-values are no smaller than uniform.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from threatloop.algorithms.ownership import PROOF
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.detection import Verification
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.models.defaults import default_recipe
from threatloop.models.responder import local_service
from threatloop.numerics.binomial import clopper_pearson
from threatloop.numerics.figures import Interval

SOURCES: dict[str, dict[str, Any]] = {
    "digits": {"embedded": "digits"},
    "breast_cancer": {"embedded": "breast_cancer"},
    "pneumoniamnist": {"npz": "pneumoniamnist.npz", "limit": 2000},
}
ARCHITECTURES = {"digits": "mlp", "breast_cancer": "mlp", "pneumoniamnist": "cnn"}
SHARES = (0.35, 0.35)
"""Of the data: the owner's records, and the others' from which thieves ask and independent models are trained."""
USED = 0.8
"""Of the others' records, by each independent model."""
SIGNIFICANT = 0.01
PROOFS = "backdoor_watermark,entangled_watermark,backdoor_mark,radioactive_data,dataset_inference"


@dataclass(frozen=True)
class World:
    """An owner's records, those of others, and nobody's."""

    streams: Streams
    own: Dataset
    pool: Dataset
    test: Dataset
    training: RecipeTraining

    @classmethod
    def of(cls, name: str, data: Dataset, number: int) -> World:
        streams = Streams(11, (f"{name}-{number}",))
        order = streams.numpy("split").permutation(len(data))
        cuts = np.cumsum([round(share * len(data)) for share in SHARES])
        own, pool, test = (data.take(rows) for rows in np.split(order, cuts))
        architecture = Architecture(name=ARCHITECTURES[name])
        training = RecipeTraining(architecture, default_recipe(data.schema, architecture, len(own)))
        return cls(streams, own, pool, test, training)

    def suspects(self, victim: Model, independent: int, queries: int) -> Iterator[tuple[str, Model]]:
        """Models by what they are."""
        yield "itself", victim
        held = {
            Resource.QUERY_POOL: self.pool,
            Resource.OUT_OF_DISTRIBUTION: self.pool.take(slice(0)),
            Resource.LIFECYCLE: self.training,
        }
        for answers in ("soft", "hard"):
            thief = ATTACKS.load("knockoff").model_validate({"queries": queries, "answers": answers})
            stolen = thief.run(local_service(victim), Bench(self.streams.child("thief"), held)).result
            yield f"clone, {answers}", stolen.responder.model()
        for k in range(independent):
            streams = self.streams.child(f"independent-{k}")
            rows = streams.numpy("records").permutation(len(self.pool))[: round(USED * len(self.pool))]
            yield "independent", self.training.fit(self.pool.take(rows), streams)

    def accuracy(self, model: Model) -> float:
        return float((local_service(model).labels(self.test.x) == self.test.y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--data", default="digits", choices=sorted(SOURCES))
    for name, value in {"victims": 10, "independent": 6, "queries": 500}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--proofs", default=PROOFS)
    parser.add_argument("--set", nargs="*", default=[], help="of every proof, such as rate=.2")
    given = parser.parse_args()
    data = parse_source(SOURCES[given.data]).read(given.folder).dataset
    worlds = [World.of(given.data, data, number) for number in range(given.victims)]
    plain = [world.training.fit(world.own, world.streams.child("train")) for world in worlds]
    fields = {name: json.loads(value) for name, _, value in (one.partition("=") for one in given.set)}
    for name in given.proofs.split(","):
        proof = DEFENCES.load(name).model_validate(fields)
        assert isinstance(proof, Verification)
        told, cost, began = dict[str, list[float]](), list[float](), time.perf_counter()
        for world, unmarked in zip(worlds, plain, strict=True):
            victim = proof.applied(world.training).fit(world.own, world.streams.child("train"))
            cost.append(world.accuracy(unmarked) - world.accuracy(victim))
            for kind, suspect in world.suspects(victim, given.independent, given.queries):
                answers = local_service(suspect).responder.log_probs
                secret = world.streams.child(PROOF)
                claim = proof.claim(answers, world.own, world.test, world.training, secret)
                told.setdefault(kind, []).append(claim.p_value)
        seconds = (time.perf_counter() - began) / len(worlds)
        print(f"{given.data} {name}: accuracy −{np.mean(cost):.3f}, {seconds:.1f} s a victim")
        for kind, values in told.items():
            print(f"  {kind:12s} {line(values)}", flush=True)


def line(values: list[float]) -> str:
    """Share claimed with its interval, median p, and whether the p-values are too small to be uniform."""
    claimed = sum(value <= SIGNIFICANT for value in values)
    ends = clopper_pearson(claimed, len(values))
    assert isinstance(ends, Interval)
    small = stats.kstest(values, "uniform", alternative="greater").pvalue
    share = f"{claimed / len(values):.3f} [{ends.low:.3f}, {ends.high:.3f}] of {len(values)}"
    at_five = np.mean(np.array(values) <= 0.05)
    return f"claimed {share}, median p {np.median(values):.2g}, ≤ .05 {at_five:.3f}, KS {small:.2g}"


if __name__ == "__main__":
    main()
