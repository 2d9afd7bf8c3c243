"""Which files are looked at, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from threatloop.core.errors import InputError
from threatloop.supply_chain.walk import Reader, Walk, walk


def walked(*paths: Path) -> Walk:
    return walk(paths)


def make(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def names(found: Walk, reader: Reader) -> list[str]:
    return [file.path.name for file in found.of(reader)]


def test_files_are_sorted_to_their_scanners(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "b.ipynb", "requirements.txt", "m.pt", "README.md", "notes.md")
    found = walked(tmp_path)
    assert names(found, Reader.CODE) == ["a.py", "b.ipynb"]
    assert names(found, Reader.MANIFEST) == ["requirements.txt"]
    assert names(found, Reader.MODEL) == ["m.pt"]
    assert dict(found.others) == {".md": 2}
    assert (found.skipped, found.errors) == ([], [])


@pytest.mark.parametrize(
    "head", [b"\x80\x04\x95", b"PK\x03\x04\x00", b"GGUF\x03\x00\x00\x00", b"cos\nsystem\n", b"(dp0\n"]
)
def test_what_begins_like_a_model_is_one_whatever_its_name(tmp_path: Path, head: bytes) -> None:
    make(tmp_path, "innocent.dat", content=head)
    assert names(walked(tmp_path), Reader.MODEL) == ["innocent.dat"]


@pytest.mark.parametrize(
    "content",
    [
        b"I1\n0cos\nsystem\n(S'true'\ntR.",
        b"GIF89a???0cos\nsystem\n(S'true'\ntR.",
        b"BM\x00\x00\x00" + b"\0" * 77 + b"0cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_a_pickle_that_looks_like_a_text_or_a_picture_is_one(tmp_path: Path, content: bytes) -> None:
    make(tmp_path, "logo.gif", content=content)
    assert names(walked(tmp_path), Reader.MODEL) == ["logo.gif"]


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("deps.txt", b"torch==1.0\n", Reader.MANIFEST),
        ("list.json", b'{"bomFormat": "CycloneDX"}', Reader.MANIFEST),
        ("config.json", b'{"model_type": "llama"}', Reader.MODEL),
        ("list.xml", b"<bom/>", Reader.MANIFEST),
        ("mlenv.yml", b"dependencies: [a]\n", Reader.MANIFEST),
        ("deps.txt", b"\x80\x04N.", Reader.MODEL),
        ("weights", b"some text", Reader.MODEL),
    ],
)
def test_what_the_user_names_is_read_as_what_it_is(tmp_path: Path, name: str, content: bytes, reader: Reader) -> None:
    make(tmp_path, name, content=content)
    assert [file.reader for file in walked(tmp_path / name).files] == [reader]


def test_a_script_without_an_extension_is_code(tmp_path: Path) -> None:
    make(tmp_path, "serve", content=b"#!/usr/bin/env python3\nimport torch\n")
    make(tmp_path, "run", content=b"#!/bin/sh\npython serve\n")
    assert names(walked(tmp_path), Reader.CODE) == ["serve"]


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n\x00", b"%PDF-1.4\x00", b"plain text", b""])
def test_pictures_and_texts_are_none(tmp_path: Path, head: bytes) -> None:
    make(tmp_path, "a.dat", content=head)
    assert walked(tmp_path).files == []


@pytest.mark.parametrize("folder", [".git", "node_modules", "__pycache__", ".tox"])
def test_folders_that_are_not_entered_are_named(tmp_path: Path, folder: str) -> None:
    make(tmp_path, f"{folder}/a.py", "b.py")
    found = walked(tmp_path)
    assert names(found, Reader.CODE) == ["b.py"]
    assert [(Path(one.place.path).name, one.reason[:11]) for one in found.skipped] == [(folder, "not entered")]


def test_a_virtual_environment_is_named_unless_it_is_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "env/pyvenv.cfg", "env/lib/a.py")
    assert len(walked(tmp_path).skipped) == 1
    assert names(walked(tmp_path / "env"), Reader.CODE) == ["a.py"]


def test_links_make_no_loops_and_lead_nowhere_else(tmp_path: Path) -> None:
    make(tmp_path, "root/a.py", "outside.py")
    root = tmp_path / "root"
    (root / "loop").symlink_to(root)
    (root / "self.py").symlink_to(root / "self.py")
    (root / "out.py").symlink_to(tmp_path / "outside.py")
    (root / "again.py").symlink_to(root / "a.py")
    found = walked(root)
    assert names(found, Reader.CODE) == ["a.py", "again.py"]
    assert sorted(Path(one.place.path).name for one in found.skipped) == ["loop", "out.py", "self.py"]


def test_special_files_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    found = walked(tmp_path)
    assert [one.reason for one in found.skipped] == ["no regular file"]


def test_overlapping_paths_are_walked_once(tmp_path: Path) -> None:
    make(tmp_path, "a/b.py")
    assert names(walked(tmp_path, tmp_path / "a", tmp_path / "a" / "b.py"), Reader.CODE) == ["b.py"]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        walked(tmp_path / "none")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_unreadable_folders_are_errors(tmp_path: Path) -> None:
    make(tmp_path, "a/b.py")
    (tmp_path / "a").chmod(0)
    try:
        assert len(walked(tmp_path).errors) == 1
    finally:
        (tmp_path / "a").chmod(0o755)


def test_paths_are_shown_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "repo/a.py")
    monkeypatch.chdir(tmp_path)
    for path in (Path("repo"), tmp_path / "repo", Path("./repo/../repo")):
        assert [str(file.path) for file in walked(path).files] == ["repo/a.py"]
    monkeypatch.chdir(tmp_path / "repo")
    assert [str(file.path) for file in walked(Path(".")).files] == ["a.py"]
