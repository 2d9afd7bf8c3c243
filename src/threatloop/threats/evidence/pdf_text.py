"""The text of a PDF, page by page, within bounds; by pypdf, which runs nothing that a file holds."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from threatloop.core.errors import InputError
from threatloop.threats.keywords import INSTALL

MOST_PAGES = 2_000
MOST_SECONDS = 300
_HEADER = 1024
_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_LETTERS = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": ""})
"""What typesetting joins: whoever quotes the text writes letters."""


def is_pdf(raw: bytes) -> bool:
    """Whether the file says so near its start, as readers accept it."""
    return b"%PDF-" in raw[:_HEADER]


def pdf_text(path: Path, raw: bytes) -> tuple[str, str, tuple[str, ...]]:
    """Title, text, and notes on unread pages; pages are parted by an empty line, hyphens and ligatures are resolved.

    Raises:
        InputError: pypdf is not installed, or the file is damaged, encrypted, too long or without text.
    """
    reader = _opened(path, raw)
    texts, empty, failed = list[str](), list[int](), list[int]()
    started = time.monotonic()
    for number in range(1, _pages(path, reader) + 1):
        if time.monotonic() - started > MOST_SECONDS:
            raise InputError(f"{path}: page {number} is reached after {MOST_SECONDS} s; split it, or bring its text")
        try:
            text = reader.pages[number - 1].extract_text()
        except Exception:  # whatever a damaged page makes the parser raise
            failed.append(number)
            continue
        texts.append(_HYPHEN.sub("", text.translate(_LETTERS)))
        if not text.strip():
            empty.append(number)
    if not "".join(texts).strip():
        raise InputError(f"{path}: {_no_text(len(texts), failed)}")
    notes = [f"{_ranges(empty)}: no text, perhaps scanned"] if empty else []
    notes += [f"{_ranges(failed)}: damaged"] if failed else []
    return _title(reader), "\n\n".join(texts), tuple(notes)


def _opened(path: Path, raw: bytes) -> Any:
    try:
        import pypdf
    except ImportError:
        raise InputError(f"{path}: reading PDF needs pypdf: {INSTALL}") from None
    # What it says about oddities of a file would go to the terminal.
    logging.getLogger("pypdf").addHandler(logging.NullHandler())
    logging.getLogger("pypdf").propagate = False
    try:
        reader = pypdf.PdfReader(BytesIO(raw))
        locked = reader.is_encrypted and not reader.decrypt("")
    except Exception as error:
        raise _damaged(path, error) from None
    if locked:
        raise InputError(f"{path}: is encrypted; save it without a password")
    return reader


def _pages(path: Path, reader: Any) -> int:
    try:
        count = len(reader.pages)
    except Exception as error:
        raise _damaged(path, error) from None
    if count > MOST_PAGES:
        raise InputError(f"{path}: has {count:,} pages; at most {MOST_PAGES:,} are read, so split it")
    return count


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: is no readable PDF ({type(error).__name__}); open it and save it anew")


def _no_text(read: int, failed: Sequence[int]) -> str:
    if failed:
        return f"{_ranges(failed)} damaged, and no text on the other {read}"
    return "a PDF without text, perhaps scanned; run text recognition over it first"


def _title(reader: Any) -> str:
    try:
        return str(reader.metadata.title or "") if reader.metadata else ""
    except Exception:  # as above
        return ""


def _ranges(pages: Sequence[int]) -> str:
    runs = [[page for _, page in run] for _, run in groupby(enumerate(pages), lambda one: one[1] - one[0])]
    shown = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"page{'s' * (len(pages) > 1)} {shown}"
