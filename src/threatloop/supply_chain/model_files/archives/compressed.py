"""Streams compressed with gzip, bz2, xz, lzma or zlib: unpacked within the limits, then scanned."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from threatloop.supply_chain.model_files.archives.unpack import Trailing, bunzip2, gunzip, unxz, unzlib
from threatloop.supply_chain.model_files.job import Job, TooMuch
from threatloop.supply_chain.model_files.source import Source, Unreadable

_FORMATS: tuple[tuple[bytes, Callable[[Source], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", gunzip),
    (b"BZh", bunzip2),
    (b"\xfd7zXZ", unxz),
    (b"]\x00\x00", unxz),
    (b"\x78", unzlib),
)


def scan_compressed(source: Source, job: Job) -> None:
    """Scan what a compressed stream holds; of a broken one, what could be unpacked.

    Raises:
        Unreadable: broken, or of a compression that is not known.
    """
    head = source.read(0, 8)
    unpack = next((unpack for magic, unpack in _FORMATS if head.startswith(magic)), None)
    if unpack is None:
        raise Unreadable("a compression that is not known")
    job.count_member(source.place)
    guarded = _Guarded(unpack(source))
    try:
        with job.unpacked(iter(guarded), source.size) as (file, size):
            name = source.name.rsplit(".", 1)[0] if source.suffix in (".gz", ".bz2", ".xz", ".z") else source.name
            job.descend(source.inside(name, file, 0, size))  # type: ignore[arg-type]
    except TooMuch as error:
        job.notes.found("archive-bomb", source.place, str(error))
        raise
    if isinstance(guarded.broken, Trailing):
        job.notes.found("hidden-content", source.place, str(guarded.broken), subject="tail")
    elif guarded.broken is not None:
        raise guarded.broken


class _Guarded:
    """Blocks up to where unpacking breaks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.broken: Unreadable | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._blocks
        except TooMuch:
            raise
        except Unreadable as error:
            self.broken = error
