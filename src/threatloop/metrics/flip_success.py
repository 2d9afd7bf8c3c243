"""What flipped labels did to the trained victim."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo


@runtime_checkable
class Flipping(Protocol):
    """An attack that flips labels, at random when both classes are None."""

    @property
    def source(self) -> int | None: ...

    @property
    def target(self) -> int | None: ...


class FlipSuccess(Metric):
    """Class-to-class: share of the source class taken for the target. Random: the error rate.

    Raises:
        TypeError: the graded attack flips no labels (a mistake in the catalogue).
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Label-flip success",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Share of held-out records of the source class that the model takes for the target class; for random "
        "flips, the share of all held-out records that it gets wrong.",
        by_labels=True,
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import predicted, rate

        attack = case.attack
        if not isinstance(attack, Flipping):
            raise TypeError(f"{type(attack).__name__} flips no labels")
        test, model = case.get("test", Dataset), case.get("outcome", Model)
        if attack.source is None:
            return Graded(
                (rate("flip_success", predicted(model, test, case) != test.y, "there are no held-out records"),)
            )
        of_source = test.take(test.y == attack.source)
        nothing = f"no held-out record is of the source class {attack.source}"
        return Graded((rate("flip_success", predicted(model, of_source, case) == attack.target, nothing),))
