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
    errors: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    read: list[Place] = field(default_factory=list)

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
            row.direction,
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
        entry = Failure(Place(place), shown(reason, 400))
        if entry not in self.errors:
            self.errors.append(entry)

    def skip(self, place: str, reason: str) -> None:
        entry = Skipped(Place(place), shown(reason, 400))
        if entry not in self.skipped:
            self.skipped.append(entry)

    def settle(self, place: str) -> None:
        """A place was gone through: it counts as read unless something there was broken or not understood."""
        closed = {entry.place.path for entry in self.errors} | {entry.place.path for entry in self.skipped}
        if place not in closed and Place(place) not in self.read:
            self.read.append(Place(place))

    def result(self) -> Result:
        """The lists, the worst finding first."""
        findings = sorted(self.findings.values(), key=lambda f: (f.severity.rank, f.place.path, f.rule, f.subject))
        return Result(tuple(findings), tuple(self.errors), tuple(self.skipped), tuple(self.read))
