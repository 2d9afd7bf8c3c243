"""Property inference: what share of the training data has a property."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.distribution_tests import divergence_test, meta_classifier
from threatloop.algorithms.properties import FEWEST, Property, draw_world, world_size
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training

ASKED = 0.2
"""Share of the attacker's records that is kept from his models to ask about: like all the victim has not seen."""


class PropertyInference(Probe[Service]):
    """Tells whether a low or a high share of the victim's records has a property, by models trained in both worlds.

    Threat model: the attacker knows the two possible shares, reads the model's scores, and has records of the same kind
    and the victim's recipe. The victim's own records are drawn in one of the two worlds, by a fair coin per seed.

    Returns the array ``world``, float64 (1,): the probability of the high share, in [0, 1]. At most ``queries``
    queries, of the attacker's own records.

    Ateniese et al. 2015, "Hacking Smart Machines with Smarter Ones", arXiv 1306.4447 (meta-classifier); Zhang, Tople,
    Ohrimenko 2021, "Leakage of Dataset Properties in Multi-Party Machine Learning", arXiv 2006.07267, section 4 (on
    answers); Suri, Evans 2022, "Formalizing and Estimating Distribution Inference Risks", arXiv 2109.06024 (worlds);
    Suri et al. 2023, "Dissecting Distribution Inference", arXiv 2212.07591, section 4 (KL test). The meta-classifier is
    a ridge regression: the models are fewer than the answers.

    Attributes:
        label: index of the class whose share is asked, where no ``column`` is named.
        column: of a table: above its median, or in ``category``.
        category: name; None is the column's first.
        low: share in world 0, in (0, 1).
        high: share in world 1, in (0, 1), above ``low``.
        size: share of the most records possible that the victim trains on, in (0, 1]. At the default a pool of the
            usual size gives models as large as the victim; a victim that is much larger answers more surely than any
            of them and is taken for the world of the surer answers (right in .58 instead of 1.00 of 24 trials on
            digits).
        models: per world, of the attacker's own.
        method: ``meta`` (classifier), ``kl`` (test) or ``best``: the one that tells the attacker's models apart better.
        queries: most records asked of the victim.

    Raises:
        NotAssessable: too few records with or without the property, or no budget.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Property inference",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled records of the same kind, none of them a member; the victim's architecture and recipe; the "
        "two shares between which it decides",
        modalities=frozenset({"image", "tabular"}),
        metrics=("property_inference",),
        paper="Ateniese et al. 2015, Hacking Smart Machines with Smarter Ones, arXiv 1306.4447; Suri, Evans 2022, "
        "Formalizing and Estimating Distribution Inference Risks, arXiv 2109.06024",
        baseline="property_guess",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0024",),
        victim="skewed",
    )

    label: int = Field(default=0, ge=0)
    column: str | None = None
    category: str | None = None
    low: float = Field(default=0.3, gt=0, lt=1)
    high: float = Field(default=0.7, gt=0, lt=1)
    size: float = Field(default=0.55, gt=0, le=1)
    models: int = Field(default=16, ge=2)
    method: Literal["best", "meta", "kl"] = "best"
    queries: int = Field(default=1000, ge=1)

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """A property that the records do not have, or shares in the wrong order."""
        order = [] if self.low < self.high else [f"low: {self.low} must be below high ({self.high})"]
        return order + self._property().problems(schema)

    def work(self, workload: Workload) -> dict[str, float]:
        """The models of both worlds; about a tenth of the records each."""
        passes = 2 * self.models * workload.records * workload.recipe.epochs / 10
        return {"training_passes": passes, "scoring_passes": float(self.queries * (2 * self.models + 1))}

    def holds(self, data: Dataset, reference: Dataset) -> npt.NDArray[np.bool_]:
        """Which records have the property, (n,); a median is that of the reference."""
        return self._property().holds(data, reference)

    def skew(self, own: Dataset, world: int, rng: np.random.Generator) -> Dataset:
        """The victim's own records in world 0 (share ``low``) or 1 (``high``); equally many in both."""
        holds = self.holds(own, own)
        share = self.high if world else self.low
        size = max(FEWEST, round(self.size * world_size(holds, self.low, self.high)))
        return own.take(draw_world(holds, share, size, rng))

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The probability of the high share."""
        pool, rng = bench.data(Resource.QUERY_POOL), bench.streams.numpy("property")
        if len(pool) < 2:
            raise NotAssessable("the attacker has fewer than two records")
        order = rng.permutation(len(pool))
        kept = max(1, round(ASKED * len(pool)))
        left = source.ledger.left
        asked = pool.take(order[:kept][: min(self.queries, kept if left is None else max(1, left))])
        victim = source.log_probs(asked.x).astype(np.float64)
        world = np.arange(2 * self.models) % 2 == 1
        shadows = self._answers(pool.take(order[kept:]), pool, asked, world, bench)
        return Evidence({"world": np.array([self._probability(shadows, victim, world)])})

    def _answers(
        self, own: Dataset, pool: Dataset, asked: Dataset, world: npt.NDArray[np.bool_], bench: Bench
    ) -> npt.NDArray[np.float64]:
        """Log-probabilities (models, asked, classes) of the attacker's models of both worlds, in turn."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        holds, rng = self.holds(own, pool), bench.streams.numpy("worlds")
        size = world_size(holds, self.low, self.high)
        masks = np.zeros((len(world), len(own)), np.bool_)
        for mask, high in zip(masks, world, strict=True):
            mask[draw_world(holds, self.high if high else self.low, size, rng)] = True
        streams = [bench.streams.child(f"property-{k}") for k in range(len(world))]
        return training.answers(training.fit_many(own, masks, streams), asked).astype(np.float64)

    def _probability(
        self, shadows: npt.NDArray[np.float64], victim: npt.NDArray[np.float64], world: npt.NDArray[np.bool_]
    ) -> float:
        tests = {"meta": (meta_classifier,), "kl": (divergence_test,), "best": (meta_classifier, divergence_test)}
        found = [test(shadows, victim, world) for test in tests[self.method]]
        return max(found, key=lambda one: one.separation(world)).probability(world)

    def _property(self) -> Property:
        return Property(self.label, self.column, self.category)
