"""``threatloop audit``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threatloop.cli.console import console
from threatloop.cli.progress import Progress
from threatloop.cli.specs import load_audit

if TYPE_CHECKING:
    from threatloop.analysis.summary import Summary
    from threatloop.analysis.thresholds import ThresholdResult
    from threatloop.core.measurement import RunRecord
    from threatloop.engine.run import Finished
    from threatloop.scenario.build import Audit

EXIT_OK, EXIT_ERRORS, EXIT_CROSSED = 0, 1, 3


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    spec: Path | None
    seeds: int | None
    backend: str
    workers: int | None
    store: str
    out: Path
    fail_on: tuple[str, ...]
    allow_unresolved: bool
    show_records: bool
    allow_code: bool
    json: bool


def run(request: Request) -> int:
    """Run, report, and say what was found; returns the exit status."""
    from threatloop.analysis.summary import summarise
    from threatloop.analysis.thresholds import check_thresholds
    from threatloop.engine.run import Options, run_audit
    from threatloop.report.build import build as build_report
    from threatloop.report.run_folder import read_run_folder

    audit = load_audit(request.spec, request.seeds, request.allow_code)
    check_syntax(request.fail_on, audit)
    options = Options(request.store, request.out, request.backend, request.workers, command_line())
    with Progress(quiet=request.json) as progress:
        finished = run_audit(audit, options, progress.advance, progress.planned)
    folder = read_run_folder(finished.out)
    summary = summarise(folder.record, folder.rows)
    crossed = check_thresholds(request.fail_on, folder.record, summary, request.allow_unresolved)
    page = build_report(finished.out, None, show_records=request.show_records, fail_on=crossed)
    if request.json:
        print((finished.out / "report.json").read_text(encoding="utf-8"))
    else:
        _tell(finished, summary, crossed, page)
    return exit_status(folder.record, crossed)


def check_syntax(expressions: tuple[str, ...], audit: Audit) -> None:
    """Refuse a bad ``--fail-on`` before any compute is spent.

    Raises:
        InputError: not well formed, or it names something that the run will not have.
    """
    from threatloop.analysis.threshold_syntax import Names, parse
    from threatloop.core.catalogue import ATTACKS

    steps = {ATTACKS.name_of(type(step)): step for scenario in audit.scenarios for step in scenario.steps}
    names = Names(
        tuple(audit.targets),
        {s.name: tuple(ATTACKS.name_of(type(step)) for step in s.steps) for s in audit.scenarios},
        {name: step.info.metrics for name, step in steps.items()},
    )
    for expression in expressions:
        parse(expression, names)


def exit_status(record: RunRecord, crossed: tuple[ThresholdResult, ...]) -> int:
    """3 when a threshold is crossed, else 1 when a task failed, else 0."""
    if any(result.crossed for result in crossed):
        return EXIT_CROSSED
    return EXIT_ERRORS if record.errors else EXIT_OK


def command_line() -> str:
    """The command as the user typed it."""
    return shlex.join(["threatloop", *sys.argv[1:]])


def _tell(finished: Finished, summary: Summary, crossed: tuple[ThresholdResult, ...], page: Path) -> None:
    out, record = console(), finished.record
    from threatloop.cli.results import results_table

    out.print(results_table(record, summary))
    for name, notices in (("errors", record.errors), ("not assessed", record.not_assessed)):
        for notice in notices:
            out.print(f"[bold]{name}[/]: {notice.target} {notice.what}: {notice.why}", markup=True)
    failed = [check for check in record.self_checks if check.passed is False]
    for check in failed:
        out.print(f"[bold]attack suspect[/]: {check.target} {check.what} failed in seed {check.seed} ({check.why})")
    for result in crossed:
        out.print(f"[bold]{'crossed' if result.crossed else 'holds'}[/]: {result.expression} ({result.why})")
    tasks = record.tasks
    out.print(
        f"{tasks['executed']} tasks executed, {tasks['cached']} cached, {tasks['failed']} failed; "
        f"{record.seconds:.1f} s, {record.peak_memory_mib / 1024:.2f} GiB"
    )
    for name, facts in record.targets.items():
        victim = {metric: figure["mean"] for metric, figure in facts.get("victim", {}).items()}
        if "train_accuracy" in victim:
            train, test = victim["train_accuracy"], victim["test_accuracy"]
            out.print(f"victim {name}: train accuracy {train:.3f}, test accuracy {test:.3f}")
    out.print(f"report: {page}")
