"""Dependencies without an exact version: which advisories could apply to what the specifier admits."""

from __future__ import annotations

from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from threatloop.supply_chain.affected_packages import Package
from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.result import Finding, Severity
from threatloop.supply_chain.severity import severity_of, worst
from threatloop.threats.ontology import Stage

RULE: Final = "possibly-vulnerable-dependency"
_SHOWN: Final = 5


def possible(one: Dependency, package: Package, reading: Reading) -> None:
    """Add one finding for all advisories that affect a known version which the specifier admits.

    Where a known version without an advisory is admitted too, the installer may well choose it: the severity is low.
    Where none is, the severity is that of the worst advisory.
    """
    if package.ecosystem != "PyPI":
        return reading.skip(one.place.path, one.place.line, f"{one.shown}: it has no exact version to compare")
    try:
        admitted = package.admitted(SpecifierSet(one.specifier))
    except InvalidSpecifier:
        return reading.error(one.place.path, one.place.line, f"{one.shown}: no version specifier")
    affected = [version for version in admitted if not package.clean(version)]
    if affected:
        clean = [version for version in admitted if package.clean(version)]
        reading.findings.append(_finding(one, package, affected, clean))
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
    fix = f"ask for {one.name}>={clean[-1]}, and lock exact versions" if clean else "lock a version without an advisory"
    shown = ", ".join(sorted(advisories)[:_SHOWN])
    more = f" and {len(advisories) - _SHOWN} more" if len(advisories) > _SHOWN else ""
    return Finding(
        rule=RULE,
        severity=Severity.LOW if clean else worst_severity,
        title=f"{one.shown}: possibly vulnerable, it admits {len(affected)} known versions that advisories affect",
        place=one.place,
        threat="threat:vulnerable-dependency",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        detail=f"Possible: {shown}{more}. The worst: {worst_severity} ({reason}). Affected are {affected[0]} to "
        f"{affected[-1]} within what is admitted; "
        + (f"{clean[-1]} has no advisory." if clean else "no known version that is admitted is without an advisory."),
        fix=fix,
        subject=one.shown,
        identifiers=tuple(ids),
    )
