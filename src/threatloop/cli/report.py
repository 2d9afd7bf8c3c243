"""``threatloop report``."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from threatloop.cli.console import console


def run(folder: Path, out: Path | None, show_records: bool, show_outputs: bool) -> int:
    """Rebuild the report from a run folder."""
    from threatloop.report.build import build

    page = build(folder, out, show_records=show_records, show_outputs=show_outputs)
    console().print(escape(f"report: {page}"))
    return 0
