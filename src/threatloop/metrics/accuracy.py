"""What data is worth: the accuracy of a model that is trained on it."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.numerics.intervals import Interval, wilson


class TrainedAccuracy(Metric):
    """Test accuracy of a model trained, by the victim's recipe, on the outcome and nothing else; in [0, 1]."""

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Accuracy of a model trained on it",
        unit="rate",
        worst=None,
        margin=0.05,
        needs=frozenset({"outcome", "trained_on_outcome", "test"}),
        meaning="what the data is still worth after the attack",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.models.responder import local_service

        test = case.get("test", Dataset)
        right = local_service(case.get("trained_on_outcome", Model)).labels(test.x) == test.y
        inside = wilson(int(right.sum()), len(test))
        low, high = (inside.low, inside.high) if isinstance(inside, Interval) else (None, None)
        return Graded((Reading("trained_accuracy", float(right.mean()), len(test), low, high),))
