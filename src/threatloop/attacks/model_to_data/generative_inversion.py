"""Model inversion with a generative prior: a search in the codes of the attacker's own generator."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.generative import Generative
from threatloop.algorithms.recovered import recovered
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload

KEEP_EVERY = 20
"""Steps between two complete results, for the case that the budget ends the search."""
COPIES = 8
"""Noisy copies of each record by which restarts are compared."""


class GenerativeInversion(Generative):
    """Climbs the model's confidence in each class among the records that a generator makes.

    Threat model: the attacker reads gradients (he holds the weights, such as those of a stolen clone) and has labelled
    records of the same kind from elsewhere. He seeks what the training data of each class look like.

    He trains a small generator on his own records. From random codes of each class, the codes climb the margin
    log p_y − log(1 − p_y) of what is made of them, under noise on the input. They stay inside a Mahalanobis ball around
    the mean code of the class. Of the restarts the one with the largest mean margin over noisy copies is kept.

    Returns ``per_class`` valid records per class, labelled with it, ids −1. Asks the model classes × ``per_class`` ×
    ``restarts`` × (``steps`` + 9) records; with less budget it makes fewer restarts. Notes ``gradient_nonzero`` (of
    the codes), ``loss_first`` and ``loss_last`` (minus the mean margin of all restarts), and the generator's losses.

    What it gains over its baseline may be any good model's merit, not the members': a model that the attacker trains on
    his own records serves about as well on digits (``benchmarks/inversion.py --stranger``).

    The papers train adversarial networks on up to 10⁵ images for days; here it is a variational autoencoder, trained in
    seconds on a few hundred records. KED-MI's training of the generator on the victim's answers is left out.

    Zhang et al. 2020, "The Secret Revealer: Generative Model-Inversion Attacks Against Deep Neural Networks", arXiv
    1911.07135, section 3 (search in a generator's codes); Struppek et al. 2022, "Plug & Play Attacks", arXiv
    2201.12179, section 3 (robust steps and robust choice of the result); Chen, Kahla, Jia, Qi 2021, arXiv 2010.04092.

    Attributes:
        per_class, generator_steps, latent, width: as `Generative`.
        restarts: independent starts for each record.
        steps: of projected gradient ascent with momentum.
        radius: size of the ball; 1 is as far from the mean code as a typical real record's.
        learning_rate: first step size, as a share of the radius; falls to 0 along a cosine.
        smoothing: standard deviation of the input noise, in standard deviations of each cell.

    Raises:
        InputError: the attacker holds fewer than two records.
        NotAssessable: records of this modality cannot be changed by small steps, or the budget allows no step.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Generative inversion",
        direction=Direction.MODEL_TO_DATA,
        knowledge="gradients of the model; labelled records of the same kind, none of them a member",
        modalities=frozenset({"image", "tabular"}),
        metrics=("inversion",),
        paper="Zhang et al. 2020, The Secret Revealer, arXiv 1911.07135, section 3; Struppek et al. 2022, Plug & Play "
        "Attacks, arXiv 2201.12179, section 3",
        baseline="generative_guess",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.QUERY_POOL}),
        atlas=("AML.T0024.001",),
    )

    restarts: int = Field(default=3, ge=1)
    steps: int = Field(default=60, ge=1)
    radius: float = Field(default=0.4, gt=0, le=2)
    learning_rate: float = Field(default=0.3, gt=0, le=1)
    smoothing: float = Field(default=0.5, ge=0, le=2)

    def work(self, workload: Workload) -> dict[str, float]:
        """The generator's training, and a pass through it and the model for every restart and step."""
        climbs = workload.classes * self.per_class * self.restarts * self.steps
        return {"training_passes": 128.0 * self.generator_steps + 2.0 * climbs, "scoring_passes": 0.0}

    def recover(self, service: Service, bench: Bench) -> Dataset:
        """The recovered records."""
        pool = bench.data(Resource.QUERY_POOL)
        labels = np.repeat(np.arange(pool.n_classes), self.per_class)
        climb = self._climb(service, pool, np.tile(labels, self._affordable(service, len(labels))), bench)

        def best(margins: npt.NDArray[np.float32]) -> Dataset:
            tries = margins.reshape(-1, len(labels)).argmax(axis=0)
            return recovered(climb.records()[tries * len(labels) + np.arange(len(labels))], labels, pool)

        bench.progress.note("loss_first", -float(climb.judge().mean()))
        for step in range(self.steps):
            margins = climb.step()
            bench.progress.note("gradient_nonzero", climb.live)
            if step % KEEP_EVERY == 0:
                bench.progress.keep(best(margins))
                bench.progress.report(step / self.steps)
        bench.progress.keep(best(margins))
        margins = climb.judge(COPIES)
        bench.progress.note("loss_last", -float(margins.mean()))
        return best(margins)

    def _climb(self, service: Service, pool: Dataset, starts: npt.NDArray[np.int64], bench: Bench) -> Any:
        import torch

        from threatloop.algorithms.inversion import Ascent, Climb

        space, streams = self.space(pool, bench), bench.streams
        noise = streams.numpy("start").standard_normal((len(starts), len(space.prior.basis)), dtype=np.float32)
        return Climb(
            service.differentiable(),
            space,
            starts,
            space.prior.means[starts] + noise @ space.prior.basis,
            Ascent(self.steps, self.learning_rate, self.radius, self.smoothing),
            torch.Generator().manual_seed(streams.integer("noise")),
        )

    def _affordable(self, service: Service, records: int) -> int:
        """Restarts that the budget allows in full, at least one."""
        left, each = service.ledger.left, records * (self.steps + 1 + COPIES)
        return self.restarts if left is None else max(1, min(self.restarts, left // each))
