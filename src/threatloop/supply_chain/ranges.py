"""Which versions an advisory affects: the algorithm of the OSV schema, over each ecosystem's order of versions.

A version is affected if it is listed *or* lies in a range: where list and ranges disagree, their union counts, as the
schema says (https://ossf.github.io/osv-schema/#evaluation). Order and equality come from ``packaging`` (PyPI) and
``univers`` (other ecosystems).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from threatloop.threats.advisories import Affected, Range

_UNIVERS: Final[Mapping[str, str]] = {
    "almalinux": "RpmVersion",
    "alpine": "AlpineLinuxVersion",
    "conancenter": "ConanVersion",
    "crates.io": "SemverVersion",
    "debian": "DebianVersion",
    "github actions": "SemverVersion",
    "go": "GolangVersion",
    "hex": "SemverVersion",
    "maven": "MavenVersion",
    "npm": "SemverVersion",
    "nuget": "NugetVersion",
    "opensuse": "RpmVersion",
    "packagist": "ComposerVersion",
    "pub": "SemverVersion",
    "red hat": "RpmVersion",
    "rocky linux": "RpmVersion",
    "rubygems": "RubygemsVersion",
    "suse": "RpmVersion",
    "swifturl": "SemverVersion",
    "ubuntu": "DebianVersion",
}
"""OSV's ecosystem in lower case, without its release, to the class of ``univers.versions`` that orders its versions."""

_BEFORE_ALL: Final = "0"
_EARLIEST: Final = Version("0.dev0")


class UnknownVersion(ValueError):
    """A version cannot be placed in its ecosystem's order; the message says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version is affected, and what of the advisory could not be evaluated for it.

    Attributes:
        affected: by what could be evaluated.
        by: ``list``, ``range``, ``list and range``, or empty.
        unknown: one reason for each part that was not evaluated; where there are any, *not affected* is not proven.
    """

    affected: bool
    by: str = ""
    unknown: tuple[str, ...] = ()


@lru_cache(maxsize=1 << 16)
def parsed(ecosystem: str, version: str, semantic: bool = False) -> Any:
    """A version as something that compares with the others of its ecosystem.

    Args:
        ecosystem: as OSV writes it; case and a release (``Debian:12``) do not matter.
        version: as it is written in the ecosystem.
        semantic: of ranges of type SEMVER, whatever the ecosystem.

    Raises:
        UnknownVersion: no such version in the ecosystem, or the ecosystem's order is not known here.
    """
    place = ecosystem.split(":")[0].strip().lower()
    if place in ("pypi", "conda") and not semantic:
        try:
            return Version(version)
        except InvalidVersion:
            raise UnknownVersion(f"{version[:60]!r} is no version in the sense of PEP 440") from None
    name = "SemverVersion" if semantic else _UNIVERS.get(place)
    if name is None:
        raise UnknownVersion(f"the order of versions in {ecosystem[:40]} is not known")
    return _by_univers(name, version)


def is_pep440(version: str) -> bool:
    """Whether a text is a version of PyPI as PEP 440 has them since 2014."""
    try:
        parsed("PyPI", version)
    except UnknownVersion:
        return False
    return True


def _by_univers(name: str, version: str) -> Any:
    try:
        from univers import versions
    except ImportError:
        raise UnknownVersion("this ecosystem needs univers: pip install 'threatloop[scan]'") from None
    unknown = UnknownVersion(f"{version[:60]!r} is no {name.removesuffix('Version')} version")
    try:
        found = getattr(versions, name)(version)
        compares = found.value is not None and not found < found  # Some take anything, and fail when they compare.
    except Exception as error:  # Its classes are ports from many languages, each with errors of its own.
        raise unknown from error
    if not compares:
        raise unknown
    return found


@dataclass(frozen=True, slots=True)
class _Steps:
    """A range made ready: events by version (None: before all), limits, and whether it names local versions."""

    semantic: bool
    events: tuple[tuple[str, Any], ...]
    limits: tuple[Any, ...]
    local: bool

    def hold(self, place: Any) -> bool:
        if isinstance(place, Version) and place.local and not self.local:
            place = Version(place.public)
        if self.limits and not any(place < limit for limit in self.limits):
            return False
        inside = False
        for kind, at in self.events:
            if kind == "introduced":
                inside = inside or at is None or place >= at
            elif kind == "fixed":
                inside = inside and place < at
            else:
                inside = inside and place <= at
        return inside


