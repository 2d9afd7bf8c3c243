"""Readers of documents: what they give, and the line that they say instead."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest

from evidence_world import POISON, STEAL, pdf
from threatloop.core.errors import InputError
from threatloop.threats.evidence import documents, pdf_text
from threatloop.threats.evidence.documents import read_document

pypdf = pytest.importorskip("pypdf")


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_markdown_keeps_the_files_own_text(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "a.md", f"intro\r\n\r\n## A report ##\r\n\r\n{POISON}\r\n"))
    assert document.title == "A report"
    assert document.text == f"intro\n\n## A report ##\n\n{POISON}\n"


def test_html_gives_blocks_and_leaves_out_what_is_not_read(tmp_path: Path) -> None:
    page = f"""<!DOCTYPE html><html><head><title>A &amp; B</title><style>p {{}}</style></head><body>
      <script>if (a < b) document.write("<p>no")</script><h1>Head</h1><p>{POISON[:20]}<b>{POISON[20:]}</b></p>
      <ul><li>one<li>two</ul><template><p>hidden</p></template>last &lt;line&gt;"""
    document = read_document(written(tmp_path, "a.txt", page))
    assert document.title == "A & B"
    assert document.text.split("\n\n") == ["Head", POISON, "one", "two", "last <line>"]


@pytest.mark.parametrize("page", ["<html><script>never closed", "<html><p", "<html><![CDATA[", "<a <b <c>"])
def test_what_stands_before_malformed_html_is_read(tmp_path: Path, page: str) -> None:
    found = read_document(written(tmp_path, "a.html", f"<html><p>{POISON}</p>{page}"))
    assert POISON in found.text
    assert "never closed" not in found.text


def test_pdf_gives_pages_title_and_a_note_on_pages_without_text(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "a.bin", pdf([POISON, "", "", STEAL, ""], "A talk")))
    assert document.title == "A talk"
    assert POISON in document.text
    assert STEAL in document.text
    assert document.notes == ("pages 2-3, 5: no text, perhaps scanned",)


def test_pdf_without_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a PDF without text, perhaps scanned"):
        read_document(written(tmp_path, "a.pdf", pdf(["", ""])))


def test_encrypted_pdf(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf([POISON])))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    with pytest.raises(InputError, match="encrypted"):
        read_document(tmp_path / "a.pdf")


@pytest.mark.parametrize("cut", [9, 60, 200, 400])
def test_truncated_pdf_says_so_or_gives_what_is_there(tmp_path: Path, cut: int) -> None:
    with suppress(InputError):
        assert POISON in read_document(written(tmp_path, "a.pdf", pdf([POISON])[:-cut])).text


def test_no_pdf_after_its_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no readable PDF"):
        read_document(written(tmp_path, "a.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 8))


def test_pdf_of_many_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_text, "MOST_PAGES", 2)
    with pytest.raises(InputError, match="has 3 pages; at most 2"):
        read_document(written(tmp_path, "a.pdf", pdf([POISON] * 3)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t ", "holds no text"),
        (b"\x7fELF\x00\x00" * 50, "is binary"),
        (bytes(range(1, 32)) * 40, "is binary"),
    ],
)
def test_no_document(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_document(written(tmp_path, "a.txt", content))


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_document(tmp_path / "none.md")
    with pytest.raises(InputError, match="no regular file"):
        read_document(tmp_path)


def test_huge_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "a.txt", "word " * 100)
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 100)
    with pytest.raises(InputError, match="holds 500 characters; at most 100"):
        read_document(path)
    monkeypatch.setattr(documents, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="larger than"):
        read_document(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    assert read_document(written(tmp_path, "a.txt", "Größe – é".encode(encoding))).text == "Größe – é"


def test_title_is_one_bounded_line(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "a.html", f"<html><title>a\n\n{'b' * 999}</title><p>text"))
    assert document.title.startswith("a bbb")
    assert len(document.title) == documents.LONGEST_TITLE
