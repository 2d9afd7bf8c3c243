"""What was understood of an advisory database, kept by digest of its content for the next scan."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from threatloop.threats.advisories import Advisory, AdvisoryProblem, AdvisorySet, Affected, Event, Range

_FORMAT: Final = 2
"""To be raised with every change of what is understood of a file."""
_KEPT: Final = 8
"""Databases in the folder; the oldest leave."""


def default_folder() -> Path:
    """The folder for it in the user's cache (``XDG_CACHE_HOME``)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "threatloop" / "advisories"


def through_cache(
    folder: Path,
    files: Sequence[tuple[str, bytes]],
    problems: Sequence[AdvisoryProblem],
    understand: Callable[[], AdvisorySet],
) -> AdvisorySet:
    """What the folder keeps of these files, else what ``understand`` says of them, which is then kept.

    A kept file counts only if its own digest holds. A folder that cannot be read or written costs time, nothing else.
    """
    place = folder / f"{_digest(files, problems)}.json"
    kept = _load(place)
    if kept is not None:
        return kept
    understood = understand()
    with suppress(OSError):
        _save(place, understood)
    return understood


def _digest(files: Sequence[tuple[str, bytes]], problems: Sequence[AdvisoryProblem]) -> str:
    state = hashlib.blake2b(f"{_FORMAT}:{problems}".encode(errors="surrogatepass"), digest_size=20)
    for name, data in files:
        state.update(f"\0{len(name)}:{len(data)}:{name}".encode(errors="surrogatepass"))
        state.update(data)
    return state.hexdigest()


def _load(place: Path) -> AdvisorySet | None:
    try:
        digest, _, body = place.read_bytes().partition(b"\n")
        if hashlib.blake2b(body, digest_size=20).hexdigest().encode() != digest:
            return None
        advisories, problems = json.loads(body)
        return AdvisorySet(tuple(map(_advisory, advisories)), tuple(AdvisoryProblem(*problem) for problem in problems))
    except (OSError, ValueError, TypeError):
        return None


def _save(place: Path, found: AdvisorySet) -> None:
    rows = [_row(advisory) for advisory in found.advisories]
    problems = [[problem.file, problem.reason] for problem in found.problems]
    body = json.dumps([rows, problems], separators=(",", ":")).encode()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = place.with_name(f".tmp-{os.urandom(6).hex()}")
    try:
        half.write_bytes(hashlib.blake2b(body, digest_size=20).hexdigest().encode() + b"\n" + body)
        half.replace(place)
    finally:
        half.unlink(missing_ok=True)
    others = sorted(place.parent.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in others[_KEPT:]:
        old.unlink(missing_ok=True)


def _row(advisory: Advisory) -> list[Any]:
    times = (advisory.published, advisory.modified, advisory.withdrawn)
    affected = [
        [
            part.ecosystem,
            part.package,
            [[one.type, [[event.kind, event.version] for event in one.events]] for one in part.ranges],
            part.versions,
            part.severity,
        ]
        for part in advisory.affected
    ]
    return [
        advisory.id,
        advisory.aliases,
        advisory.summary,
        advisory.details,
        *(time and time.isoformat() for time in times),
        advisory.severity,
        advisory.rating,
        advisory.cwe,
        affected,
        advisory.source,
    ]


def _advisory(row: list[Any]) -> Advisory:
    id_, aliases, summary, details, *times, severity, rating, cwe, affected, source = row
    published, modified, withdrawn = (time and datetime.fromisoformat(time) for time in times)
    return Advisory(
        id_,
        tuple(aliases),
        summary,
        details,
        published,
        modified,
        withdrawn,
        _pairs(severity),
        rating,
        tuple(cwe),
        tuple(_part(part) for part in affected),
        source,
    )


def _part(row: list[Any]) -> Affected:
    ecosystem, package, ranges, versions, severity = row
    events = ((kind, tuple(Event(*event) for event in found)) for kind, found in ranges)
    return Affected(
        ecosystem, package, tuple(Range(kind, found) for kind, found in events), tuple(versions), _pairs(severity)
    )


def _pairs(rows: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((kind, score) for kind, score in rows)