class AffectedVersions:
    """The affected versions of one package by one advisory, made ready to be asked for many versions.

    A local version (``1.9.0+cu111``) counts as the public version it was built from, unless a range names local ones.
    A version of PyPI that is none in the sense of PEP 440 comes before all that are: so setuptools ordered them when
    they were uploaded, and so the lists of the advisories have them.
    """

    def __init__(self, affected: Affected) -> None:
        self.ecosystem = affected.ecosystem
        self._texts = frozenset(affected.versions)
        self._listed: frozenset[Any] | None = None
        self._versions = affected.versions
        self._ranges: list[_Steps] = []
        self.unknown: list[str] = []
        """Reasons why parts of the advisory are not evaluated for any version."""
        for one in affected.ranges:
            if one.type == "GIT":
                continue
            try:
                self._ranges.append(_steps(affected.ecosystem, one))
            except (UnknownVersion, TypeError) as error:
                self.unknown.append(f"a range is not evaluated: {error}")
        if not affected.versions and all(one.type == "GIT" for one in affected.ranges):
            what = "commits only" if affected.ranges else "neither versions nor ranges"
            self.unknown.append(f"it names {what}")

    @property
    def has_ranges(self) -> bool:
        """Whether there is any range that can be evaluated."""
        return bool(self._ranges)

    def lists(self, version: str) -> bool:
        """Whether the list has the version, by whatever spelling, or the public version of a local one."""
        if version in self._texts:
            return True
        if self._listed is None:
            self._listed = frozenset(_name(self.ecosystem, text) for text in self._versions)
        name = _name(self.ecosystem, version)
        return name in self._listed or (
            isinstance(name, Version) and name.local is not None and Version(name.public) in self._listed
        )

    def spans(self, version: str) -> bool:
        """Whether a range holds the version.

        Raises:
            UnknownVersion: the version has no place in the ecosystem's order, and no range holds it.
        """
        problem = None
        for steps in self._ranges:
            try:
                if steps.hold(_place(self.ecosystem, version, steps.semantic)):
                    return True
            except UnknownVersion as error:
                problem = error
            except TypeError:  # Of univers, where two versions have nothing in common that could be compared.
                problem = UnknownVersion(f"{version[:60]!r} cannot be compared with the versions of the range")
        if problem is not None:
            raise problem
        return False

    def verdict(self, version: str) -> Verdict:
        """Whether the version is affected: by the list, by a range, or both."""
        unknown = list(self.unknown)
        listed, inside = self.lists(version), False
        try:
            inside = self.spans(version)
        except UnknownVersion as error:
            unknown.append(str(error))
        by = " and ".join(word for word, true in (("list", listed), ("range", inside)) if true)
        return Verdict(listed or inside, by, tuple(unknown))


def _name(ecosystem: str, version: str) -> Any:
    """What stands for a version in a list, the same for every spelling of it."""
    try:
        found = parsed(ecosystem, version)
    except UnknownVersion:
        return version
    return found if isinstance(found, Version) else str(found)


def _place(ecosystem: str, version: str, semantic: bool) -> Any:
    try:
        return parsed(ecosystem, version, semantic)
    except UnknownVersion:
        if semantic or ecosystem.lower() != "pypi":
            raise
        return _EARLIEST


def _steps(ecosystem: str, one: Range) -> _Steps:
    semantic = one.type == "SEMVER"
    first: list[tuple[str, Any]] = []
    placed: list[tuple[str, Any]] = []
    limits: list[Any] = []
    for event in one.events:
        if event.kind == "introduced" and event.version == _BEFORE_ALL:
            first.append((event.kind, None))
        elif event.kind == "limit":
            if event.version != "*":
                limits.append(parsed(ecosystem, event.version, semantic))
        else:
            placed.append((event.kind, parsed(ecosystem, event.version, semantic)))
    placed.sort(key=lambda item: item[1])
    local = any(isinstance(at, Version) and at.local for _, at in placed)
    return _Steps(semantic, (*first, *placed), tuple(limits), local)
