"""Model inversion with labels only: codes that walk away from the model's decision boundaries."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.generative import Generative
from threatloop.algorithms.recovered import recovered
from threatloop.algorithms.repulsion import Repulsion, Walk, confined
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload

Floats = npt.NDArray[np.float32]
START = 0.3
"""Starts spread this many of the codes' standard deviations around their class's mean."""
DRAWS = 16
"""Wider starts that are tried where the model gives the first one another label."""
FIRST, GROWTH = 0.7, 1.2
"""Radius of the first spheres, as that of a typical code, and the factor by which they grow."""


class LabelOnlyInversion(Generative):
    """BREP-MI: walks to where the largest sphere of codes has the class's label.

    Threat model: black box, labels only. The attacker sees the most likely class of what he asks and has labelled
    records of the same kind from elsewhere. He seeks what the training data of each class look like.

    He trains a small generator on his own records. Around the code of each record to be, points on a sphere are decoded
    and asked; those with another label push the code away. Where none has, the sphere grows. The centre of the
    largest sphere is returned. Codes stay inside a Mahalanobis ball around the mean code of the class, which the paper
    leaves to its generator. All records walk together.

    Returns ``per_class`` valid records per class, labelled with it, ids −1. Asks ``queries`` records, or as many as the
    budget allows. Notes ``loss_first`` and ``loss_last`` (minus the mean radius of the spheres, relative to the first),
    and the generator's losses.

    Kahla, Chen, Just, Jia 2022, "Label-Only Model Inversion Attacks via Boundary Repulsion", arXiv 2203.05212, section
    4, algorithm 1.

    Attributes:
        per_class, generator_steps, latent, width: as `Generative`.
        queries: records to ask in all.
        directions: points on each sphere.
        radius: size of the ball; 1 is as far from the mean code as a typical real record's.

    Raises:
        InputError: the attacker holds fewer than two records.
        NotAssessable: records of this modality cannot be changed by small steps, or no query is left.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Label-only inversion (BREP-MI)",
        direction=Direction.MODEL_TO_DATA,
        knowledge="the model's labels; labelled records of the same kind, none of them a member",
        modalities=frozenset({"image", "tabular"}),
        metrics=("inversion",),
        paper="Kahla, Chen, Just, Jia 2022, Label-Only Model Inversion Attacks via Boundary Repulsion, arXiv "
        "2203.05212, section 4",
        baseline="generative_guess",
        needs=frozenset({Capability.LABELS}),
        resources=frozenset({Resource.QUERY_POOL}),
        atlas=("AML.T0024.001",),
        sweep="queries",
    )

    queries: int = Field(default=40_000, ge=1)
    directions: int = Field(default=32, ge=2)
    radius: float = Field(default=0.4, gt=0, le=2)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """The generator's training; every query is decoded and answered."""
        return {"training_passes": 128.0 * self.generator_steps, "scoring_passes": 2.0 * self.queries}

    def recover(self, service: Service, bench: Bench) -> Dataset:
        """The recovered records."""
        if service.ledger.left == 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        pool = bench.data(Resource.QUERY_POOL)
        labels = np.repeat(np.arange(pool.n_classes), self.per_class)
        oracle = _Oracle(service, self.space(pool, bench), pool, labels, self.queries)
        typical = len(oracle.space.prior.basis) ** 0.5
        walk = Walk(self.directions, self.radius * typical, FIRST * typical, GROWTH)
        start = self._start(oracle, walk, bench.streams.numpy("start"))
        repulsion = Repulsion(labels, start, walk, bench.streams.numpy("directions"))
        bench.progress.note("loss_first", -1.0)
        while oracle.left > 0:
            repulsion.step(oracle.ask, oracle.left)
            bench.progress.note("loss_last", -float(repulsion.radius.mean()) / walk.first)
            bench.progress.report(1 - oracle.left / self.queries)
        found = recovered(oracle.make(repulsion.best, labels), labels, pool)
        bench.progress.keep(found)
        oracle.finish()
        return found

    def _start(self, oracle: _Oracle, walk: Walk, rng: np.random.Generator) -> Floats:
        """Codes near their class means; where those have another label, the first of wider ones that has not."""
        n, r = len(oracle.labels), len(oracle.space.prior.basis)
        start = confined(START * rng.standard_normal((n, r), dtype=np.float32), walk.reach)
        wide = rng.standard_normal((n, DRAWS, r), dtype=np.float32)
        everyone = np.arange(n)[: oracle.left]
        lost = everyone[oracle.ask(start[everyone], everyone) != oracle.labels[everyone]]
        whose = np.repeat(lost, DRAWS)[: oracle.left]
        points = wide[lost].reshape(-1, r)[: len(whose)]
        right = oracle.ask(points, whose) == oracle.labels[whose]
        for i in np.flatnonzero(right)[::-1]:
            start[whose[i]] = points[i]
        return start


class _Oracle:
    """Decodes points and asks for their labels, within the attack's budget and the service's.

    Attributes:
        left: records that may still be asked.
    """

    def __init__(
        self, service: Service, space: Any, pool: Dataset, labels: npt.NDArray[np.int64], queries: int
    ) -> None:
        self.space, self.labels = space, labels
        self._service, self._pool = service, pool
        allowed = service.ledger.left
        self._short = allowed is not None and allowed < queries
        self.left = queries if allowed is None else min(queries, allowed)

    def make(self, z: Floats, labels: npt.NDArray[np.int64]) -> Floats:
        """Encoded records of coordinates (m, r) around the mean codes of these classes."""
        import torch

        prior = self.space.prior
        with torch.no_grad():
            return np.asarray(self.space.make(torch.from_numpy(prior.means[labels] + z @ prior.basis)).numpy())

    def ask(self, z: Floats, whose: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Labels (m,) of the records of these targets at these coordinates."""
        if not len(z):
            return np.zeros(0, np.int64)
        schema = self._pool.schema
        self.left -= len(z)
        return self._service.labels(modality.of(schema).decode(self.make(z, self.labels[whose]), schema))

    def finish(self) -> None:
        """Where the service's budget ended it early, asks once more, so that it is said."""
        if self._short:
            self._service.labels(self._pool.x[:1])
