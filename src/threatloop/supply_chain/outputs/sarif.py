"""SARIF 2.1.0, as code hosting reads it: rules with help, results, suppressions, and what was not assessed.

OASIS, Static Analysis Results Interchange Format 2.1.0, 2020; section numbers of it in the comments.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath, PureWindowsPath
from typing import Any, Final
from urllib.parse import quote

from threatloop.supply_chain.code.families import BY_ID
from threatloop.supply_chain.outputs.machine import dumped
from threatloop.supply_chain.outputs.view import View, file_of, summary
from threatloop.supply_chain.result import COMMENT, Accepted, Failure, Finding, Place, Severity, Skipped

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
ROOT: Final = "SRCROOT"
_LEVELS: Final = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.UNKNOWN: "warning", Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}  # fmt: skip
_SCORES: Final = {
    Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.UNKNOWN: "7.0", Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
}  # fmt: skip
"""`security-severity`, by which code hosting sorts."""


def as_sarif(view: View) -> str:
    """The text of a SARIF log with one run."""
    found = [(one, None) for one in view.findings] + [(one.finding, one) for one in view.accepted]
    rules = _rules(finding for finding, _ in found)
    index = {rule["id"]: place for place, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "threatloop",
                "version": view.version,
                "rules": rules,
                "notifications": [
                    {"id": "not-readable", "shortDescription": {"text": "Something could not be read"}},
                    {"id": "not-assessed", "shortDescription": {"text": "Something was skipped, with the reason"}},
                ],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"description": {"text": "The folder in which the scan was started"}}},
        "invocations": [_invocation(view)],
        "results": [_result(finding, accepted, index) for finding, accepted in found],
        "properties": {"summary": summary(view)},
    }
    return dumped({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rules(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """One descriptor (3.49) for each rule that was met, the worst severity as its default."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        old = worst.get(finding.rule)
        if old is None or finding.severity.rank < old.severity.rank:
            worst[finding.rule] = finding
    return [_rule(name, worst[name]) for name in sorted(worst)]


def _rule(name: str, example: Finding) -> dict[str, Any]:
    known = BY_ID.get(name)
    arrow = f" Direction {example.direction}." if example.direction is not None else ""
    text = f"{example.title}. Threat: {example.threat}. Stage: {example.stage}.{arrow}"
    text += f" What to do: {example.fix}." if example.fix else ""
    tags = ["security", "machine-learning", example.threat, f"stage:{example.stage.value}"]
    rule: dict[str, Any] = {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": known.title if known else example.title},
        "fullDescription": {"text": text},
        "help": {"text": text + (f" See {known.reference}" if known else "")},
        "defaultConfiguration": {"level": _LEVELS[example.severity]},
        "properties": {"tags": tags, "security-severity": _SCORES[example.severity]},
    }
    if known:
        rule["helpUri"] = known.reference
    return rule


def _result(finding: Finding, accepted: Accepted | None, index: dict[str, int]) -> dict[str, Any]:
    """A result (3.27)."""
    parts = [finding.title, finding.subject, finding.detail, ", ".join(finding.identifiers), finding.fix]
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": ". ".join(part.rstrip(".") for part in parts if part)},
        "locations": [_location(finding.place)],
        "partialFingerprints": {"threatloop/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity.value,
            "security-severity": _SCORES[finding.severity],
            "threat": finding.threat,
            "stage": finding.stage.value,
            "direction": finding.direction.value if finding.direction is not None else "",
            "scanner": finding.scanner,
        },
    }
    # GitHub shows a result with any suppression as closed; others do so for accepted ones only.
    result["suppressions"] = [_suppression(accepted)] if accepted is not None else []
    return result


def _suppression(accepted: Accepted) -> dict[str, Any]:
    """A suppression (3.35)."""
    more = {"by": accepted.by, "expires": accepted.expires, "state": accepted.state, "source": accepted.source}
    return {
        "kind": "inSource" if accepted.source == COMMENT else "external",
        "status": "accepted",
        "justification": accepted.reason,
        "properties": {key: value for key, value in more.items() if value},
    }


def _location(place: Place) -> dict[str, Any]:
    """A location (3.28); a member of an archive, or a cell, becomes a logical location in its file."""
    physical: dict[str, Any] = {"artifactLocation": _artifact(file_of(place))}
    member = place.path.partition("!/")[2]
    if place.line is not None and not member:
        region = {"startLine": max(1, place.line)}
        if place.column is not None:
            region["startColumn"] = max(1, place.column)
        physical["region"] = region
    location: dict[str, Any] = {"physicalLocation": physical}
    if member:
        where = member if place.line is None else f"{member}, line {place.line}"
        location["logicalLocations"] = [{"fullyQualifiedName": where, "kind": "member"}]
    return location


def _artifact(path: str) -> dict[str, Any]:
    """An artifact location (3.4): relative to the root where the path is, percent-encoded."""
    pure = PureWindowsPath(path) if "\\" in path and ":" in path[:3] else PurePath(path)
    encoded = quote(pure.as_posix(), safe="/:", errors="surrogateescape")
    if pure.is_absolute():
        return {"uri": f"file://{encoded}" if encoded.startswith("/") else f"file:///{encoded}"}
    return {"uri": quote(pure.as_posix(), safe="/", errors="surrogateescape"), "uriBaseId": ROOT}


def _invocation(view: View) -> dict[str, Any]:
    """The invocation (3.20): errors and skipped places are notifications, so that nothing unread looks clean."""
    notes = [_notification(one, "error", "not-readable") for one in view.result.errors]
    notes += [_notification(one, "warning", "not-assessed") for one in view.result.skipped]
    return {
        "executionSuccessful": not view.result.errors,
        "startTimeUtc": view.started.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "toolExecutionNotifications": notes,
    }


def _notification(one: Failure | Skipped, level: str, name: str) -> dict[str, Any]:
    return {
        "level": level,
        "message": {"text": one.reason or "no reason is known"},
        "descriptor": {"id": name},
        "locations": [_location(one.place)],
    }
