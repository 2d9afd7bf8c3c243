"""The records of a zip archive, as they are written, so that what the two places say can be compared.

Specification: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from threatloop.supply_chain.model_files.limits import Limits
from threatloop.supply_chain.model_files.source import Source, Unreadable

_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_CENTRAL, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"
_TAIL = (1 << 16) + 22
_MOST32, _MOST16 = 0xFFFFFFFF, 0xFFFF
_UTF8, _LATE = 0x800, 8


@dataclass(frozen=True)
class Entry:
    """What one record says of a member. Sizes are bytes; of a local header with a data descriptor they are 0."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int = 0

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 1)


@dataclass(frozen=True)
class Directory:
    """The central directory.

    Attributes:
        entries: in their order.
        prefix: bytes before the archive; offsets count from behind them.
        start: offset of the directory in the source.
        end: offset behind the end record and its comment.
    """

    entries: tuple[Entry, ...]
    prefix: int
    start: int
    end: int


def directory(source: Source, limits: Limits) -> Directory:
    """The central directory of an archive.

    Raises:
        Unreadable: there is none, it is broken, or it has more members than allowed.
    """
    at = _find_end(source)
    if at is None:
        raise Unreadable("truncated or no zip archive: no end record")
    _, _, _, _, count, size, offset, comment = struct.unpack("<4s4H2LH", source.exactly(at, 22))
    end, behind = at + 22 + comment, at
    if source.read(at - 20, 4) == _LOCATOR:
        (record,) = struct.unpack("<8xQ4x", source.exactly(at - 20, 20))
        behind = at - 20 - 56
        place = record if source.read(record, 4) == _END64 else behind
        count, size, offset = struct.unpack("<4s8x4x8x8xQQQ", source.exactly(place, 56))[1:]
        behind = place
    if count > limits.members or size > limits.header:
        raise Unreadable(f"{count} members in a directory of {size} bytes, {limits.members} are allowed")
    start = behind - size
    prefix = start - offset
    if start < 0 or prefix < 0:
        raise Unreadable("broken zip archive: the directory lies outside of the file")
    return Directory(_entries(source, start, size, count), prefix, start, end)


def _find_end(source: Source) -> int | None:
    base = max(0, source.size - _TAIL)
    tail = source.read(base, _TAIL)
    place = tail.rfind(_END)
    return base + place if place >= 0 and len(tail) - place >= 22 else None


def _entries(source: Source, at: int, size: int, count: int) -> tuple[Entry, ...]:
    found, stop = [], at + size
    while at < stop:
        record = source.exactly(at, 46)
        if record[:4] != _CENTRAL:
            raise Unreadable(f"broken zip archive: no directory record at byte {at}")
        flags, method, crc, packed, full, names, extras, comments, attributes, offset = struct.unpack(
            "<4s4xHH4xLLLHHH4xLL", record
        )[1:]
        name = _decode(source.exactly(at + 46, names), flags)
        packed, full, offset = _wide(source.exactly(at + 46 + names, extras), full, packed, offset)
        found.append(Entry(name, flags, method, crc, packed, full, offset, attributes >> 16))
        at += 46 + names + extras + comments
    if len(found) & _MOST16 != count & _MOST16:
        raise Unreadable(f"broken zip archive: {len(found)} members, its end record says {count}")
    return tuple(found)


def local(source: Source, at: int) -> tuple[Entry, int]:
    """The local header at an offset of the source, and where the member's data start.

    Raises:
        Unreadable: there is none.
    """
    record = source.exactly(at, 30)
    if record[:4] != _LOCAL:
        raise Unreadable(f"broken zip archive: no local header at byte {at}")
    flags, method, crc, packed, full, names, extras = struct.unpack("<4s2xHH4xLLLHH", record)[1:]
    name = _decode(source.exactly(at + 30, names), flags)
    packed, full, _ = _wide(source.exactly(at + 30 + names, extras), full, packed, 0)
    return Entry(name, flags, method, crc, packed, full, at), at + 30 + names + extras


def salvaged(source: Source, limits: Limits) -> Directory:
    """What the local headers alone tell of an archive whose directory is lost, until one of them cannot be read."""
    found: list[Entry] = []
    at = 0
    while len(found) < limits.members:
        try:
            entry, start = local(source, at)
        except Unreadable:
            break
        found.append(entry)
        at = start + entry.packed
        if entry.flags & _LATE and not entry.packed:
            break
    return Directory(tuple(found), 0, at, at)


def _decode(name: bytes, flags: int) -> str:
    return name.decode("utf-8" if flags & _UTF8 else "cp437", "replace")


def _wide(extra: bytes, full: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset with what the zip64 extra field says in their place. Returns packed, full, offset."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            numbers = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            full = next(numbers, full) if full == _MOST32 else full
            packed = next(numbers, packed) if packed == _MOST32 else packed
            offset = next(numbers, offset) if offset == _MOST32 else offset
        at += 4 + length
    return packed, full, offset
