"""How many held-out records a model gets right."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo


class CleanAccuracy(Metric):
    """Accuracy of the trained victim on held-out, untouched records."""

    reading: ClassVar[str] = "clean_accuracy"
    info: ClassVar[MetricInfo] = MetricInfo(
        title="Clean accuracy",
        unit="rate",
        worst=None,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Share of held-out records that the model classifies correctly; a backdoor should not lower it.",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import predicted, rate

        test = case.get("test", Dataset)
        right = predicted(case.get("outcome", Model), test, case) == test.y
        return Graded((rate(self.reading, right, "there are no held-out records"),))


class CloneAccuracy(CleanAccuracy):
    """Accuracy of a stolen clone on held-out records."""

    reading: ClassVar[str] = "clone_accuracy"
    info: ClassVar[MetricInfo] = MetricInfo(
        title="Clone accuracy",
        unit="rate",
        worst=None,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Share of held-out records that the stolen clone classifies correctly.",
    )
