"""Whether chosen records are taken for what an attacker wants them to be taken for."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo


@runtime_checkable
class Targeted(Protocol):
    """An attack that wants certain records classed in a certain way."""

    def intended(self, targets: Dataset) -> npt.NDArray[np.int64]:
        """The class that each target is to be taken for, int64 (n,)."""


class TargetedSuccess(Metric):
    """Share of the targets that the trained victim takes for the class intended by the attack.

    Raises:
        TypeError: the graded attack intends no classes (a mistake in the catalogue).
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Targeted success",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "targets"}),
        meaning="Share of the attacker's target records, untouched themselves, that the model takes for the class that "
        "he chose for each.",
        by_labels=True,
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import predicted, rate

        if not isinstance(case.attack, Targeted):
            raise TypeError(f"{type(case.attack).__name__} intends no class for its targets")
        targets = case.get("targets", Dataset)
        hits = predicted(case.get("outcome", Model), targets, case) == case.attack.intended(targets)
        return Graded((rate("targeted_success", hits, "there are no targets"),))
