"""The baseline of inversions with a generator: what it makes of each class by itself."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.algorithms.generative import Generative
from threatloop.algorithms.recovered import recovered
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class GenerativeGuess(Generative):
    """The record behind the mean code of each class, from the very generator that the attack trains. No queries.

    A record made from a mean code is sharper than a mean record, and nearer to real ones (class advantage .30 against
    .25 on digits). What an attack gains over this it learned from the model; what it gains over the class means may
    be the generator's merit alone.

    Returns ``per_class`` copies per class, valid records with ids −1. Attributes and errors as `Generative`.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Mean codes of the attacker's own generator",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled records of the victim's kind; no access to the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("inversion",),
        paper="the strongest guess of the same generator without the model; no paper",
        baseline="prior_guess",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.QUERY_POOL}),
    )

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """The generator's training."""
        return {"training_passes": 128.0 * self.generator_steps, "scoring_passes": 0.0}

    def recover(self, service: Service, bench: Bench) -> Dataset:  # noqa: ARG002
        """One record per class, ``per_class`` times."""
        import torch

        pool = bench.data(Resource.QUERY_POOL)
        labels = np.repeat(np.arange(pool.n_classes), self.per_class)
        space = self.space(pool, bench)
        with torch.no_grad():
            made = space.make(torch.from_numpy(space.prior.means)).numpy()
        return recovered(made[labels], labels, pool)
