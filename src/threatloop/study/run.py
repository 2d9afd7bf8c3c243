"""Run a study: screening seeds for every cell, then fresh seeds for the cells that are worth them, tested once.

Both stages leave their rows in one run folder, from which the report is rebuilt. What is in the store is not computed
again, so a killed study goes on from where it was: the plan of the second stage follows from the first alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from threatloop.analysis.interaction_plan import plan_cells
from threatloop.analysis.two_stage import MAX_CONFIRMATION, SCREENING_SEEDS
from threatloop.core.errors import Problems
from threatloop.core.study_note import PlannedCell, StudyNote
from threatloop.engine.plan import Plan
from threatloop.engine.run import Finished, Options, run_audit
from threatloop.engine.schedule import Watcher
from threatloop.runs.folder import read_run_folder
from threatloop.scenario.build import Audit
from threatloop.study.cost import cost_of
from threatloop.study.seeds import chosen_seeds, screening_seeds


@dataclass(frozen=True)
class Watchers:
    """Where a study tells how far it is.

    Attributes:
        stage: called with a line about the stage that begins.
        planned: called in each stage with the plan and the number of tasks to run.
        advance: called after every task with tasks done, tasks to do and the label of the last one.
    """

    stage: Callable[[str], None] = field(default=lambda _line: None)
    planned: Callable[[Plan, int], None] = field(default=lambda _plan, _to_do: None)
    advance: Watcher = field(default=lambda _done, _total, _label: None)


def run_study(audit: Audit, options: Options, watch: Watchers, *, exhaust: bool = False) -> Finished:
    """Both stages of a checked spec.

    Args:
        audit: its seeds are the screening seeds, at least 12.
        options: where and with what.
        watch: see `Watchers`.
        exhaust: cells that would probably stay open get the most fresh seeds too.

    Raises:
        Problems: fewer than 12 seeds, nothing that could interact.
        InputError: as `run_audit` does.
    """
    check_study(audit)
    first = audit.spec.seeds
    note = StudyNote(screening_seeds=first, most=MAX_CONFIRMATION, exhaust=exhaust)
    watch.stage(f"stage 1 of 2: screening, seeds 0 to {first - 1}")
    screening = replace(audit, chosen=screening_seeds(audit))
    screened = run_audit(screening, options, watch.advance, watch.planned, note)
    folder = read_run_folder(screened.out)
    planned = plan_cells(folder.record, folder.rows, first, exhaust=exhaust)
    watch.stage(_second(planned, first))
    note = note.model_copy(update={"planned": planned, "screening": cost_of(screened.record)})
    wanted = replace(audit, chosen=chosen_seeds(audit, planned))
    return run_audit(wanted, options, watch.advance, watch.planned, note)


def _second(planned: tuple[PlannedCell, ...], first: int) -> str:
    worth = [one.seeds for one in planned if one.seeds]
    if not worth:
        return f"stage 2 of 2: none of {len(planned)} cells is worth fresh seeds"
    last = first + max(worth) - 1
    return f"stage 2 of 2: {len(worth)} of {len(planned)} cells are worth fresh seeds, {first} to {last} at most"


def check_study(audit: Audit) -> None:
    """Before any compute: the spec can be run as a study.

    Raises:
        Problems: fewer than 12 seeds, nothing that could interact.
    """
    problems = []
    if audit.spec.seeds < SCREENING_SEEDS:
        problems.append(
            f"seeds {audit.spec.seeds}: a study screens with at least {SCREENING_SEEDS}; raise `seeds`, or use "
            "`threatloop audit` for a first look without verdicts"
        )
    pairs = any(len(scenario.steps) == 2 for scenario in audit.scenarios)
    defended = len(audit.conditions) > 1 and any(len(scenario.steps) == 1 for scenario in audit.scenarios)
    if not pairs and not defended:
        problems.append(
            "nothing here could interact; name sets of `defences` beside scenarios of single attacks, or chains of "
            "two attacks"
        )
    if problems:
        raise Problems("study", problems)
