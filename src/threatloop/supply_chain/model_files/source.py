"""Bytes to scan: a window on an open file, read piece by piece, never as a whole."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import BinaryIO

CHUNK = 1 << 20


class Unreadable(ValueError):
    """What should have been readable is broken; the scan of it ends here and says so."""


class NotUnderstood(ValueError):
    """Nothing is broken, but this part of the format is not known here."""


@dataclass(frozen=True)
class Source:
    """A window on an open file.

    Attributes:
        place: where it is, as the user reads it: the path, then ``!/`` and the name for each archive it lies in.
        name: the last part of it, whose extension says what it claims to be.
        file: open for reading in binary; owned by whoever made the source.
        start: offset of the first byte in the file.
        size: bytes of the window.
        depth: how many archives, streams and pickles it lies in.
        folder: of a file on disk, where it lies; of a member, nothing.
    """

    place: str
    name: str
    file: BinaryIO = field(repr=False)
    start: int
    size: int
    depth: int = 0
    folder: str | None = None

    def read(self, at: int, count: int) -> bytes:
        """Up to ``count`` bytes from an offset in the window; fewer at its end."""
        count = min(count, self.size - at)
        if at < 0 or count <= 0:
            return b""
        self.file.seek(self.start + at)
        return self.file.read(count)

    def exactly(self, at: int, count: int) -> bytes:
        """So many bytes from an offset.

        Raises:
            Unreadable: the window ends before.
        """
        if at < 0 or count < 0 or at + count > self.size:
            raise Unreadable(f"truncated: {count} bytes wanted at byte {at} of {self.size}")
        got = self.read(at, count)
        if len(got) != count:
            raise Unreadable(f"truncated: the file ended at byte {at + len(got)} of {self.size}")
        return got

    def part(self, at: int, size: int) -> Source:
        """A window on a part of this one, at the same place."""
        return replace(self, start=self.start + at, size=max(0, min(size, self.size - at)))

    def inside(self, name: str, file: BinaryIO, start: int, size: int) -> Source:
        """Something that lies in this one: a member, an unpacked stream, a nested pickle."""
        last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        return Source(f"{self.place}!/{name}", last, file, start, size, self.depth + 1)

    def stream(self, at: int = 0) -> io.BufferedReader:
        """A file object on the window from an offset, with a bounded buffer."""
        return io.BufferedReader(_Window(self, at), 1 << 16)

    @property
    def suffix(self) -> str:
        """The extension of the name, lower case, with its dot; empty where there is none."""
        head, dot, tail = self.name.rpartition(".")
        return f".{tail.lower()}" if dot and head else ""


class _Window(io.RawIOBase):
    def __init__(self, source: Source, at: int) -> None:
        self._source, self._at = source, at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        got = self._source.read(self._at, len(buffer))
        buffer[: len(got)] = got
        self._at += len(got)
        return len(got)


def of_bytes(parent: Source, name: str, data: bytes) -> Source:
    """Bytes that were found inside a source."""
    return parent.inside(name, io.BytesIO(data), 0, len(data))
