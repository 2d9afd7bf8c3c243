"""Where a store's objects lie, what they add up to, and how the unneeded ones are removed."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from threatloop.core.errors import CorruptArtefact
from threatloop.engine.storage.files import OBJECTS, TEMPORARY, Entry, Files
from threatloop.engine.storage.manifest import KEY, PAYLOAD, from_bytes

ORPHAN_SECONDS: Final = 3600.0
_DAY: Final = 86400.0


@dataclass(frozen=True)
class StoreStats:
    """How much a store holds: artefacts, all their files (orphans included), and the bytes of these."""

    artefacts: int
    files: int
    bytes: int


@dataclass(frozen=True)
class GcReport:
    """What was removed, or would be in a dry run: artefacts, left-over files, and the bytes of both."""

    artefacts: int
    orphans: int
    bytes: int
    dry_run: bool

    @property
    def count(self) -> int:
        """Artefacts and left-over files together."""
        return self.artefacts + self.orphans


def folder(key: str) -> str:
    """The folder of a key's files, with a slash at its end."""
    return f"{OBJECTS}/{key[:2]}/{key[2:4]}/"


def manifest_path(key: str) -> str:
    """Where a key's manifest lies."""
    return f"{folder(key)}{key}.json"


def keys(files: Files) -> list[str]:
    """Every key with a manifest."""
    return [key for entry in files.walk(OBJECTS) if (key := _manifest_key(entry))]


def stats(files: Files) -> StoreStats:
    """Counts and bytes from one listing; no file is read."""
    entries = list(files.walk(OBJECTS))
    artefacts = sum(1 for entry in entries if _manifest_key(entry))
    return StoreStats(artefacts, len(entries), sum(entry.size for entry in entries))


def collect(files: Files, keep: set[str] | None, older_than_days: float | None, dry_run: bool) -> GcReport:
    """Removes what `Store.gc` promises, manifests first, so that none ever names a file that is gone."""
    now = time.time()
    manifests: dict[str, Entry] = {}
    payloads: defaultdict[str, list[Entry]] = defaultdict(list)
    strays: list[Entry] = []
    for entry in files.walk(OBJECTS):
        if key := _manifest_key(entry):
            manifests[key] = entry
        elif match := PAYLOAD.fullmatch(_name(entry)):
            payloads[match[1]].append(entry)
        elif _name(entry).startswith(TEMPORARY) and _age(entry, now) > ORPHAN_SECONDS:
            strays.append(entry)
    doomed = {key for key, entry in manifests.items() if _unwanted(key, entry, keep, older_than_days, now)}
    gone: list[Entry] = [manifests[key] for key in doomed]
    for key, entries in payloads.items():
        used = _used(files, key, entries)
        old = {entry.path for entry in entries if _age(entry, now) > ORPHAN_SECONDS}
        strays += [entry for entry in entries if entry.path not in used and entry.path in old]
        gone += [entry for entry in entries if entry.path in used and key in doomed]
    if not dry_run:
        for entry in gone + strays:
            files.remove(entry.path)
    return GcReport(len(doomed), len(strays), sum(entry.size for entry in gone + strays), dry_run)


def _used(files: Files, key: str, entries: list[Entry]) -> set[str]:
    """Payload paths that the manifest names at this moment; all of them where it is corrupt, to risk nothing."""
    path = manifest_path(key)
    try:
        return {folder(key) + ref.file for ref in from_bytes(key, path, bytes(files.read(path))).files}
    except FileNotFoundError:
        return set()
    except CorruptArtefact:
        return {entry.path for entry in entries}


def _unwanted(key: str, entry: Entry, keep: set[str] | None, days: float | None, now: float) -> bool:
    if keep is None and days is None:
        return False
    return (keep is None or key not in keep) and (days is None or _age(entry, now) > days * _DAY)


def _manifest_key(entry: Entry) -> str | None:
    stem, _, suffix = _name(entry).partition(".")
    return stem if suffix == "json" and KEY.fullmatch(stem) else None


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


def _age(entry: Entry, now: float) -> float:
    """Seconds since it was written; 0 where the file system doesn't tell, so that nothing goes by mistake."""
    return 0.0 if entry.modified is None else now - entry.modified
