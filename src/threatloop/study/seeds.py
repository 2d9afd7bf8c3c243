"""Which seeds of which cells a study runs in its second stage."""

from __future__ import annotations

from collections.abc import Iterable

from threatloop.core.study_note import PlannedCell
from threatloop.scenario.build import Audit, Cell


def chosen_seeds(audit: Audit, planned: Iterable[PlannedCell]) -> dict[Cell, tuple[int, ...]]:
    """The screening seeds of everything, and of each (target, scenario, condition) the most fresh ones of its cells.

    A cell under a condition needs its undefended partner in the same seeds; a chain holds its own.
    """
    first = audit.spec.seeds
    fresh: dict[Cell, int] = {}
    for one in planned:
        for condition in {one.condition, ""} if one.seeds else ():
            place = (one.target, one.scenario, condition)
            fresh[place] = max(fresh.get(place, 0), one.seeds)
    return {
        (target, scenario.name, condition.name): tuple(
            range(first + fresh.get((target, scenario.name, condition.name), 0))
        )
        for scenario in audit.scenarios
        for target in scenario.targets
        for condition in audit.conditions
    }
