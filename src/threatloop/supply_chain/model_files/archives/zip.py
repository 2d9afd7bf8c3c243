"""Zip archives: what their records say, where they disagree, and every member."""

from __future__ import annotations

import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from threatloop.supply_chain.model_files.archives.names import escapes
from threatloop.supply_chain.model_files.archives.unpack import bunzip2, inflate, stored, zip_lzma
from threatloop.supply_chain.model_files.archives.zip_layout import Directory, Entry, directory, local, salvaged
from threatloop.supply_chain.model_files.job import Job, TooMuch
from threatloop.supply_chain.model_files.source import Source, Unreadable

_METHODS: Mapping[int, Callable[[Source], Iterator[bytes]]] = {0: stored, 8: inflate, 12: bunzip2, 14: zip_lzma}
_DESCRIPTOR = 8
_WRONG = "its checksum or its size is not what the directory says"


def scan_zip(source: Source, job: Job) -> None:
    """Check the records of an archive and scan its members, those too that are written in a broken way.

    Raises:
        Unreadable: there is no directory; the members that were found without it have been scanned.
    """
    try:
        index = directory(source, job.limits)
    except Unreadable:
        _scan_members(source, salvaged(source, job.limits), job)
        raise
    _judge_edges(source, index, job)
    _judge_names(source, index, job)
    _scan_members(source, index, job)


def _scan_members(source: Source, index: Directory, job: Job) -> None:
    spans: list[tuple[int, int, str]] = []
    for entry in index.entries:
        job.count_member(source.place)
        try:
            _scan_member(source, index, entry, spans, job)
        except TooMuch as error:
            job.notes.found("archive-bomb", _place(source, entry), str(error), subject=entry.name)
            job.notes.failed(_place(source, entry), f"not scanned to its end: {error}")
        except Unreadable as error:
            job.notes.failed(_place(source, entry), str(error))
    _judge_overlap(source, spans, job)


def _place(source: Source, entry: Entry) -> str:
    return f"{source.place}!/{entry.name}"


def _judge_edges(source: Source, index: Directory, job: Job) -> None:
    if index.prefix and any(source.read(0, min(index.prefix, 4096))):
        title = f"{index.prefix} bytes stand before the archive, which another program may read instead"
        job.notes.found("hidden-content", source.place, title, subject="prefix")
    if index.end < source.size:
        title = f"{source.size - index.end} bytes follow the archive"
        job.notes.found("hidden-content", source.place, title, subject="tail")
        rest = source.part(index.end, source.size)
        job.descend(source.inside("bytes behind the archive", rest.file, rest.start, rest.size))


def _judge_names(source: Source, index: Directory, job: Job) -> None:
    counted = Counter(entry.name for entry in index.entries)
    for name, count in counted.items():
        if count > 1:
            title = f"{count} members are named {name}; which one is loaded depends on the program"
            job.notes.found("duplicate-member", source.place, title, subject=name)
        if why := escapes(name):
            job.notes.found("archive-traversal", source.place, f"member {name}: {why}", subject=name)
    for entry in index.entries:
        if stat.S_ISLNK(entry.mode):
            job.notes.found("archive-link", source.place, f"member {entry.name} is a symbolic link", subject=entry.name)


def _scan_member(source: Source, index: Directory, entry: Entry, spans: list[tuple[int, int, str]], job: Job) -> None:
    header, start = local(source, index.prefix + entry.offset)
    _judge_header(source, entry, header, job)
    spans.append((header.offset, start + entry.packed, entry.name))
    if entry.name.endswith("/") and not entry.size:
        return
    packed = source.part(start, entry.packed)
    if packed.size < entry.packed:
        job.notes.failed(_place(source, entry), f"truncated: {entry.packed} packed bytes, {packed.size} are there")
    if entry.encrypted:
        title = f"member {entry.name} is marked as encrypted and cannot be read for certain"
        job.notes.found("encrypted-member", source.place, title, subject=entry.name)
        job.notes.skip(_place(source, entry), "encrypted; scanned as if the mark were a lie")
    methods = dict.fromkeys((entry.method, header.method))
    for method in methods:
        _unpack(source, entry, packed, method, job)


def _unpack(source: Source, entry: Entry, packed: Source, method: int, job: Job) -> None:
    place = _place(source, entry)
    if method == 0:
        member = source.inside(entry.name, packed.file, packed.start, packed.size)
        job.descend(member)
        if not entry.encrypted and _checksum(packed) != entry.crc:
            job.notes.failed(place, _WRONG)
        return
    unpack = _METHODS.get(method)
    if unpack is None:
        job.notes.skip(place, f"compression method {method} is not read here")
        return
    checked = _Checked(unpack(packed))
    with job.unpacked(iter(checked), packed.size) as (file, size):
        job.descend(source.inside(entry.name, file, 0, size))  # type: ignore[arg-type]
    if checked.broken and not entry.encrypted:
        job.notes.failed(place, checked.broken)
    elif (checked.crc, size) != (entry.crc, entry.size) and not entry.encrypted:
        job.notes.failed(place, _WRONG)


def _checksum(data: Source) -> int:
    crc = 0
    for block in stored(data):
        crc = zlib.crc32(block, crc)
    return crc


class _Checked:
    """Blocks with their checksum; where unpacking breaks, what came until then is scanned all the same."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.crc = 0
        self.broken = ""

    def __iter__(self) -> Iterator[bytes]:
        try:
            for block in self._blocks:
                self.crc = zlib.crc32(block, self.crc)
                yield block
        except TooMuch:
            raise
        except Unreadable as error:
            self.broken = str(error)


def _judge_header(source: Source, entry: Entry, header: Entry, job: Job) -> None:
    told = []
    if header.name != entry.name:
        told.append(f"name {header.name!r}")
    if header.method != entry.method:
        told.append(f"method {header.method}")
    if header.encrypted != entry.encrypted:
        told.append("another mark of encryption")
    late = header.flags & _DESCRIPTOR
    if (header.packed, header.size, header.crc) != (entry.packed, entry.size, entry.crc) and not (
        late and not (header.packed or header.size or header.crc)
    ):
        told.append(f"{header.size} bytes")
    if told:
        title = f"member {entry.name}: the local header says {', '.join(told)}, the directory does not"
        job.notes.found("archive-mismatch", source.place, title, subject=entry.name)


def _judge_overlap(source: Source, spans: list[tuple[int, int, str]], job: Job) -> None:
    ordered = sorted(spans)
    for (_, end, name), (start, _, following) in pairwise(ordered):
        if start < end:
            title = f"members {name} and {following} share bytes of the archive, as bombs do"
            job.notes.found("archive-bomb", source.place, title, subject=following)
            return
