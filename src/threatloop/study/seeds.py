"""Which seeds of which cells a study runs. Chains run on the targets as they are: the matrix needs no more of them."""

from __future__ import annotations

from collections.abc import Iterable

from threatloop.core.study_note import PlannedCell
from threatloop.scenario.build import Audit, Cell


def screening_seeds(audit: Audit) -> dict[Cell, tuple[int, ...]]:
    """The screening seeds of every cell of the matrix, and of every scenario on the targets as they are."""
    return {
        (target, scenario.name, condition.name): tuple(range(audit.spec.seeds))
        for scenario in audit.scenarios
        for target in scenario.targets
        for condition in audit.conditions
        if not condition.name or len(scenario.steps) == 1
    }


def chosen_seeds(audit: Audit, planned: Iterable[PlannedCell]) -> dict[Cell, tuple[int, ...]]:
    """The same, and of each (target, scenario, condition) the most fresh seeds of its cells.

    A cell under a condition needs its undefended partner in the same seeds; a chain holds its own.
    """
    fresh: dict[Cell, int] = {}
    for one in planned:
        for condition in {one.condition, ""} if one.seeds else ():
            place = (one.target, one.scenario, condition)
            fresh[place] = max(fresh.get(place, 0), one.seeds)
    return {
        place: tuple(range(len(screened) + fresh.get(place, 0))) for place, screened in screening_seeds(audit).items()
    }
