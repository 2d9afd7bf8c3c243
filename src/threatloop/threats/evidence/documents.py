"""Documents as plain text within bounds: PDF, HTML, Markdown and text. What cannot be read says why in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from threatloop.core.digests import digest_bytes
from threatloop.core.errors import InputError
from threatloop.threats.evidence.html_text import html_text
from threatloop.threats.evidence.pdf_text import is_pdf, pdf_text
from threatloop.threats.files import MIB, read_bounded

MOST_BYTES = 64 * MIB
MOST_CHARACTERS = 4_000_000
LONGEST_TITLE = 200
HTML, MARKDOWN = (".html", ".htm", ".xhtml"), (".md", ".markdown", ".mdown")
_HTML_START = re.compile(r"\s*(<\?xml[^>]{0,200}>\s*)?(<!--.{0,2000}?-->\s*)*<(!doctype\s+html|html)\b", re.I | re.S)
_HEADING = re.compile(r"^#{1,3}[ \t]{1,8}(\S.{0,199})", re.M)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_MOST_CONTROLS = 0.01


@dataclass(frozen=True)
class Document:
    """What a document says; untrusted.

    Attributes:
        source: the path as it was given.
        digest: of the file's bytes, blake2b.
        title: one line, from the document or else its file name.
        text: all of it; offsets of passages count its characters from 0. Of Markdown and plain text it is the file's
            own text with line feeds as line ends.
        notes: parts that were left out, and why, one line each.
    """

    source: str
    digest: str
    title: str
    text: str
    notes: tuple[str, ...] = ()


def read_document(path: Path) -> Document:
    """A document of at most 64 MiB and 4 million characters; what it is, its content decides before its suffix.

    Raises:
        InputError: no such file, too large, not readable, binary, or without text.
    """
    raw = read_bounded(path, MOST_BYTES)
    title, notes = "", tuple[str, ...]()
    if not raw:
        raise InputError(f"{path}: is empty")
    if is_pdf(raw):
        title, text, notes = pdf_text(path, raw)
    else:
        text = _decoded(path, raw)
        if path.suffix.lower() in HTML or _HTML_START.match(text):
            title, text = html_text(text)
        elif path.suffix.lower() in MARKDOWN:
            heading = _HEADING.search(text)
            title = heading[1].strip().rstrip("#") if heading else ""
    text = text.encode("utf-8", "replace").decode()
    if not text.strip():
        raise InputError(f"{path}: holds no text")
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{path}: holds {len(text):,} characters; at most {MOST_CHARACTERS:,} are read, so split it")
    return Document(str(path), digest_bytes(raw), _line(title) or path.name, text, notes)


def _decoded(path: Path, raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")
    if "\x00" in text or len(_CONTROL.findall(text[: 1 << 16])) > _MOST_CONTROLS * min(len(text), 1 << 16):
        raise InputError(f"{path}: is binary; give a PDF, HTML, Markdown or text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line(title: str) -> str:
    return " ".join(title.encode("utf-8", "replace").decode().split())[:LONGEST_TITLE]
