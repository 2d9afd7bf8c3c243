"""What every scanner returns: findings, errors, and what was skipped with the reason. Silence never reads as safe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from threatloop.core.step import Direction
from threatloop.threats.ontology import Stage


class Severity(StrEnum):
    """How bad a finding is, the worst first. ``unknown`` counts as ``high`` where a build must fail or pass."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return ("critical", "high", "unknown", "medium", "low").index(self.value)

    def reaches(self, limit: Severity) -> bool:
        """Whether this is at least as bad as the limit."""
        counted = Severity.HIGH if self is Severity.UNKNOWN else self
        return counted.rank <= limit.rank


@dataclass(frozen=True)
class Place:
    """Where something was found: a path as the user gave it, ``!/`` before members of archives, and lines from 1."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One thing that should be looked at.

    Attributes:
        rule: stable id of what was looked for, ``kebab-case``: ``vulnerable-dependency``, ``unsafe-pickle``,
            ``remote-code``.
        severity: how bad.
        title: one line; plain text, untrusted where it quotes a file.
        place: where.
        threat: id of the threat in the catalogue of threats, such as ``threat:malicious-model-file``.
        direction: of that threat; nothing where the threat is no arrow between data and models.
        stage: of the lifecycle.
        detail: what supports it, a few lines at most.
        fix: what to do, one line.
        subject: what is affected: a package as ``name==version``, a member of a file, a call.
        identifiers: advisory ids, aliases included.
        scanner: which part of threatloop, or which third-party scanner, says so.
        fingerprint: of rule, place without the line, and subject; what a baseline file accepts.
    """

    rule: str
    severity: Severity
    title: str
    place: Place
    threat: str
    direction: Direction | None
    stage: Stage
    detail: str = ""
    fix: str = ""
    subject: str = ""
    identifiers: tuple[str, ...] = ()
    scanner: str = "threatloop"

    @property
    def fingerprint(self) -> str:
        parts = (self.rule, self.place.path, self.subject, *sorted(self.identifiers))
        return hashlib.sha256("\x00".join(parts).encode(errors="surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True)
class Open:
    """Something of which nobody can say that it is clean, and why."""

    place: Place
    reason: str


class Failure(Open):
    """What should have been read and could not be: a broken line, a truncated file."""


class Skipped(Open):
    """What was not looked at, or not understood."""


class Apart(Skipped):
    """What belongs to no scan unless it is named, such as the folder of version control: listed, and no failure."""


COMMENT = "comment in the code"
"""Source of findings that a comment accepts."""


@dataclass(frozen=True)
class Accepted:
    """A finding that someone looked at and accepted; it is shown, and fails no build.

    Attributes:
        finding: as it was found.
        reason: why, in the words of who accepted it.
        source: where that is written: `COMMENT`, or a baseline file.
        by: who accepted it.
        expires: ISO date after which it counts again; empty for never.
        state: of the vulnerability analysis (VEX): ``exploitable`` where the risk is taken, ``not_affected``,
            ``false_positive``, or ``in_triage``.
        justification: of ``not_affected``, in the words of CycloneDX, such as ``code_not_reachable``.
    """

    finding: Finding
    reason: str
    source: str
    by: str = ""
    expires: str = ""
    state: str = "exploitable"
    justification: str = ""


@dataclass(frozen=True)
class Result:
    """What scanning found. Nothing may be dropped: what is in none of the lists was read, understood and clean.

    Attributes:
        findings, errors, skipped: the three lists.
        read: places that were read to the end and understood, findings or not.
        accepted: findings that a comment or a baseline file accepts; none of them is among the findings.
    """

    findings: tuple[Finding, ...] = ()
    errors: tuple[Failure, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    read: tuple[Place, ...] = ()
    accepted: tuple[Accepted, ...] = ()

    def __add__(self, other: Result) -> Result:
        return Result(
            self.findings + other.findings,
            self.errors + other.errors,
            self.skipped + other.skipped,
            self.read + other.read,
            self.accepted + other.accepted,
        )
