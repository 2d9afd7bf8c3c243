"""Dependencies against advisories: one finding for each vulnerability, whatever the number of ids it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from threatloop.supply_chain.affected_packages import Hit, Package, Packages
from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.locked import unsettled
from threatloop.supply_chain.possible import possible
from threatloop.supply_chain.ranges import is_pep440
from threatloop.supply_chain.result import Failure, Finding, Place, Result, Skipped
from threatloop.supply_chain.severity import severity_of, worst
from threatloop.threats.advisories import AdvisorySet
from threatloop.threats.ontology import Stage

RULE: Final = "vulnerable-dependency"
THREAT: Final = "threat:vulnerable-dependency"
MOST_DAYS: Final = 30
"""Since the newest advisory; with older ones the result says so."""


class Matcher:
    """Compares dependencies with advisories; what it works out for a package serves all repositories.

    Args:
        advisories: to compare with. What could not be read of them is for the caller to report, see `problems`.
        now: for how long a vulnerability has been known; aware.
    """

    def __init__(self, advisories: AdvisorySet, now: datetime | None = None) -> None:
        self._packages = Packages(advisories)
        self._problems = advisories.problems
        dates = (one.modified or one.published for one in advisories.advisories)
        self._newest = max((date for date in dates if date is not None), default=None)
        self._now = now or datetime.now(UTC)

    def problems(self) -> Result:
        """What could not be read of the advisories, as errors; and for how long they know of nothing new."""
        errors = tuple(Failure(Place(one.file), one.reason) for one in self._problems)
        days = (self._now - self._newest).days if self._newest is not None else 0
        if days <= MOST_DAYS:
            return Result(errors=errors)
        reason = f"the newest is of {self._newest:%Y-%m-%d}; what became known in the {days:,} days since is not there"
        return Result(errors=errors, skipped=(Skipped(Place("advisories"), reason),))

    def match(self, dependencies: Iterable[Dependency]) -> Result:
        """The findings of these dependencies, and what could not be compared.

        A range is compared only where no lock file of the same folder says which version it became. Packages of which
        the advisories can say nothing are counted among what was skipped.
        """
        reading = Reading()
        unknown: Counter[tuple[str, str]] = Counter()
        for one in unsettled(dict.fromkeys(dependencies)):
            package = self._packages.of(one.ecosystem, one.name)
            if not len(package):
                if reason := self._packages.silence(one.ecosystem):
                    unknown[one.place.path, reason] += 1
            elif one.version:
                self._pinned(one, package, reading)
            elif not one.url:
                possible(one, package, reading)
        for (path, reason), number in unknown.items():
            reading.skip(path, None, f"{reason} ({number:,})")
        return reading.result()

    def vulnerabilities(self, one: Dependency) -> list[list[Hit]]:
        """The vulnerabilities of a dependency with an exact version, each with its advisories."""
        package = self._packages.of(one.ecosystem, one.name)
        return merged([hit for hit in package.hits(one.version) if hit.verdict.affected]) if one.version else []

    def _pinned(self, one: Dependency, package: Package, reading: Reading) -> None:
        if package.ecosystem == "PyPI" and not is_pep440(one.version):
            reason = f"{one.shown}: no version in the sense of PEP 440; it was taken for older than all that are"
            reading.skip(one.place.path, one.place.line, reason)
        for hit in package.hits(one.version):
            if not hit.verdict.affected:
                reason = f"{one.shown}: {hit.advisory.id} is not decided: {'; '.join(hit.verdict.unknown)}"
                reading.skip(one.place.path, one.place.line, reason)
        reading.findings += (self._finding(one, package, hits) for hits in self.vulnerabilities(one))

    def _finding(self, one: Dependency, package: Package, hits: Sequence[Hit]) -> Finding:
        severity, reason = worst(severity_of(hit.advisory, hit.affected) for hit in hits)
        ids = tuple(sorted({name for hit in hits for name in hit.advisory.names}))
        upgrade = package.upgrade(one.version)
        summary = next((text for hit in hits if (text := hit.advisory.summary or hit.advisory.details)), "")
        return Finding(
            rule=RULE,
            severity=severity,
            title=f"{one.shown} has {main_id(ids)}: {_first_line(summary) or 'no summary'}",
            place=one.place,
            threat=THREAT,
            direction=None,
            stage=Stage.SYSTEM_DEVELOPMENT,
            detail="\n".join(self._detail(one, hits, reason)),
            fix=f"upgrade to {upgrade}, the lowest known version without an advisory"
            if upgrade
            else "no version without an advisory is known: replace the package, or accept the finding",
            subject=one.shown,
            identifiers=ids,
        )

    def _detail(self, one: Dependency, hits: Sequence[Hit], reason: str) -> Iterable[str]:
        fixed = fixed_versions(hits)
        yield f"Severity: {reason}."
        yield f"Fixed in {', '.join(fixed[:8])}." if fixed else "The advisory names no fixed version."
        yield patch_lag(one, hits, self._now)
        if len(one.path) > 1:
            yield f"Comes in by {' > '.join(one.path)}."
        if one.ecosystem == "conda":
            yield "A conda package, compared with the advisories of the same project on PyPI."
        if all(hit.verdict.by == "list" for hit in hits):
            yield "The advisory lists this version; its ranges do not hold it."


def merged(hits: Sequence[Hit]) -> list[list[Hit]]:
    """Advisories that share an id or an alias, together; in the order of the first of each."""
    groups: dict[int, list[Hit]] = {}
    owner: dict[str, int] = {}
    for number, hit in enumerate(hits):
        others = {owner[name] for name in hit.advisory.names if name in owner}
        home = min(others, default=number)
        groups.setdefault(home, []).append(hit)
        for other in others - {home}:
            groups[home] += groups.pop(other)
        for one in groups[home]:
            owner.update(dict.fromkeys(one.advisory.names, home))
    return [groups[number] for number in sorted(groups)]


def main_id(ids: Sequence[str]) -> str:
    """The id that most readers know: the CVE where there is one, else the first."""
    return min(ids, key=lambda one: (not one.startswith("CVE-"), one))


def fixed_versions(hits: Iterable[Hit]) -> list[str]:
    """The versions in which these advisories say that it is fixed, in their order."""
    found: dict[str, None] = {}
    for hit in hits:
        for one in hit.affected.ranges:
            if one.type != "GIT":
                found |= dict.fromkeys(event.version for event in one.events if event.kind == "fixed")
    return list(found)


def patch_lag(one: Dependency, hits: Iterable[Hit], now: datetime) -> str:
    """For how long the vulnerability has been known, and by how much the version in use is older, in a sentence.

    Advisories carry no dates of releases, so the date on which the advisory was published stands for the fix.
    """
    dates = [hit.advisory.published for hit in hits if hit.advisory.published is not None]
    if not dates:
        return "Patch lag: not computed, because the advisory has no date of publication."
    known = min(dates)
    days = (now - known).days
    if days < 0:
        return f"Patch lag: not computed, because the advisory is dated {known:%Y-%m-%d}, after the day of this scan."
    sentence = f"Patch lag: {days} days since the advisory was published ({known:%Y-%m-%d})"
    if one.released is None:
        return f"{sentence}; the age of the version in use is not computed, because its date of release is not known."
    age = (now - one.released).days
    return f"{sentence}; the version in use is {age} days old (released {one.released:%Y-%m-%d})."


def _first_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 140 else f"{line[:139]}…"
