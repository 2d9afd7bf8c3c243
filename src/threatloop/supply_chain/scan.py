"""One scan: the files of a tree, each handed to its scanner, and everything that they say in one result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from threatloop.supply_chain.code.scan import scan_code
from threatloop.supply_chain.dependencies.components import Component
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.result import Place, Result, Skipped
from threatloop.supply_chain.scanners import Dependencies, scan_manifests, scan_models
from threatloop.supply_chain.torch_versions import safe_by_default
from threatloop.supply_chain.walk import File, Reader, walk

Progress = Callable[[int, int, str], None]
"""Told how many files are done, of how many, and which comes next."""


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        dependencies, models, code: which scanners run.
        advisories: an OSV zip or folder; without one, and offline, dependencies are listed but not judged.
        online: ask the advisory services of the network.
        environment: scan the packages that are installed in the running environment too.
    """

    dependencies: bool = True
    models: bool = True
    code: bool = True
    advisories: Path | None = None
    online: bool = False
    environment: bool = False


@dataclass(frozen=True)
class Scan:
    """What a scan found, and of how much.

    Attributes:
        result: the lists.
        roots: what was asked for.
        dependencies: that were declared, one for each place.
        components: each package once, with what it needs where a lock file tells.
        models: model files that were looked at.
        counts: files by scanner.
        others: files that no scanner is for, by extension.
        seconds: it took.
    """

    result: Result
    roots: tuple[Path, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    components: tuple[Component, ...] = ()
    models: tuple[Path, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


_OFF: Final = {
    Reader.CODE: "the code pass was turned off (--no-code)",
    Reader.MODEL: "the scan of model files was turned off (--no-models)",
    Reader.MANIFEST: "the scan of dependencies was turned off (--no-dependencies)",
}


def scan(paths: Sequence[Path], options: Options = Options(), progress: Progress | None = None) -> Scan:
    """Scan files and folders; nothing of them is loaded, imported or run.

    Raises:
        InputError: a path is not there, or the advisories cannot be read.
    """
    tell = progress or _silent
    begun = time.monotonic()
    found = walk(paths, lambda count: tell(0, 0, f"{count:,} files found"))
    files = {reader: found.of(reader) for reader in Reader}
    total = sum(map(len, files.values()))
    steps = _Steps(tell, total)
    dependencies = Dependencies()
    if options.dependencies:
        manifests = [file.path for file in steps.over(files[Reader.MANIFEST])]
        dependencies = scan_manifests(manifests, found.roots, options.advisories, options.online, options.environment)
    result = Result(errors=tuple(found.errors), skipped=tuple(found.skipped)) + dependencies.result
    if options.code:
        safe = safe_by_default(dependencies.declared)
        result += _code(steps.over(files[Reader.CODE]), safe)
    if options.models:
        result += scan_models(file.path for file in steps.over(files[Reader.MODEL]))
    result += Result(skipped=tuple(_turned_off(files, options)))
    return Scan(
        result=result,
        roots=tuple(found.roots),
        dependencies=dependencies.declared,
        components=dependencies.components,
        models=tuple(file.path for file in files[Reader.MODEL]) if options.models else (),
        counts={reader.value: len(files[reader]) for reader in Reader if files[reader]},
        others=found.others,
        seconds=time.monotonic() - begun,
    )


def _code(files: Iterator[File], safe_torch: bool | None) -> Result:
    parts = [scan_code(file.path, safe_torch=safe_torch) for file in files]
    return joined(parts)


def joined(parts: Sequence[Result]) -> Result:
    """All of them, in linear time."""
    return Result(
        findings=tuple(one for part in parts for one in part.findings),
        errors=tuple(one for part in parts for one in part.errors),
        skipped=tuple(one for part in parts for one in part.skipped),
        read=tuple(one for part in parts for one in part.read),
        accepted=tuple(one for part in parts for one in part.accepted),
    )


def _turned_off(files: dict[Reader, list[File]], options: Options) -> Iterator[Skipped]:
    on = {Reader.CODE: options.code, Reader.MODEL: options.models, Reader.MANIFEST: options.dependencies}
    for reader, running in on.items():
        if not running:
            yield from (Skipped(Place(str(file.path)), _OFF[reader]) for file in files[reader])


def _silent(*_: object) -> None:
    """No progress is asked for."""


class _Steps:
    """Counts files as scanners draw them."""

    def __init__(self, tell: Progress, total: int) -> None:
        self.tell, self.total, self.done = tell, total, 0

    def over(self, files: Sequence[File]) -> Iterator[File]:
        for file in files:
            self.tell(self.done, self.total, str(file.path))
            yield file
            self.done += 1
            self.tell(self.done, self.total, str(file.path))
