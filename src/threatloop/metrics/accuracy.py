"""What data is worth: the accuracy of a model that is trained on it."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo


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
        from threatloop.algorithms.grading import predicted, rate

        test = case.get("test", Dataset)
        right = predicted(case.get("trained_on_outcome", Model), test, case) == test.y
        return Graded((rate("trained_accuracy", right, "there are no held-out records"),))
