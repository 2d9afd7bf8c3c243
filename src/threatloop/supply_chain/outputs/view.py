"""What all outputs say of a scan: the counts, the summary, and long lists grouped by their reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from threatloop.supply_chain.baseline import Entry
from threatloop.supply_chain.result import Accepted, Apart, Failure, Finding, Place, Result, Severity, Skipped
from threatloop.supply_chain.scan import Scan

MOST_KINDS: Final = 6


@dataclass(frozen=True)
class View:
    """A scan as it is shown.

    Attributes:
        scan: with the result after the baseline file.
        started: when; aware, UTC.
        version: of threatloop.
        expired, stale: entries of the baseline file that do not hold any more, or that nothing needs.
        baseline: that file; empty where there is none.
    """

    scan: Scan
    started: datetime
    version: str
    expired: tuple[Entry, ...] = ()
    stale: tuple[Entry, ...] = ()
    baseline: str = ""

    @property
    def result(self) -> Result:
        return self.scan.result

    @property
    def findings(self) -> list[Finding]:
        """The worst first, then by place."""
        return sorted(self.result.findings, key=order)

    @property
    def accepted(self) -> list[Accepted]:
        return sorted(self.result.accepted, key=lambda one: order(one.finding))

    @property
    def left_out(self) -> list[Failure | Skipped]:
        """Everything that was not assessed."""
        return [*self.result.errors, *self.result.skipped]

    @property
    def read(self) -> int:
        """How many files were read to their end and understood."""
        left = {file_of(one.place) for one in self.left_out}
        return len({file_of(place) for place in self.result.read} - left)


def order(finding: Finding) -> tuple[int, str, int, str]:
    """For sorting: the worst first, then by place and rule."""
    return finding.severity.rank, finding.place.path, finding.place.line or 0, finding.rule


def file_of(place: Place) -> str:
    """The file of a place, without the member."""
    return place.path.partition("!/")[0]


def count(number: int, noun: str) -> str:
    """The number with its noun: ``1 finding``, ``2 findings``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def by_severity(findings: Iterable[Finding]) -> str:
    """How many of each severity, the worst first: ``2 critical, 1 high``."""
    counts = Counter(finding.severity for finding in findings)
    ordered = sorted(counts, key=lambda severity: severity.rank)
    return ", ".join(f"{counts[severity]:,} {severity}" for severity in ordered)


def summary(view: View) -> str:
    """One line: what was found, and what of it was not assessed. It never calls anything clean that was left out."""
    result = view.result
    left_out = []
    if result.errors:
        left_out.append(count(len(result.errors), "error"))
    if result.skipped:
        left_out.append(f"{len(result.skipped):,} skipped or not judged")
    if result.findings:
        said = f"{count(len(result.findings), 'finding')} ({by_severity(result.findings)})"
    else:
        said = "No findings"
    said += f" in {count(view.read, 'file')} read and understood"
    if left_out:
        said += f"; not assessed: {' and '.join(left_out)}"
    elif not view.read:
        said += "; there was nothing to assess"
    if result.accepted:
        said += f"; {len(result.accepted):,} accepted"
    return said + "."


def others(view: View) -> str:
    """Of the files that no scanner is for, how many and of which kinds; empty where there are none."""
    kinds = view.scan.others
    if not kinds:
        return ""
    most = kinds.most_common(MOST_KINDS)
    named = ", ".join(f"{kind} {number:,}" for kind, number in most)
    more = f", {len(kinds) - MOST_KINDS} more kinds" if len(kinds) > MOST_KINDS else ""
    return f"{count(sum(kinds.values()), 'other file')} of kinds that no scanner reads: {named}{more}."


@dataclass(frozen=True)
class Group:
    """Places that share a reason."""

    reason: str
    places: tuple[str, ...]


def grouped(items: Sequence[Failure | Skipped]) -> list[Group]:
    """By reason, the most frequent first."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        groups[item.reason].append(str(item.place))
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [Group(reason, tuple(sorted(places))) for reason, places in ordered]


def fails(view: View, limit: Severity | None, strict: bool) -> bool:
    """Whether a build that asked for this fails.

    Args:
        limit: findings at least as bad fail it; nothing for none.
        strict: errors and skipped places fail it too, but for what stands apart.
    """
    if limit is not None and any(finding.severity.reaches(limit) for finding in view.result.findings):
        return True
    left_out = view.result.errors or any(not isinstance(one, Apart) for one in view.result.skipped)
    return strict and bool(left_out)
