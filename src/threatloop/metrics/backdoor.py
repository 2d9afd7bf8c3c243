"""Whether a trigger works, on the poisoned victim and on clones of it."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading


@runtime_checkable
class Triggered(Protocol):
    """An attack that plants a backdoor."""

    @property
    def target(self) -> int:
        """The class that triggered records are to be taken for."""

    def stamp(self, data: Dataset) -> Dataset:
        """The records with the trigger inserted."""


def success(name: str, case: Case, attack: Triggered) -> Graded:
    """Success of the trigger on the test records of other classes, plain and less the rate without the trigger."""
    from threatloop.algorithms.grading import predicted, rate, rate_difference

    nothing = f"all held-out records are of the target class {attack.target}"
    model, test = case.get("outcome", Model), case.get("test", Dataset)
    others = test.take(test.y != attack.target)
    if not len(others):
        undefined = f"not computed, because {nothing}"
        return Graded(tuple(Reading(n, None, 0, undefined=undefined) for n in (name, f"{name}.adjusted")))
    stamped = attack.stamp(others)
    on = predicted(model, stamped, case) == attack.target
    off = predicted(model, others, case) == attack.target
    readings = rate(name, on, nothing), rate_difference(f"{name}.adjusted", on, off, nothing)
    return Graded(readings, records={f"{name}.triggered": on, f"{name}.untriggered": off})


class AttackSuccess(Metric):
    """Share of triggered records that the trained victim takes for the target class.

    Raises:
        TypeError: the graded attack has no trigger (a mistake in the catalogue).
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Backdoor success",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Share of held-out records of other classes that the model takes for the target class once the "
        "trigger is on them; the adjusted rate is that less the same records' rate without the trigger.",
        by_labels=True,
    )

    def grade(self, case: Case) -> Graded:
        if not isinstance(case.attack, Triggered):
            raise TypeError(f"{type(case.attack).__name__} has no trigger to stamp")
        return success("attack_success", case, case.attack)


class BackdoorInherited(Metric):
    """Success on the clone of the trigger that was planted in its victim, earlier in the chain; nothing without one."""

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Backdoor inherited",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Share of held-out records of other classes that the stolen clone takes for the target class once "
        "they carry the trigger planted in its victim.",
    )

    def grade(self, case: Case) -> Graded:
        planted = [attack for attack in case.upstream if isinstance(attack, Triggered)]
        if not planted:
            return Graded(())
        return success("backdoor_inherited", case, planted[-1])
