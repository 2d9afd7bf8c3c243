"""``threatloop scan``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from threatloop.cli.audit import EXIT_CROSSED, EXIT_OK
from threatloop.cli.console import WIDTH, console
from threatloop.core.errors import InputError
from threatloop.core.files import write_texts

if TYPE_CHECKING:
    from threatloop.supply_chain.outputs.view import View

FORMATS: Final = ("table", "json", "sarif", "cyclonedx", "html")
LIMITS: Final = ("critical", "high", "medium", "low")
QUIET_SECONDS: Final = 2.0
"""A scan that is done by then shows no progress bar."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    paths: tuple[Path, ...]
    advisories: Path | None = None
    online: bool = False
    environment: bool = False
    corpus: Path | None = None
    baseline: Path | None = None
    write_baseline: Path | None = None
    reason: str = ""
    by: str = ""
    fail_on: str | None = None
    strict: bool = False
    format: str = "table"
    out: Path | None = None
    code: bool = True
    models: bool = True
    dependencies: bool = True
    everything: bool = False


def run(request: Request) -> int:
    """Scan, print or write, and say whether a build may go on: 0, or 3."""
    _check(request)
    from threatloop.supply_chain.outputs.view import fails
    from threatloop.supply_chain.result import Severity

    view = _scanned(request) if request.corpus is None else _corpus(request)
    if request.write_baseline is not None:
        _write_baseline(request, view)
    _show(request, view)
    limit = Severity(request.fail_on) if request.fail_on else None
    return EXIT_CROSSED if fails(view, limit, request.strict) else EXIT_OK


def _check(request: Request) -> None:
    if request.format not in FORMATS:
        raise InputError(f"--format {request.format!r}: allowed are {', '.join(FORMATS)}")
    if request.fail_on is not None and request.fail_on not in LIMITS:
        raise InputError(f"--fail-on {request.fail_on!r}: allowed are {', '.join(LIMITS)}")
    if request.corpus is not None and (ignored := _not_with_corpus(request)):
        raise InputError(f"--corpus FILE scans dependencies only: drop {ignored}; --out is the corpus file")
    if not request.paths and not request.environment and request.corpus is None:
        raise InputError("nothing to scan: name files or folders, such as `threatloop scan .`, or add --environment")
    if not (request.code or request.models or request.dependencies):
        raise InputError("--no-code, --no-models and --no-dependencies together leave nothing to scan; drop one")
    if request.advisories is not None and not request.advisories.exists():
        raise InputError(f"--advisories {request.advisories}: no such file or folder; give an OSV zip or folder")
    _check_baselines(request)


def _not_with_corpus(request: Request) -> str:
    """What was asked for that a corpus does not go with; empty where there is nothing."""
    given = {
        "the paths": bool(request.paths), "--environment": request.environment, "--online": request.online,
        "--format": request.format != "table", "--baseline": request.baseline is not None,
        "--write-baseline": request.write_baseline is not None, "--no-code": not request.code,
        "--no-models": not request.models, "--no-dependencies": not request.dependencies,
    }  # fmt: skip
    return ", ".join(name for name, is_given in given.items() if is_given)


def _check_baselines(request: Request) -> None:
    written = request.write_baseline
    if written is None:
        if request.reason or request.by:
            raise InputError("--reason and --by are of new entries of a baseline: add --write-baseline FILE")
        return
    same = request.baseline is not None and request.baseline.resolve() == written.resolve()
    if written.exists() and not written.is_dir() and not same:
        raise InputError(
            f"--write-baseline {written}: the file exists; add --baseline {written} to keep what it says, or remove it"
        )


def _corpus(request: Request) -> View:
    from threatloop.cli.scan_corpus import scanned_corpus

    with _Bar() as bar:
        return scanned_corpus(request.corpus or Path(), request.advisories, request.out, bar.tell)


def _scanned(request: Request) -> View:
    from importlib import metadata

    from threatloop.supply_chain.baseline import apply, read_baseline
    from threatloop.supply_chain.outputs.view import View
    from threatloop.supply_chain.scan import Options, scan

    entries = read_baseline(request.baseline) if request.baseline is not None else ()
    options = Options(
        dependencies=request.dependencies, models=request.models, code=request.code, advisories=request.advisories,
        online=request.online, environment=request.environment,
    )  # fmt: skip
    started = datetime.now(UTC)
    with _Bar() as bar:
        found = scan(request.paths, options, bar.tell)
    source = str(request.baseline or "")
    compared = apply(found.result, entries, source, date.today())
    return View(
        replace(found, result=compared.result),
        started,
        metadata.version("threatloop"),
        compared.expired,
        compared.stale,
        source,
    )


def _write_baseline(request: Request, view: View) -> None:
    from threatloop.supply_chain.baseline import baseline_text, read_baseline

    assert request.write_baseline is not None
    old = read_baseline(request.baseline) if request.baseline is not None else ()
    _write(request.write_baseline, baseline_text(view.result, old, request.reason, request.by))
    number = len(view.result.findings)
    new = {one.fingerprint for one in view.result.findings} - {entry.fingerprint for entry in old}
    more = "; fill in the reasons, it is refused without" if new and not request.reason else ""
    console(error=True).print(f"{number:,} findings written to {request.write_baseline}{more}", markup=False)


def _show(request: Request, view: View) -> None:
    if request.format == "table":
        _table(request, view)
        return
    text = _writers()[request.format](view)
    if request.out is None:
        sys.stdout.write(text)
    else:
        _write(request.out, text)
        _say(request, view)


def _writers() -> Mapping[str, Callable[[View], str]]:
    from threatloop.supply_chain.outputs.cyclonedx import as_cyclonedx
    from threatloop.supply_chain.outputs.html import as_html
    from threatloop.supply_chain.outputs.machine import as_json
    from threatloop.supply_chain.outputs.sarif import as_sarif

    return {"json": as_json, "sarif": as_sarif, "cyclonedx": as_cyclonedx, "html": as_html}


def _table(request: Request, view: View) -> None:
    from threatloop.supply_chain.outputs.terminal import print_scan

    if request.out is None or request.corpus is not None:
        print_scan(console(), view, request.everything)
        return
    out = console()
    out.width = WIDTH
    with out.capture() as captured:
        print_scan(out, view, request.everything)
    _write(request.out, captured.get())
    _say(request, view)


def _say(request: Request, view: View) -> None:
    from threatloop.supply_chain.outputs.view import summary

    console(error=True).print(f"{summary(view)} Written to {request.out}", markup=False)


class _Bar:
    """A progress bar with time left, once a scan takes longer than `QUIET_SECONDS`."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def tell(self, done: int, total: int, label: str) -> None:
        """So many of so many files are done, and which is next."""
        if self.bar is None:
            if time.monotonic() - self.begun < QUIET_SECONDS:
                return
            self._start()
        from rich.markup import escape

        shown = label if len(label) <= 40 else "…" + label[-39:]
        self.bar.update(self.task, completed=done, total=total or None, description=escape(shown).ljust(40))

    def _start(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=console(error=True), transient=True)
        self.bar.start()
        self.task = self.bar.add_task("", total=None)


def _write(path: Path, text: str) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    write_texts(path.absolute().parent, {path.name: text})
