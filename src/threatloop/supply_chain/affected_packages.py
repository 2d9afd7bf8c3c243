"""The advisories of each package made ready to be asked for many versions, and the versions that are known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from threatloop.supply_chain.ranges import AffectedVersions, UnknownVersion, Verdict, parsed
from threatloop.threats.advisories import Advisory, AdvisorySet, Affected

CONDA_NAMES: Final[Mapping[str, str]] = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "tensorflow-base": "tensorflow",
    "tensorflow-cpu": "tensorflow",
    "py-xgboost": "xgboost",
    "py-opencv": "opencv-python",
    "opencv": "opencv-python",
    "pytables": "tables",
    "msgpack-python": "msgpack",
    "python-flatbuffers": "flatbuffers",
    "matplotlib-base": "matplotlib",
    "ray-core": "ray",
    "ray-default": "ray",
    "dask-core": "dask",
}
"""Names of conda packages whose project has another name on PyPI."""


@dataclass(frozen=True)
class Hit:
    """One advisory that affects a version: the advisory, its part about the package, and by what."""

    advisory: Advisory
    affected: Affected
    verdict: Verdict


class Package:
    """One package: the advisories about it that are not withdrawn."""

    def __init__(self, ecosystem: str, parts: Sequence[tuple[Advisory, Affected]]) -> None:
        self.ecosystem = ecosystem
        self._parts = [
            (advisory, affected, AffectedVersions(affected))
            for advisory, affected in parts
            if advisory.withdrawn is None
        ]
        self._hits: dict[str, tuple[Hit, ...]] = {}
        self._upgrades: dict[str, str | None] = {}

    def __len__(self) -> int:
        return len(self._parts)

    def hits(self, version: str) -> tuple[Hit, ...]:
        """The advisories that affect a version, and those for which that is not known."""
        if version not in self._hits:
            found = ((advisory, affected, ready.verdict(version)) for advisory, affected, ready in self._parts)
            self._hits[version] = tuple(Hit(*hit) for hit in found if hit[2].affected or hit[2].unknown)
        return self._hits[version]

    def clean(self, version: str) -> bool:
        """Whether no advisory is known to affect a version; what is not decided does not count."""
        return not any(hit.verdict.affected for hit in self.hits(version))

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """Every version that any advisory names, in order; what has no place in the order is left out."""
        names: dict[Any, str] = {}
        for _, affected, _ready in self._parts:
            events = (event.version for one in affected.ranges if one.type != "GIT" for event in one.events)
            for version in (*affected.versions, *events):
                if version not in ("0", "*"):
                    try:
                        names.setdefault(parsed(self.ecosystem, version), version)
                    except UnknownVersion:
                        continue
        return tuple(names[place] for place in sorted(names))

    def upgrade(self, version: str) -> str | None:
        """The lowest known version above this one without any advisory; a pre-release only where this one is one."""
        if version not in self._upgrades:
            self._upgrades[version] = self._upgrade(version)
        return self._upgrades[version]

    def _upgrade(self, version: str) -> str | None:
        try:
            here = parsed(self.ecosystem, version)
        except UnknownVersion:
            return None
        early = isinstance(here, Version) and here.is_prerelease
        for other in self.versions:
            place = parsed(self.ecosystem, other)
            if place > here and self.clean(other) and (early or not _is_early(place)):
                return other
        return None

    def admitted(self, specifier: SpecifierSet) -> list[str]:
        """The known versions that a specifier of PEP 440 admits, and those that it names itself."""
        named = [one.version for one in specifier if not one.version.endswith(".*")]
        known = [*self.versions, *(version for version in named if version not in self.versions)]
        return [version for version in known if specifier.contains(version, prereleases=True)]


def _is_early(place: Any) -> bool:
    return isinstance(place, Version) and place.is_prerelease


class Packages:
    """All packages that advisories name."""

    def __init__(self, advisories: AdvisorySet) -> None:
        self._advisories = advisories
        self._made: dict[tuple[str, str], Package] = {}
        self._ecosystems = frozenset(ecosystem for ecosystem, _ in advisories.packages())

    def silence(self, ecosystem: str) -> str:
        """Why a package of the ecosystem without advisories is not proven clean; empty where it is."""
        if ecosystem == "conda" and "pypi" in self._ecosystems:
            return "conda packages have no advisories by their names on PyPI; other names and languages are unknown"
        if ecosystem.lower() not in self._ecosystems:
            return f"packages of {ecosystem} were compared with nothing: the advisories are of other ecosystems"
        return ""

    def of(self, ecosystem: str, name: str) -> Package:
        """The advisories about a package; of a conda package those of the same project on PyPI."""
        if ecosystem == "conda":
            ecosystem, name = "PyPI", CONDA_NAMES.get(name.lower(), name)
        key = (ecosystem, name)
        if key not in self._made:
            self._made[key] = Package(ecosystem, self._advisories.of(ecosystem, name))
        return self._made[key]
