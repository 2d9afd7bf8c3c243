"""Dependencies without an exact version: which advisories could apply to what the specifier admits."""

from __future__ import annotations

from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from threatloop.supply_chain.affected_packages import Package
from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.ranges import parsed
from threatloop.supply_chain.result import Finding, Severity
from threatloop.supply_chain.severity import severity_of, worst
from threatloop.threats.ontology import Stage

RULE: Final = "possibly-vulnerable-dependency"
_SHOWN: Final = 5
_ENDS: Final = ("0", "999999")
"""Asked for where no version is known: a range without an end, as of malicious packages, holds one of them."""


def possible(one: Dependency, package: Package, reading: Reading) -> None:
    """Add one finding for all advisories that affect a known version which the specifier admits.

    Where a known version without an advisory is admitted too, the installer may well choose it: the severity is low.
    Where none is, the severity is that of the worst advisory.
    """
    if package.ecosystem != "PyPI":
        return reading.skip(one.place.path, one.place.line, f"{one.shown}: it has no exact version to compare")
    try:
        specifier = SpecifierSet(one.specifier)
    except InvalidSpecifier:
        return reading.error(one.place.path, one.place.line, f"{one.shown}: no version specifier")
    named = package.admitted(specifier)
    admitted = named or [version for version in _ENDS if specifier.contains(version)]
    if not admitted:
        reason = f"{one.shown}: it admits no version that an advisory names, so it was compared with none"
        return reading.skip(one.place.path, one.place.line, reason)
    affected = [version for version in admitted if not package.clean(version)]
    if affected:
        clean = [version for version in admitted if package.clean(version)]
        reading.findings.append(_finding(one, package, affected, clean if named else []))
    undecided = {
        hit.advisory.id: hit for version in admitted for hit in package.hits(version) if not hit.verdict.affected
    }
    for id_, hit in undecided.items():
        reading.skip(
            one.place.path, one.place.line, f"{one.shown}: {id_} is not decided: {'; '.join(hit.verdict.unknown)}"
        )
    return None


def _finding(one: Dependency, package: Package, affected: list[str], clean: list[str]) -> Finding:
    hits = [hit for version in affected for hit in package.hits(version) if hit.verdict.affected]
    advisories = {hit.advisory.id: hit for hit in hits}
    worst_severity, reason = worst(severity_of(hit.advisory, hit.affected) for hit in advisories.values())
    ids = sorted({name for hit in advisories.values() for name in hit.advisory.names})
    fix = "lock a version without an advisory"
    if clean:
        newest = parsed(package.ecosystem, clean[-1]) > parsed(package.ecosystem, affected[-1])
        fix = f"ask for {one.name}>={clean[-1]}, and lock exact versions" if newest else f"lock {one.name}=={clean[-1]}"
    shown = ", ".join(sorted(advisories)[:_SHOWN])
    more = f" and {len(advisories) - _SHOWN} more" if len(advisories) > _SHOWN else ""
    ends = set(affected) <= set(_ENDS)
    number = "versions" if ends else f"{len(affected)} known version{'s' if len(affected) > 1 else ''}"
    span = "" if ends else f" Affected are {affected[0]} to {affected[-1]} within what is admitted;"
    return Finding(
        rule=RULE,
        severity=Severity.LOW if clean else worst_severity,
        title=f"{one.shown}: possibly vulnerable, it admits {number} that advisories affect",
        place=one.place,
        threat="threat:vulnerable-dependency",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        detail=f"Possible: {shown}{more}. The worst: {worst_severity} ({reason}).{span} "
        + (f"{clean[-1]} has no advisory." if clean else "no known version that is admitted is without an advisory."),
        fix=fix,
        subject=one.shown,
        identifiers=tuple(ids),
    )
