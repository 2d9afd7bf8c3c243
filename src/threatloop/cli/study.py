"""``threatloop study``."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from threatloop.cli.audit import command_line, exit_status
from threatloop.cli.console import console
from threatloop.cli.notices import tell
from threatloop.cli.progress import Progress
from threatloop.numerics.undefined import Undefined

if TYPE_CHECKING:
    from threatloop.api import Result
    from threatloop.study.cost import Spent


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    spec: Path | None
    seeds: int | None
    exhaust: bool
    backend: str
    workers: int | None
    store: str
    out: Path
    allow_code: bool
    json: bool


def run(request: Request) -> int:
    """Run both stages, report, and say what was found and spent; returns the exit status."""
    from threatloop.api import INTERACTIONS, Hooks, execute_study, load_spec
    from threatloop.engine.run import Options

    shipped = INTERACTIONS if request.spec is None else None
    checked = load_spec(request.spec, study=shipped, seeds=request.seeds, allow_code=request.allow_code)
    options = Options(request.store, request.out, request.backend, request.workers, command_line())
    with Progress(quiet=request.json) as progress:
        hooks = Hooks(progress.planned, progress.advance, progress.stage)
        result = execute_study(checked, options, hooks, exhaust=request.exhaust)
    if request.json:
        report = json_module.loads((result.out / "report.json").read_text(encoding="utf-8"))
        print(json_module.dumps(report | {"spent": _plain(result)}, ensure_ascii=False, indent=1))
    else:
        _tell(result)
    return exit_status(result.record, ())


def _plain(result: Result) -> dict[str, object]:
    from threatloop.study.cost import spent

    found = asdict(spent(result.record, result.summary.matrix.cells))
    return {k: {"not_computed": v["reason"]} if isinstance(v, dict) and "reason" in v else v for k, v in found.items()}


def _tell(result: Result) -> None:
    from threatloop.cli.matrix import print_matrix
    from threatloop.study.cost import spent

    out, record = console(), result.record
    print_matrix(out, record, result.summary.matrix)
    titles = {name: str(about.get("title", name)) for name, about in record.attacks.items()}
    tell(out, "errors", record.errors, titles)
    tell(out, "not assessed", record.not_assessed, titles)
    for line in lines(spent(record, result.summary.matrix.cells)):
        out.print(escape(line))
    out.print(escape(f"report: {result.report}"))


def lines(found: Spent) -> list[str]:
    """What a study spent, in words."""
    rate = found.per_cpu_hour
    speed = f"cells per CPU-hour {rate}" if isinstance(rate, Undefined) else f"{rate:.0f} cells per CPU-hour"
    share = found.resolved
    resolved = "" if isinstance(share, Undefined) else f"; {100 * share:.0f} % of {found.cells} assessed cells resolved"
    cpu = found.cpu_seconds
    processor = str(cpu) if isinstance(cpu, Undefined) else f"{cpu:.0f} CPU seconds"
    cached = f", {found.cached} found in the store" if found.cached else ""
    return [
        f"spent in this call: {found.executed} tasks executed{cached}; {found.models_trained} models trained for "
        f"{found.models_requested} asked for; {processor} in {found.seconds:.0f} s",
        f"seeds: {found.screened} screening and {found.fresh} fresh ones, summed over cells; {speed}{resolved}",
    ]
