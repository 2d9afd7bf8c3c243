"""Prints how monitors tell attack clients from benign ones: rates at 1 % and 5 %, and queries until detection.

    python benchmarks/monitors.py [DATA_FOLDER] [--data digits] [--victims 5] [--per-victim 4] [--benign 60]
        [--queries 400] [--monitors prada,query_similarity] [--attacks knockoff,…]

Every client asks ``queries`` records: of a longer attack, the first. Thresholds come from the victim's own records;
benign clients ask records that no threshold has seen. The last lines are an attacker who knows the monitors and asks
one query of his own among so many of benign kind. Intervals are 95 % Clopper-Pearson over clients, of which several
share a victim.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threatloop.algorithms.training import RecipeTraining
from threatloop.core.access import Capability
from threatloop.core.assets import Architecture, Dataset, Model, concatenate
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.detection import Monitor
from threatloop.core.seeds import Streams
from threatloop.core.step import Step
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
ASKED_PER_RECORD = 100
"""Queries of a search around one record."""
COVERS = (1, 4, 9)
"""Benign queries for each one of the adaptive attacker's own."""
RATES = (0.01, 0.05)
STEPS = 300
"""Of a clone's training; what a thief asks hardly depends on them."""
SHARES = (0.25, 0.4)
"""Of the data: the victim's own records, and the attacker's pool."""


@dataclass
class Recorded:
    """A service's responder that keeps what it was asked."""

    inner: Any
    asked: list[NDArray[Any]] = field(default_factory=list)

    def log_probs(self, x: NDArray[Any]) -> NDArray[np.float32]:
        self.asked.append(np.array(x))
        answers: NDArray[np.float32] = self.inner.log_probs(x)
        return answers

    def differentiable(self) -> Any:
        return self.inner.differentiable()

    def model(self) -> Model:
        found: Model = self.inner.model()
        return found


