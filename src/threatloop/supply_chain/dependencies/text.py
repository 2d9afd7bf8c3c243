"""Manifests as text: within a size, in the encoding they declare, and the lines on which their parts stand."""

from __future__ import annotations

import codecs
import os
import re
import stat
from bisect import bisect_right
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 32 << 20
"""Of one manifest; the largest lock files in use are of some 5 MiB."""
MAX_SEARCHED: Final = 300_000_000
"""Characters that may be searched for the lines of one manifest, a matter of a second."""
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Unreadable(ValueError):
    """A file cannot be read as text; the message says why in one line."""


def read_text(path: Path) -> str:
    """The text of a manifest, with line ends as ``\\n`` and without a byte-order mark.

    Raises:
        Unreadable: no regular file, not there, not allowed, larger than MAX_BYTES, or in no encoding that is known.
    """
    return decoded(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a manifest.

    Raises:
        Unreadable: as of `read_text`, but for the encoding.
    """
    try:
        # A named pipe would block at open, so it must not be opened for blocking reads.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("no regular file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None
    if len(data) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES >> 20} MiB; not read")
    return data


def decoded(data: bytes) -> str:
    """Bytes as text, see `read_text`.

    Raises:
        Unreadable: neither UTF-8 nor marked as UTF-16.
    """
    encoding = "utf-8"
    for mark, name in _MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"not {encoding.upper()} (byte {error.start}, line {line})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Lines:
    """Finds the lines of parts of a text whose parser does not tell them; best asked in the order of the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._here = 0
        self._left = MAX_SEARCHED

    def find(self, *needles: str) -> int | None:
        """The line of the first of these texts that stands behind the last one that was found, else anywhere.

        Nothing where none stands anywhere, or once MAX_SEARCHED characters were searched. A needle that starts with a
        line end stands on the line behind it.
        """
        for start in dict.fromkeys((self._here, 0)):
            for needle in needles:
                offset = self._text.find(needle, start) if self._left > 0 else -1
                self._left -= (offset if offset >= 0 else len(self._text)) - start
                if offset >= 0:
                    self._here = offset + len(needle)
                    return bisect_right(self._starts, offset + needle.startswith("\n"))
        return None

    def every(self, line: str) -> list[int]:
        """The numbers of all lines that are this text, white space at the ends aside."""
        return [number for number, found in enumerate(self._text.split("\n"), 1) if found.strip() == line]
