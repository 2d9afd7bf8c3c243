"""How many held-out records a model gets right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading

NO_RECORDS = "there are no held-out records"


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
        return Graded((rate(self.reading, right, NO_RECORDS),))


class AccuracyLoss(Metric):
    """Error of the trained victim, as a share of the error of guessing: 0 is faultless, 1 no better than guessing.

    Guessing is the best constant answer, the most common class of the held-out records, so that the worst case is 1
    whatever the classes and their balance. An honest victim's own error is its baseline.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Accuracy lost, of what there is to lose",
        unit="share",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Error rate on held-out records divided by that of always answering the most common class; 1 means "
        "that the model is of no use, above 1 that it misleads.",
        by_labels=True,
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import predicted, rate

        test = case.get("test", Dataset)
        error = rate("accuracy_loss", predicted(case.get("outcome", Model), test, case) != test.y, NO_RECORDS)
        if error.value is None or error.low is None or error.high is None:
            return Graded((error,))
        guessing = 1 - float(np.bincount(test.y).max()) / len(test)
        if guessing == 0:
            one = "all held-out records are of one class, which guessing gets right"
            return Graded((Reading("accuracy_loss", None, len(test), undefined=one),))
        value, low, high = (end / guessing for end in (error.value, error.low, error.high))
        return Graded((Reading("accuracy_loss", value, len(test), low, high),))


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
