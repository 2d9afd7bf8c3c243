"""What a scan has found so far, in the lists that it will return."""

from __future__ import annotations

from dataclasses import dataclass, field

from threatloop.supply_chain.model_files.rules import RULES
from threatloop.supply_chain.result import Failure, Finding, Place, Result, Severity, Skipped

_SHOWN = 200


def shown(text: object, limit: int = _SHOWN) -> str:
    """Untrusted text on one line: control characters escaped, and cut."""
    line = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in str(text)[: limit + 1])
    return line if len(line) <= limit else f"{line[:limit]}…"


@dataclass
class Notes:
    """Filled while files are scanned; a place in no list would read as clean, so `settle` closes each."""

    findings: dict[str, Finding] = field(default_factory=dict)
    errors: dict[Failure, None] = field(default_factory=dict)
    skipped: dict[Skipped, None] = field(default_factory=dict)
    read: dict[Place, None] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def found(
        self,
        rule: str,
        place: str,
        title: str,
        *,
        subject: str = "",
        detail: str = "",
        severity: Severity | None = None,
        scanner: str = "threatloop",
    ) -> None:
        """Add a finding; the same problem at the same place is kept once, at its worst."""
        row = RULES[rule]
        finding = Finding(
            rule,
            severity or row.severity,
            shown(title),
            Place(place),
            row.threat,
            None,
            row.stage,
            detail="\n".join(shown(line, 400) for line in detail.splitlines()[:12]),
            fix=row.fix,
            subject=shown(subject),
            scanner=scanner,
        )
        old = self.findings.get(finding.fingerprint)
        if old is None or finding.severity.rank < old.severity.rank:
            self.findings[finding.fingerprint] = finding

    def failed(self, place: str, reason: str) -> None:
        self.read.pop(Place(place), None)
        self.errors[Failure(Place(place), shown(reason, 400))] = None
        self._open.add(place)

    def skip(self, place: str, reason: str) -> None:
        self.skipped[Skipped(Place(place), shown(reason, 400))] = None
        self._open.add(place)

    def reopen(self, place: str, reason: str) -> None:
        """What was taken for read turned out not to be understood."""
        self.read.pop(Place(place), None)
        self.skip(place, reason)

    def settle(self, place: str) -> None:
        """A place was gone through: it counts as read unless something there was broken or not understood."""
        if place not in self._open:
            self.read[Place(place)] = None

    def result(self) -> Result:
        """The lists, the worst finding first."""
        findings = sorted(self.findings.values(), key=lambda f: (f.severity.rank, f.place.path, f.rule, f.subject))
        return Result(tuple(findings), tuple(self.errors), tuple(self.skipped), tuple(self.read))