@dataclass(frozen=True)
class World:
    """A victim, its own records, the attacker's pool and what is left."""

    streams: Streams
    own: Dataset
    pool: Dataset
    test: Dataset
    training: RecipeTraining
    victim: Model

    @classmethod
    def of(cls, name: str, data: Dataset, number: int) -> World:
        streams = Streams(5, (name, f"victim-{number}"))
        order = streams.numpy("split").permutation(len(data))
        cuts = np.cumsum([round(share * len(data)) for share in SHARES])
        own, pool, test = (data.take(rows) for rows in np.split(order, cuts))
        architecture = Architecture(name=ARCHITECTURES[name])
        training = RecipeTraining(architecture, default_recipe(data.schema, architecture, len(own)))
        return cls(streams, own, pool, test, training, training.fit(own, streams.child("victim")))

    def queries(self, attack: Step[Any], client: int, most: int) -> NDArray[Any]:
        """What one attack client asks, float32 as a network reads it where it asks in several formats."""
        service = local_service(self.victim, frozenset({Capability.SCORES, Capability.LABELS}))
        recorded = Recorded(service.responder)
        service = type(service)(recorded, service.schema, service.grants, service.ledger)
        streams = self.streams.child(f"client-{client}")
        held: dict[Resource, Any] = {
            Resource.QUERY_POOL: self.pool,
            Resource.OUT_OF_DISTRIBUTION: self.pool.take(slice(0)),
            Resource.LIFECYCLE: self.training,
            Resource.VICTIM: service,
            Resource.CANDIDATES: concatenate([self.own, self.test]),
        }
        held = {name: value for name, value in held.items() if name in attack.info.resources}
        source: Any = service
        if attack.info.direction.source == "D":
            source = self.test.take(streams.numpy("victims").permutation(len(self.test)))
        attack.run(source, Bench(streams, held))
        parts = recorded.asked
        if len({part.dtype for part in parts}) > 1:
            parts = [part / np.float32(255) if part.dtype == np.uint8 else part for part in parts]
        return np.concatenate(parts)[:most]

    def benign(self, clients: int, most: int) -> Iterator[NDArray[Any]]:
        """Clients who ask about records of the pool and the rest, none twice while there are others."""
        outside, rng = concatenate([self.pool, self.test]).x, self.streams.numpy("benign-clients")
        for _ in range(clients):
            orders = [rng.permutation(len(outside)) for _ in range(-(-most // len(outside)))]
            yield outside[np.concatenate(orders)[:most]]

    def covered(self, queries: NDArray[Any], cover: int, client: int) -> NDArray[Any]:
        """As many queries, of which one in ``cover + 1`` is the attack's, at random places, in its order."""
        rng = self.streams.numpy(f"cover-{client}-{cover}")
        chosen = rng.random(len(queries)) < 1 / (cover + 1)
        mixed = np.array(queries, copy=True)
        others = concatenate([self.pool, self.test]).x[rng.permutation(len(self.pool) + len(self.test))]
        others = np.resize(others, (len(queries), *others.shape[1:]))
        mixed[chosen] = queries[: chosen.sum()]
        scaled = others / np.float32(255) if others.dtype == np.uint8 and mixed.dtype != np.uint8 else others
        mixed[~chosen] = scaled[~chosen].astype(mixed.dtype)
        return mixed


def attacks(queries: int, chosen: Sequence[str]) -> dict[str, Step[Any]]:
    """The attacks with budgets of about so many queries."""
    records = max(1, queries // ASKED_PER_RECORD)
    search = {"queries_per_record": ASKED_PER_RECORD * 2, "records": records}
    settings: dict[str, dict[str, Any]] = {
        "knockoff": {"queries": queries, "steps": STEPS},
        "jacobian_augmentation": {"queries": queries, "steps": STEPS},
        "data_free_theft": {"queries": 5 * queries, "steps": STEPS},
        "hopskipjump": search,
        "square": search,
        "label_only_membership": search,
    }
    return {name: ATTACKS.load(name).model_validate(settings[name]) for name in chosen}


def rate(found: Sequence[int | None]) -> str:
    hits = sum(after is not None for after in found)
    ends = clopper_pearson(hits, len(found))
    assert isinstance(ends, Interval)
    return f"{hits / len(found):.3f} [{ends.low:.3f}, {ends.high:.3f}]"


def until(found: Sequence[int | None]) -> str:
    caught = [after for after in found if after is not None]
    return f"{np.median(caught):.0f}" if caught else "–"


Told = dict[tuple[str, float], list[int | None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--data", default="digits", choices=sorted(SOURCES))
    for name, value in {"victims": 5, "per-victim": 4, "benign": 60, "queries": 400}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--monitors", default="prada,query_similarity")
    parser.add_argument(
        "--attacks",
        default="knockoff,jacobian_augmentation,data_free_theft,hopskipjump,square,label_only_membership",
    )
    given = parser.parse_args()
    data = parse_source(SOURCES[given.data]).read(given.folder).dataset
    made = attacks(given.queries, given.attacks.split(","))
    told: dict[str, Told] = {}
    for number in range(given.victims):
        world = World.of(given.data, data, number)
        clients = {"benign": list(world.benign(given.benign, given.queries))}
        for name, attack in made.items():
            asked = [world.queries(attack, k, given.queries) for k in range(given.per_victim)]
            clients[name] = asked
            for cover in COVERS:
                mixed = [world.covered(one, cover, k) for k, one in enumerate(asked)]
                clients[f"{name}, 1 in {cover + 1}"] = mixed
        for monitor_name in given.monitors.split(","):
            for at in RATES:
                monitor: Monitor = DEFENCES.load(monitor_name)(rate=at)  # type: ignore[assignment, call-arg]
                collect(told, world, monitor_name, at, clients, monitor.flags)
        print(f"victim {number} of {given.victims}", flush=True)
    print(f"{given.data}: {given.queries} queries a client")
    for monitor_name in given.monitors.split(","):
        for kind, found in told.items():
            cells = [
                f"at {at:.2f}: {rate(some)} after {until(some):>3s}"
                for at in RATES
                for some in [found[monitor_name, at]]
            ]
            print(f"  {monitor_name:17s} {kind:31s} {'   '.join(cells)}")


def collect(
    told: dict[str, Told],
    world: World,
    name: str,
    at: float,
    clients: dict[str, list[NDArray[Any]]],
    flags: Callable[..., list[int | None]],
) -> None:
    """All clients of one victim before one monitor, whose threshold they share where they ask as often."""
    respond = local_service(world.victim).responder.log_probs
    everyone = [one for some in clients.values() for one in some]
    found = iter(flags(everyone, respond, world.own, world.streams.child("monitor")))
    for kind, some in clients.items():
        told.setdefault(kind, {}).setdefault((name, at), []).extend(next(found) for _ in some)


if __name__ == "__main__":
    main()
