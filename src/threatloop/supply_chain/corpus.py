"""Many repositories: scanned one after the other or by several processes, and written as the corpus that is ranked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from threatloop.core.errors import InputError, Problems
from threatloop.core.files import replacing
from threatloop.supply_chain.affected_packages import Hit
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.dependencies.scan import read_dependencies
from threatloop.supply_chain.dependencies.target import Target
from threatloop.supply_chain.dependencies.target import target as this_target
from threatloop.supply_chain.matching import Matcher, main_id
from threatloop.supply_chain.result import Failure, Place, Result, Severity
from threatloop.supply_chain.severity import severity_of, worst
from threatloop.threats.advisories import AdvisorySet

MAX_LIST_BYTES: Final = 64 << 20
_PER_TASK: Final = 8
"""Repositories that a process takes at a time."""


@dataclass(frozen=True)
class Scanned:
    """One repository: what scanning it found, and its line of the corpus (`threats.importers.corpus_record`)."""

    repository: str
    result: Result
    record: dict[str, Any]


def listed_repositories(path: Path) -> list[Path]:
    """The repositories of a corpus: the folders in a folder, or the paths that a file lists, one a line.

    Relative paths count from the file's folder; empty lines and those that start with ``#`` are passed over.

    Raises:
        InputError: no such path, not UTF-8, too large, or it lists nothing.
        Problems: every line that is no folder.
    """
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.is_dir() and not one.is_symlink())
        if not found:
            raise InputError(
                f"{path}: holds no folder; a corpus is a folder of repositories, or a file that lists them"
            )
        return found
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; list one repository a line") from None
    if len(data) > MAX_LIST_BYTES:
        raise InputError(f"{path}: larger than {MAX_LIST_BYTES >> 20} MiB")
    rows = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    wanted = [(number, path.parent / line) for number, line in rows if line and not line.startswith("#")]
    wrong = [f"line {number}: {str(one)[:200]!r} is no folder" for number, one in wanted if not _is_folder(one)]
    if wrong:
        raise Problems(str(path), wrong)
    if not wanted:
        raise InputError(f"{path}: lists no repository; one path a line")
    return list(dict.fromkeys(one for _, one in wanted))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def scan_corpus(
    repositories: Sequence[Path],
    advisories: AdvisorySet,
    target: Target | None = None,
    *,
    now: datetime | None = None,
    workers: int = 1,
) -> Iterator[Scanned]:
    """Scan the dependencies of each repository, in the order given, each as soon as those before it are done.

    Args:
        repositories: folders.
        advisories: to compare with.
        target: see `read_dependencies`.
        now: of the scan, aware.
        workers: processes; with 1 there is no other process.
    """
    scanner = _Scanner(advisories, target or this_target(), now or datetime.now(UTC))
    jobs = list(zip(_names(repositories), repositories, strict=True))
    if workers <= 1:
        yield from map(scanner.scan, jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(scanner.parts,)) as pool:
        try:
            yield from pool.map(_scan, jobs, chunksize=_PER_TASK)
        except BrokenProcessPool:
            raise InputError(
                "a scanning process was ended from outside, perhaps for memory; use fewer workers"
            ) from None


class _Scanner:
    """Advisories made ready, for all repositories that a process scans."""

    def __init__(self, advisories: AdvisorySet, target: Target, now: datetime) -> None:
        self.parts = (advisories, target, now)
        self._matcher, self._target, self._day = Matcher(advisories, now), target, now.date().isoformat()

    def scan(self, job: tuple[str, Path]) -> Scanned:
        name, path = job
        try:
            reading = read_dependencies([path], self._target)
        except InputError as error:
            return Scanned(name, Result(errors=(Failure(Place(str(path)), str(error)),)), self._record(name, []))
        found = reading.result() + self._matcher.match(reading.dependencies)
        return Scanned(name, found, self._record(name, reading.dependencies))

    def _record(self, name: str, dependencies: Sequence[Dependency]) -> dict[str, Any]:
        packages: dict[tuple[Any, ...], dict[str, Any]] = {}
        vulnerabilities: dict[tuple[str, ...], dict[str, Any]] = {}
        for one in dependencies:
            row = {"ecosystem": one.ecosystem, "name": one.key[1][:500], "version": one.version[:200]}
            kept = packages.setdefault(tuple(row.values()), {**row, "direct": False})
            kept["direct"] = kept["direct"] or one.direct is not False
            for hits in self._matcher.vulnerabilities(one):
                found = _vulnerability(one, hits, self._day)
                vulnerabilities.setdefault((*one.key, found["id"]), found)
        return {
            "repository": name[:500],
            "packages": list(packages.values()),
            "vulnerabilities": list(vulnerabilities.values()),
        }


_OF_THIS_PROCESS: list[_Scanner] = []


def _start(parts: tuple[AdvisorySet, Target, datetime]) -> None:
    _OF_THIS_PROCESS[:] = [_Scanner(*parts)]


def _scan(job: tuple[str, Path]) -> Scanned:
    return _OF_THIS_PROCESS[0].scan(job)


def _names(repositories: Sequence[Path]) -> list[str]:
    """The folders' own names where they differ, else their paths."""
    short = [os.path.basename(os.path.abspath(one)) for one in repositories]
    return short if len(set(short)) == len(short) else [str(one) for one in repositories]


def _vulnerability(one: Dependency, hits: Sequence[Hit], observed: str) -> dict[str, Any]:
    """Only what an exact version has; days of releases and of patches are not known to advisories and manifests."""
    ids = sorted({name for hit in hits for name in hit.advisory.names})
    severity, _ = worst(severity_of(hit.advisory, hit.affected) for hit in hits)
    text = next((text for hit in hits if (text := hit.advisory.summary or hit.advisory.details)), "")
    id_ = main_id(ids)
    return {
        "id": id_,
        "aliases": [other for other in ids if other != id_],
        "package": one.key[1][:500],
        "ecosystem": one.ecosystem,
        "summary": text[:10_000],
        "cwe": sorted({cwe for hit in hits for cwe in hit.advisory.cwe}),
        "severity": None if severity is Severity.UNKNOWN else severity.value,
        "observed": observed,
    }


def write_corpus(scanned: Iterator[Scanned], path: Path) -> Iterator[Scanned]:
    """Write each repository's line as it comes, and pass it on; the file appears only when all are written.

    Raises:
        InputError: the file cannot be written.
    """
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        for one in scanned:
            file.write(json.dumps(one.record, ensure_ascii=False) + "\n")
            yield one
