"""Many repositories: which they are, the same results by one process and by two, and the corpus that is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from manifests import LINUX, advisories, advisory, tree
from threatloop.core.errors import InputError, Problems
from threatloop.supply_chain.corpus import Scanned, listed_repositories, scan_corpus, write_corpus

NOW = datetime(2024, 1, 31, tzinfo=UTC)
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
KNOWN = advisories(
    advisory("PYSEC-1", "torch", ("0", "2.0"), aliases=("CVE-1",), vector=VECTOR),
    advisory("PYSEC-2", "flask", ("0", "9")),
)


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    files = {
        "one/requirements.txt": "torch==1.0\nnumpy\n",
        "two/requirements.txt": "flask==1.0\nbroken ==\n",
        "three/README.md": "",
    }
    return tree(tmp_path / "all", files)


def test_lines_of_the_corpus(repositories: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus.jsonl"
    found = list(write_corpus(scan_corpus(listed_repositories(repositories), KNOWN, LINUX, now=NOW), out))
    assert [(one.repository, len(one.result.findings), len(one.result.errors)) for one in found] == [
        ("one", 1, 0),
        ("three", 0, 0),
        ("two", 1, 1),
    ]
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows == [one.record for one in found]
    assert rows[0]["packages"] == [
        {"ecosystem": "PyPI", "name": "torch", "version": "1.0", "direct": True},
        {"ecosystem": "PyPI", "name": "numpy", "version": "", "direct": True},
    ]
    assert rows[0]["vulnerabilities"] == [
        {
            "id": "CVE-1",
            "aliases": ["PYSEC-1"],
            "package": "torch",
            "ecosystem": "PyPI",
            "summary": "About torch",
            "cwe": [],
            "severity": "critical",
            "observed": "2024-01-31",
        }
    ]
    assert rows[2]["vulnerabilities"][0]["severity"] is None


@pytest.mark.slow
def test_two_processes_find_the_same(repositories: Path) -> None:
    listed = listed_repositories(repositories)
    alone = list(scan_corpus(listed, KNOWN, LINUX, now=NOW))
    assert list(scan_corpus(listed, KNOWN, LINUX, now=NOW, workers=2)) == alone


def test_a_list_of_repositories(repositories: Path) -> None:
    listing = repositories.parent / "list.txt"
    listing.write_text("\ufeff# mine\nall/one\r\n\nall/two\nall/one\n", encoding="utf-8")
    assert [one.name for one in listed_repositories(listing)] == ["one", "two"]
    listing.write_text("all/one\nall/none\nall/\x00\n", encoding="utf-8")
    with pytest.raises(Problems) as caught:
        listed_repositories(listing)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["line 2", "line 3"]
    listing.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        listed_repositories(listing)
    for path in (listing.parent / "nothing", listing.parent / "empty"):
        (listing.parent / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=path.name):
            listed_repositories(path)


def test_repositories_of_one_name_are_told_apart(tmp_path: Path) -> None:
    tree(tmp_path, {"a/x/requirements.txt": "", "b/x/requirements.txt": ""})
    names = [one.repository for one in scan_corpus([tmp_path / "a/x", tmp_path / "b/x"], KNOWN, LINUX, now=NOW)]
    assert names == [str(tmp_path / "a/x"), str(tmp_path / "b/x")]


def test_a_corpus_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Scanned]:
        raise InputError("stop")
        yield

    with pytest.raises(InputError, match="stop"):
        list(write_corpus(broken(), tmp_path / "out.jsonl"))
    with pytest.raises(InputError, match="is a folder"):
        list(write_corpus(iter(()), tmp_path))
    assert list(tmp_path.iterdir()) == []
