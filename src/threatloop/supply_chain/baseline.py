"""Baseline files: findings that someone has looked at and accepted, with the reason, until a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from threatloop.core.errors import InputError, Problems
from threatloop.core.unseen import visible
from threatloop.supply_chain.result import COMMENT, Accepted, Finding, Result
from threatloop.threats.plain_yaml import PlainYamlError, load_with_lines

VERSION: Final = 1
_LARGEST: Final = 16 << 20
STATES: Final = ("exploitable", "not_affected", "false_positive", "in_triage")
JUSTIFICATIONS: Final = (
    "code_not_present", "code_not_reachable", "requires_configuration", "requires_dependency", "requires_environment",
    "protected_by_compiler", "protected_at_runtime", "protected_at_perimeter", "protected_by_mitigating_control",
)  # fmt: skip
_KEYS: Final = ("fingerprint", "rule", "where", "subject", "reason", "by", "expires", "state", "justification")


@dataclass(frozen=True)
class Entry:
    """One accepted finding.

    Attributes:
        fingerprint: of the finding.
        reason: why it is accepted; never empty.
        rule, where, subject: for the reader.
        by: who accepted it.
        expires: the last day on which it holds.
        state, justification: as of `Accepted`.
        line: in the file.
    """

    fingerprint: str
    reason: str
    rule: str = ""
    where: str = ""
    subject: str = ""
    by: str = ""
    expires: date | None = None
    state: str = "exploitable"
    justification: str = ""
    line: int = 0


@dataclass(frozen=True)
class Comparison:
    """What a baseline file did.

    Attributes:
        result: accepted findings moved out of the findings.
        expired: entries whose day is past; their findings count again.
        stale: entries that no finding has any more.
    """

    result: Result
    expired: tuple[Entry, ...] = ()
    stale: tuple[Entry, ...] = ()


def read_baseline(path: Path) -> tuple[Entry, ...]:
    """The entries of a baseline file.

    Raises:
        InputError: it cannot be read; every problem of it at once.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: larger than {_LARGEST >> 20} MiB; a baseline file is a list of fingerprints")
        content = load_with_lines(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); write one with --write-baseline"
        ) from None
    except PlainYamlError as error:
        raise InputError(f"{path}: {error}") from None
    rows = content.get("accepted") if isinstance(content, dict) else None
    if (
        not isinstance(content, dict)
        or str(content.get("version")) != str(VERSION)
        or not isinstance(rows, list | None)
    ):
        raise InputError(f"{path}: no baseline file; expected `version: {VERSION}` and a list `accepted`")
    problems: list[str] = []
    entries = [entry for row in rows or () if (entry := _entry(row, problems)) is not None]
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.fingerprint in seen:
            problems.append(
                f"line {entry.line}: fingerprint {entry.fingerprint} is there twice (line {seen[entry.fingerprint]})"
            )
        seen[entry.fingerprint] = entry.line
    if problems:
        raise Problems(str(path), problems)
    return tuple(entries)


def _entry(row: Any, problems: list[str]) -> Entry | None:
    if not isinstance(row, dict):
        problems.append(f"an entry is no mapping of {', '.join(_KEYS)}: {str(row)[:60]!r}")
        return None
    fields: Mapping[str, Any] = {str(key): value for key, value in row.items()}
    line = min((getattr(value, "line", 0) for value in fields.values() if value is not None), default=0)
    before = len(problems)
    texts = {key: str(fields.get(key) or "").strip() for key in _KEYS}
    for key in fields:
        if key not in _KEYS:
            problems.append(f"line {line}: unknown key {key[:40]!r}; allowed: {', '.join(_KEYS)}")
    if not texts["fingerprint"]:
        problems.append(f"line {line}: no fingerprint")
    if not texts["reason"]:
        problems.append(f"line {line}: no reason; write why this finding is accepted")
    state = texts["state"] or "exploitable"
    if state not in STATES:
        problems.append(f"line {line}: state {state[:40]!r}; allowed: {', '.join(STATES)}")
    if texts["justification"] and (texts["justification"] not in JUSTIFICATIONS or state != "not_affected"):
        problems.append(
            f"line {line}: a justification goes with `state: not_affected`; allowed: {', '.join(JUSTIFICATIONS)}"
        )
    expires = _date(texts["expires"], line, problems)
    if len(problems) > before:
        return None
    return Entry(
        texts["fingerprint"], texts["reason"], texts["rule"], texts["where"], texts["subject"], texts["by"], expires,
        state, texts["justification"], line,
    )  # fmt: skip


def _date(text: str, line: int, problems: list[str]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(f"line {line}: expires {text[:40]!r} is no date; write it as 2027-01-31")
        return None


def apply(result: Result, entries: Sequence[Entry], source: str, today: date) -> Comparison:
    """Move what the entries accept out of the findings.

    Args:
        source: the file they come from, for the reader.
        today: entries that expire earlier count for nothing.
    """
    by_fingerprint = {entry.fingerprint: entry for entry in entries}
    expired = tuple(entry for entry in entries if entry.expires is not None and entry.expires < today)
    past = {entry.fingerprint for entry in expired}
    found = {finding.fingerprint for finding in result.findings} | {one.finding.fingerprint for one in result.accepted}
    kept = [one for one in result.findings if one.fingerprint not in by_fingerprint or one.fingerprint in past]
    taken = [one for one in result.findings if one.fingerprint in by_fingerprint and one.fingerprint not in past]
    accepted = tuple(_accepted(one, by_fingerprint[one.fingerprint], source) for one in taken)
    stale = tuple(entry for entry in entries if entry.fingerprint not in found)
    return Comparison(replace(result, findings=tuple(kept), accepted=result.accepted + accepted), expired, stale)


def _accepted(finding: Finding, entry: Entry, source: str) -> Accepted:
    until = entry.expires.isoformat() if entry.expires is not None else ""
    return Accepted(finding, entry.reason, source, entry.by, until, entry.state, entry.justification)


def baseline_text(result: Result, old: Sequence[Entry], reason: str, by: str) -> str:
    """The text of a baseline file that accepts the findings, and keeps what an older file says of them.

    Without a reason the file has empty ones, and is refused until someone has filled them in.
    """
    kept = {entry.fingerprint: entry for entry in old}
    findings = {
        one.fingerprint: one for one in (*result.findings, *(a.finding for a in result.accepted if a.source != COMMENT))
    }
    rows = [
        _row(kept.get(fingerprint, Entry(fingerprint, reason, by=by)), finding)
        for fingerprint, finding in sorted(
            findings.items(), key=lambda pair: (pair[1].rule, str(pair[1].place), pair[0])
        )
    ]
    content = {"version": VERSION, "accepted": rows}
    return _HEADER + yaml.dump(content, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=120)


_HEADER: Final = """\
# Findings that were looked at and accepted. Every entry needs a reason; `expires: 2027-01-31` and `by` are optional.
# `state` is exploitable (the risk is taken), not_affected (with a justification), false_positive or in_triage.
"""


def _row(entry: Entry, finding: Finding) -> dict[str, str]:
    values = {
        "fingerprint": finding.fingerprint,
        "rule": finding.rule,
        "where": visible(finding.place.path),
        "subject": visible(finding.subject),
        "reason": entry.reason,
        "by": entry.by,
        "expires": entry.expires.isoformat() if entry.expires else "",
        "state": entry.state if entry.state != "exploitable" else "",
        "justification": entry.justification,
    }
    return {key: value for key, value in values.items() if value or key == "reason"}
