"""The one thing in which a thief and his matched surrogate differ: where the labels of the asked records come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from threatloop.algorithms.distil import Distillation, Targets, one_hot
from threatloop.algorithms.fallback import with_hard_answers
from threatloop.algorithms.queries import draw
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.service import Service
from threatloop.core.step import Step
from threatloop.core.training import Training

BATCH = 512
"""Records per request."""


class AsksVictim(Distillation):
    """Labels are the victim's answers."""

    def required(self) -> frozenset[Capability]:
        """Scores for soft answers, labels for hard ones; never both."""
        return frozenset({Capability.SCORES if self.answers == "soft" else Capability.LABELS})

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """The thief who learns from labels, where scores are withheld or falsified."""
        return with_hard_answers(self, super().adapted(to), to)

    def as_baseline(self) -> Step[Service]:
        """The matched surrogate; on his own labelled pool the kind of answer makes no difference to it."""
        same = self.model_copy(update={"answers": "hard"}) if self.pool == "in" else self
        return super(AsksVictim, same).as_baseline()

    def label(self, service: Service, asked: Dataset, bench: Bench) -> Targets:
        """The victim's answers, asked for batch by batch."""
        answers = []
        for start in range(0, len(asked), BATCH):
            answers.append(self.targets(service, asked.take(slice(start, start + BATCH))))
            bench.progress.report(min(1.0, (start + BATCH) / len(asked)))
        return np.concatenate(answers)


class OwnLabels(Distillation):
    """Labels are the attacker's own. Records of another kind have none: a model trained on his pool answers then."""

    def label(self, service: Service, asked: Dataset, bench: Bench) -> Targets:
        """The attacker's own labels, or those of a model trained on them."""
        return self.oracle(service, len(asked), bench)(asked)

    def oracle(self, service: Service, n: int, bench: Bench) -> Callable[[Dataset], Targets]:  # noqa: ARG002
        """See `Distillation.oracle`; a teacher is trained once, on ``n`` records of the attacker's pool."""
        if self.pool == "in" or bench.has(Resource.FEEDBACK):
            return lambda asked: one_hot(asked.y, asked.n_classes)
        training: Training = bench.resource(Resource.LIFECYCLE)
        own = draw(bench.data(Resource.QUERY_POOL), n, bench.streams.numpy("own"))
        teacher = training.serve(self.train(own, one_hot(own.y, own.n_classes), bench, "teacher"))
        return lambda asked: self.targets(teacher, asked)
