"""HTML: one file that needs no network and runs no script."""

from __future__ import annotations

from typing import Any, Final

from threatloop.core.unseen import visible
from threatloop.supply_chain.outputs.view import View, count, grouped, others, summary

SEVERITIES: Final = ("critical", "high", "unknown", "medium", "low")


def as_html(view: View) -> str:
    """The text of the page. Severities and scanners are filtered by style sheet alone."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("threatloop.supply_chain.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen,
    )
    environment.filters["count"] = count
    scanners = sorted({finding.scanner for finding in view.findings})
    return environment.get_template("scan.html.j2").render(
        view=view,
        findings=view.findings,
        accepted=view.accepted,
        errors=grouped(view.result.errors),
        skipped=grouped(view.result.skipped),
        summary=summary(view),
        others=others(view),
        severities=[(name, sum(one.severity == name for one in view.findings)) for name in SEVERITIES],
        scanners=[
            (number, name, sum(one.scanner == name for one in view.findings)) for number, name in enumerate(scanners)
        ],
        scanner_number={name: number for number, name in enumerate(scanners)},
    )


def _seen(value: Any) -> Any:
    """Characters that are not seen, spelled out; what Jinja has escaped already stays."""
    from markupsafe import Markup

    return value if isinstance(value, Markup) else visible(str(value))
