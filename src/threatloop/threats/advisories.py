"""Advisories in the OSV schema: what they say, in a few frozen classes, and what of a file cannot be understood.

Schema: https://ossf.github.io/osv-schema/ (read here: 1.0 to 1.7).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

RANGE_TYPES: Final = ("ECOSYSTEM", "SEMVER", "GIT")
EVENT_KINDS: Final = ("introduced", "fixed", "last_affected", "limit")
_SEPARATORS: Final = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class Event:
    """A step of a range: its kind, one of EVENT_KINDS, and the version (of GIT ranges the commit) where it happens."""

    kind: str
    version: str


@dataclass(frozen=True, slots=True)
class Range:
    """Affected versions as events; the type, one of RANGE_TYPES, says how their versions are ordered."""

    type: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """One package that an advisory affects: ranges and listed versions are united, as the schema asks for.

    Attributes:
        ecosystem: as OSV writes it, such as ``PyPI``, ``npm``, ``Debian:12``.
        package: its name as the advisory writes it.
        ranges: see `Range`.
        versions: affected versions by name.
        severity: vectors of this package only, as (type, vector).
    """

    ecosystem: str
    package: str
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    severity: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory. All texts are untrusted.

    Attributes:
        id: such as ``PYSEC-2021-98`` or ``GHSA-…``.
        aliases: ids of the same vulnerability elsewhere.
        summary, details: plain text or Markdown.
        published, modified, withdrawn: aware times in UTC; nothing where the advisory has none.
        severity: vectors as (type, vector), such as (``CVSS_V3``, ``CVSS:3.1/AV:N/…``).
        rating: the database's own word, in lower case, such as ``high``; empty where it gives none.
        cwe: weakness classes that the database names, such as ``CWE-79``.
        affected: the packages.
        source: the file that it came from.
    """

    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    details: str = ""
    published: datetime | None = None
    modified: datetime | None = None
    withdrawn: datetime | None = None
    severity: tuple[tuple[str, str], ...] = ()
    rating: str = ""
    cwe: tuple[str, ...] = ()
    affected: tuple[Affected, ...] = ()
    source: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Its id and all aliases."""
        return frozenset((self.id, *self.aliases))


@dataclass(frozen=True, slots=True)
class AdvisoryProblem:
    """What of a file was not understood; the rest of it counts."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class AdvisorySet:
    """Advisories, each id once, and what could not be read of their files."""

    advisories: tuple[Advisory, ...]
    problems: tuple[AdvisoryProblem, ...] = ()

    @cached_property
    def _by_package(self) -> Mapping[tuple[str, str], Sequence[tuple[Advisory, Affected]]]:
        found: defaultdict[tuple[str, str], list[tuple[Advisory, Affected]]] = defaultdict(list)
        for advisory in self.advisories:
            for affected in advisory.affected:
                found[package_key(affected.ecosystem, affected.package)].append((advisory, affected))
        return dict(found)

    def of(self, ecosystem: str, package: str) -> Sequence[tuple[Advisory, Affected]]:
        """The advisories that name a package, withdrawn ones too, each with the part that is about it."""
        return self._by_package.get(package_key(ecosystem, package), ())

    def packages(self) -> Iterable[tuple[str, str]]:
        """Ecosystem and normal name of every package that is named."""
        return self._by_package.keys()


def package_key(ecosystem: str, package: str) -> tuple[str, str]:
    """The ecosystem in lower case, and the name in its ecosystem's normal form."""
    place = ecosystem.strip().lower()
    if place == "pypi":
        return place, _SEPARATORS.sub("-", package.strip()).lower()
    return place, package.strip()


def read_advisories(path: Path | str, cache: Path | None = None) -> AdvisorySet:
    """Read advisories from an OSV zip, a folder, or one YAML or JSON file.

    Args:
        path: of the zip, folder or file. Zips and folders are searched for ``*.yaml``, ``*.yml`` and ``*.json``; names
            below a hidden folder are passed over. Symbolic links are reported and not followed.
        cache: a folder that keeps what was understood, by digest of the content; see `advisory_cache.default_folder`.

    Returns:
        What was understood, and one problem for each part that was not.

    Raises:
        InputError: there is no such file, or it cannot be read as a whole.
    """
    from threatloop.threats.advisory_cache import through_cache
    from threatloop.threats.advisory_files import contents

    files, problems = contents(Path(path))
    if cache is None:
        return _understood(files, problems)
    return through_cache(cache, files, problems, lambda: _understood(files, problems))


def _understood(files: Sequence[tuple[str, bytes]], problems: Sequence[AdvisoryProblem]) -> AdvisorySet:
    from threatloop.threats.advisory_parsing import parsed

    all_problems = list(problems)
    by_id: dict[str, Advisory] = {}
    for name, data in files:
        advisories, wrong = parsed(name, data)
        all_problems += (AdvisoryProblem(name, reason) for reason in wrong)
        for advisory in advisories:
            other = by_id.get(advisory.id)
            if other is not None:
                all_problems.append(
                    AdvisoryProblem(name, f"{advisory.id} is in {other.source} too; the newer one counts")
                )
            if other is None or _age(advisory) >= _age(other):
                by_id[advisory.id] = advisory
    return AdvisorySet(tuple(by_id.values()), tuple(all_problems))


def _age(advisory: Advisory) -> datetime:
    return advisory.modified or datetime.min.replace(tzinfo=UTC)
