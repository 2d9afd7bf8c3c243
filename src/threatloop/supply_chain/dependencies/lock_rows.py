"""What all lock files have in common: rows of packages with versions, hashes and what each needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.paths import with_ways
from threatloop.supply_chain.dependencies.requirement import normal, wanted, without_secrets
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.dependencies.text import Lines
from threatloop.supply_chain.result import Place

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_HASH: Final = re.compile(r"[a-z0-9_]+:[0-9a-fA-F]{32,128}")


@dataclass(frozen=True)
class Row:
    """One locked package.

    Attributes:
        number: its place among the rows of the file, from 0.
        name, version: as they are written.
        needs: normal names of what it depends on.
        marker, group, hashes, url, released: see `Dependency`.
        own: whether it is the project itself, or a member of its workspace: no dependency, but where the ways start.
        ecosystem: see `Dependency`.
        line: where it stands, if that is known without the file's headers.
    """

    number: int
    name: str
    version: str
    needs: Sequence[str] = ()
    marker: str = ""
    group: str = ""
    hashes: tuple[str, ...] = ()
    url: str = ""
    released: datetime | None = None
    own: bool = False
    ecosystem: str = "PyPI"
    line: int | None = None


@dataclass
class _Taken:
    reading: Reading = field(default_factory=Reading)
    roots: list[str] = field(default_factory=list)


def add_rows(source: Source, found: Iterable[Row], header: str, roots: Iterable[str] = ()) -> None:
    """Add the packages of a lock with their ways; a row without name or version becomes an error.

    Args:
        source: the lock.
        found: its rows.
        header: the line that starts each row in the file, for line numbers; empty where there is none.
        roots: names that the project itself asks for, where they are known.
    """
    found = list(found)
    numbers = Lines(source.text).every(header) if header else []
    if len(numbers) != max((row.number + 1 for row in found), default=0):
        numbers = []  # Written in another way; no line is better than a wrong one.
    taken = _Taken(roots=[normal(root) for root in roots])
    for row in found:
        line = row.line or (numbers[row.number] if row.number < len(numbers) else None)
        _take(source, row, line, taken)
    with_ways(taken.reading, taken.roots)
    source.reading.take([taken.reading])
    source.reading.read.append(Place(source.shown))


def _take(source: Source, row: Row, line: int | None, taken: _Taken) -> None:
    if not _NAME.fullmatch(row.name):
        return source.error(line, f"package {row.number + 1} has no proper name: {row.name[:60]!r}")
    name = normal(row.name)
    if row.own:
        taken.roots += row.needs
        return None
    if not wanted(source.reading, row.name, row.marker, source.place(line), source.target):
        return None
    taken.reading.edges |= {(name, other) for other in row.needs}
    if not row.version:
        if not row.url:
            return source.error(line, f"{row.name} has no version")
        source.skip(line, f"{row.name} from {without_secrets(row.url)}: its version is not known")
    elif row.url:
        where = without_secrets(row.url)
        source.skip(line, f"{row.name} comes from {where}: advisories were compared with the version it claims")
    taken.reading.dependencies.append(
        Dependency(
            row.ecosystem,
            row.name,
            source.place(line),
            row.version,
            marker=row.marker,
            group=row.group,
            hashes=row.hashes,
            url=without_secrets(row.url) if row.url else "",
            released=row.released,
        )
    )
    return None


def file_hashes(files: Any, key: str) -> tuple[str, ...]:
    """Hashes of a list of tables, each ``algorithm:hex`` under a key; what is none is passed over."""
    found = [one.get(key) for one in files if isinstance(one, dict)] if isinstance(files, list) else []
    return tuple(one for one in found if isinstance(one, str) and _HASH.fullmatch(one))


def uploaded(files: Iterable[Any]) -> datetime | None:
    """The first ``upload-time`` of these tables, in UTC."""
    times: list[datetime] = []
    for one in files:
        value = one.get("upload-time") if isinstance(one, dict) else None
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            times.append(value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))
    return min(times, default=None)
