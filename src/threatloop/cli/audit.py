"""``threatloop audit``."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from threatloop.cli.console import console
from threatloop.cli.notices import tell
from threatloop.cli.progress import Progress

if TYPE_CHECKING:
    from threatloop.analysis.thresholds import ThresholdResult
    from threatloop.api import Result
    from threatloop.core.measurement import RunRecord

EXIT_OK, EXIT_ERRORS, EXIT_CROSSED = 0, 1, 3


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    spec: Path | None
    study: str | None
    seeds: int | None
    backend: str
    workers: int | None
    store: str
    out: Path
    fail_on: tuple[str, ...]
    allow_unresolved: bool
    show_records: bool
    show_outputs: bool
    allow_code: bool
    json: bool
    defences: bool = False
    model: str | None = None


def run(request: Request) -> int:
    """Run, report, and say what was found; returns the exit status."""
    from threatloop.api import Hooks, execute, load_spec
    from threatloop.engine.run import Options

    checked = load_spec(
        request.spec,
        study=request.study,
        seeds=request.seeds,
        allow_code=request.allow_code,
        defences=request.defences,
        model=request.model,
    )
    options = Options(request.store, request.out, request.backend, request.workers, command_line())
    with Progress(quiet=request.json) as progress:
        result = execute(
            checked,
            options,
            Hooks(progress.planned, progress.advance),
            fail_on=request.fail_on,
            allow_unresolved=request.allow_unresolved,
            show_records=request.show_records,
            show_outputs=request.show_outputs,
        )
    if request.json:
        print((result.out / "report.json").read_text(encoding="utf-8"))
    else:
        _tell(result)
    return exit_status(result.record, result.thresholds)


def exit_status(record: RunRecord, crossed: tuple[ThresholdResult, ...]) -> int:
    """3 when a threshold is crossed, else 1 when a task failed, else 0."""
    if any(result.crossed for result in crossed):
        return EXIT_CROSSED
    return EXIT_ERRORS if record.errors else EXIT_OK


def command_line() -> str:
    """The command as the user typed it, without what stands before an @ in an address."""
    return re.sub(r"//[^/@\s]+@", "//***@", shlex.join(["threatloop", *sys.argv[1:]]))


def _tell(result: Result) -> None:
    out, record = console(), result.record
    from threatloop.cli.matrix import print_matrix
    from threatloop.cli.results import results_table, score_lines

    out.print(results_table(record, result.summary))
    for line in score_lines(result.summary):
        out.print(line)
    print_matrix(out, record, result.summary.matrix)
    titles = {name: str(about.get("title", name)) for name, about in record.attacks.items()}
    tell(out, "errors", record.errors, titles)
    tell(out, "not assessed", record.not_assessed, titles)
    failed = [check for check in record.self_checks if check.passed is False]
    for check in failed:
        where = f"{check.target} {check.what}" + ("" if check.seed is None else f" failed in seed {check.seed}")
        out.print("[bold]attack suspect[/]: " + escape(f"{where} ({check.why})"))
    for judged in result.thresholds:
        out.print(
            f"[bold]{'crossed' if judged.crossed else 'holds'}[/]: " + escape(f"{judged.expression} ({judged.why})")
        )
    tasks = record.tasks
    out.print(
        f"{tasks['executed']} tasks executed, {tasks['cached']} cached, {tasks['failed']} failed; "
        f"{tasks.get('models_trained', 0)} models trained for {tasks.get('models_requested', 0)} asked for; "
        f"{record.seconds:.1f} s, {record.peak_memory_mib / 1024:.2f} GiB"
    )
    for name, facts in record.targets.items():
        victim = {metric: figure["mean"] for metric, figure in facts.get("victim", {}).items()}
        if "train_accuracy" in victim:
            train, test = victim["train_accuracy"], victim["test_accuracy"]
            out.print(f"victim {name}: train accuracy {train:.3f}, test accuracy {test:.3f}")
    out.print(escape(f"report: {result.report}"))
