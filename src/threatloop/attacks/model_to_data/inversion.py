"""Model inversion by gradients: likenesses of each class's training data."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.recovered import encoded_shape, recovered, start_points
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload

KEEP_EVERY = 20
"""Steps between two complete results, for the case that the budget ends the ascent."""


class GradientInversion(ModelToData):
    """Climbs the model's confidence in each class, within what the attacker's own data make plausible.

    Threat model: the attacker reads gradients (he holds the weights, such as those of a stolen clone) and has labelled
    records of the same kind from elsewhere. He seeks what the training data of each class look like.

    From wide random starts, every record climbs the margin log p_y − log(1 − p_y). It stays inside a
    Mahalanobis ball around the mean of the attacker's own records of that class (covariance within classes, shrunken)
    and inside the range that he has seen; noise on the input keeps it off adversarial directions. Of the restarts the
    one with the largest margin is kept, for each record by itself.

    Returns ``per_class`` valid records per class, labelled with it, ids −1. Asks the model classes × ``per_class`` ×
    ``restarts`` × (``steps`` + 2) records; with less budget it makes fewer restarts. Notes ``gradient_nonzero`` (of
    the records), ``loss_first`` and ``loss_last`` (minus the mean margin of all restarts, without noise).

    Fredrikson, Jha, Ristenpart 2015, "Model Inversion Attacks that Exploit Confidence Information and Basic
    Countermeasures" (CCS), section 5 (MI-Face); Nguyen, Chandrasegaran, Abdollahzadeh, Cheung 2023, arXiv 2304.01669
    (logits instead of likelihood); Struppek et al. 2022, arXiv 2201.12179 (robust gradients).

    Attributes:
        per_class: records per class.
        restarts: independent starts for each of them.
        steps: of projected gradient ascent with momentum; 100 reach the same margins as 200.
        radius: size of the ball; 1 is as far from the class mean as a typical real record. A larger ball raises the
            margin but leaves the real data: the distance to the nearest member grows.
        learning_rate: first step size, as a share of the radius; falls to 0 along a cosine.
        smoothing: standard deviation of the input noise, in standard deviations of each cell.

    Raises:
        InputError: the attacker holds fewer than two records.
        NotAssessable: records of this modality cannot be changed by small steps, or the budget allows no step.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Gradient inversion",
        direction=Direction.MODEL_TO_DATA,
        knowledge="gradients of the model; labelled records of the same kind, none of them a member",
        modalities=frozenset({"image", "tabular"}),
        metrics=("inversion",),
        paper="Fredrikson, Jha, Ristenpart 2015, CCS, section 5; Nguyen et al. 2023, Re-thinking Model Inversion "
        "Attacks, arXiv 2304.01669",
        baseline="prior_guess",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.QUERY_POOL}),
        atlas=("AML.T0024.001",),
    )

    per_class: int = Field(default=4, ge=1)
    restarts: int = Field(default=3, ge=1)
    steps: int = Field(default=100, ge=1)
    radius: float = Field(default=0.2, gt=0, le=2)
    learning_rate: float = Field(default=0.3, gt=0, le=1)
    smoothing: float = Field(default=0.5, ge=0, le=2)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every step is a forward and backward pass of every restart."""
        passes = workload.classes * self.per_class * self.restarts * self.steps
        return {"training_passes": float(passes), "scoring_passes": 0.0}

    def recover(self, service: Service, bench: Bench) -> Dataset:
        """The recovered records."""
        import torch

        from threatloop.algorithms.class_prior import estimate
        from threatloop.algorithms.inversion import Ascent, Climb, Space

        pool, streams = bench.data(Resource.QUERY_POOL), bench.streams
        forward = service.differentiable()
        labels = np.repeat(np.arange(pool.n_classes), self.per_class)
        starts = np.tile(labels, self._affordable(service, len(labels)))
        begin = start_points(pool, starts, streams.numpy("start")).reshape(len(starts), -1)
        climb = Climb(
            forward,
            Space.of_records(estimate(pool), encoded_shape(pool)),
            starts,
            begin,
            Ascent(self.steps, self.learning_rate, self.radius, self.smoothing),
            torch.Generator().manual_seed(streams.integer("noise")),
        )

        def best(margins: npt.NDArray[np.float32]) -> Dataset:
            tries = margins.reshape(-1, len(labels)).argmax(axis=0)
            chosen = tries * len(labels) + np.arange(len(labels))
            return recovered(climb.records()[chosen], labels, pool)

        bench.progress.note("loss_first", -float(climb.judge().mean()))
        for step in range(self.steps):
            margins = climb.step()
            bench.progress.note("gradient_nonzero", climb.live)
            if step % KEEP_EVERY == 0:
                bench.progress.keep(best(margins))
                bench.progress.report(step / self.steps)
        bench.progress.keep(best(margins))
        margins = climb.judge()
        bench.progress.note("loss_last", -float(margins.mean()))
        return best(margins)

    def _affordable(self, service: Service, records: int) -> int:
        """Restarts that the budget allows in full, at least one."""
        left = service.ledger.left
        return self.restarts if left is None else max(1, min(self.restarts, left // (records * (self.steps + 2))))
