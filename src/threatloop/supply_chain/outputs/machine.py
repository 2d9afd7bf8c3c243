"""JSON: everything of a scan, in a schema with a version. `docs/scan.md` documents the fields."""

from __future__ import annotations

import json
from typing import Any, Final

from threatloop.supply_chain.outputs.view import View, by_severity, summary
from threatloop.supply_chain.result import Accepted, Failure, Finding, Place, Skipped

VERSION: Final = 1
"""Within a version fields are added, never renamed or removed."""


def as_json(view: View) -> str:
    """The text of the JSON output."""
    result, scan = view.result, view.scan
    content = {
        "version": VERSION,
        "tool": {"name": "threatloop", "version": view.version},
        "started": view.started.isoformat(),
        "seconds": round(scan.seconds, 3),
        "roots": [str(root) for root in scan.roots],
        "summary": summary(view),
        "counts": {
            "findings": len(result.findings),
            "severities": by_severity(result.findings),
            "errors": len(result.errors),
            "skipped": len(result.skipped),
            "accepted": len(result.accepted),
            "read": view.read,
            "files": scan.counts,
            "others": dict(scan.others.most_common()),
        },
        "findings": [of_finding(one) for one in view.findings],
        "errors": [_of_place(one) for one in result.errors],
        "skipped": [_of_place(one) for one in result.skipped],
        "accepted": [_of_accepted(one) for one in view.accepted],
        "baseline": {
            "file": view.baseline,
            "expired": [{"fingerprint": e.fingerprint, "rule": e.rule, "where": e.where} for e in view.expired],
            "stale": [{"fingerprint": e.fingerprint, "rule": e.rule, "where": e.where} for e in view.stale],
        },
        "dependencies": [
            {"ecosystem": one.ecosystem, "name": one.name, "version": one.version, "specifier": one.specifier,
             "path": list(one.path), "place": _place(one.place)}
            for one in scan.dependencies
        ],
    }  # fmt: skip
    return dumped(content)


def dumped(content: Any) -> str:
    """JSON text; halves of characters from names of files become escapes, so that it can be written as UTF-8."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8") + "\n"


def of_finding(finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    return {
        "fingerprint": finding.fingerprint,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "title": finding.title,
        "place": _place(finding.place),
        "threat": finding.threat,
        "direction": finding.direction.value if finding.direction is not None else None,
        "stage": finding.stage.value,
        "subject": finding.subject,
        "detail": finding.detail,
        "fix": finding.fix,
        "identifiers": list(finding.identifiers),
        "scanner": finding.scanner,
    }


def _place(place: Place) -> dict[str, Any]:
    return {"path": place.path, "line": place.line, "column": place.column}


def _of_place(one: Failure | Skipped) -> dict[str, Any]:
    return {"place": _place(one.place), "reason": one.reason}


def _of_accepted(one: Accepted) -> dict[str, Any]:
    return {
        "finding": of_finding(one.finding),
        "reason": one.reason,
        "source": one.source,
        "by": one.by,
        "expires": one.expires,
        "state": one.state,
        "justification": one.justification,
    }
