"""The cache of advisories: the same answer, never from a damaged file, never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from threatloop.threats import advisories, advisory_cache
from threatloop.threats.advisories import AdvisorySet, read_advisories

GOOD = """
id: PYSEC-2024-1
modified: 2024-03-02T10:00:00Z
withdrawn: 2024-04-02T10:00:00Z
severity: [{type: CVSS_V3, score: "CVSS:3.1/AV:N"}]
affected:
- package: {ecosystem: PyPI, name: a}
  ranges: [{type: ECOSYSTEM, events: [{introduced: "0"}, {odd: 1}]}]
  versions: ["1"]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "db.yaml"
    file.write_text(GOOD, encoding="utf-8")
    return file


def _refuse(*_: object) -> AdvisorySet:
    raise AssertionError("parsed again")


def test_the_second_read_parses_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_advisories(source, tmp_path / "cache")
    assert first == read_advisories(source)
    assert first.problems
    monkeypatch.setattr(advisories, "_understood", _refuse)
    assert read_advisories(source, tmp_path / "cache") == first


@pytest.mark.parametrize("damage", [b"", b"{}", b"half"])
def test_a_damaged_file_does_not_count(source: Path, tmp_path: Path, damage: bytes) -> None:
    first = read_advisories(source, tmp_path / "cache")
    [kept] = (tmp_path / "cache").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:-20] if damage == b"half" else damage)
    assert read_advisories(source, tmp_path / "cache") == first
    assert kept.stat().st_size > 100


def test_another_content_is_another_entry(source: Path, tmp_path: Path) -> None:
    read_advisories(source, tmp_path / "cache")
    source.write_text(GOOD.replace("2024-1", "2024-9"), encoding="utf-8")
    assert read_advisories(source, tmp_path / "cache").advisories[0].id == "PYSEC-2024-9"


def test_a_folder_that_cannot_be_written_costs_time_only(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert read_advisories(source, tmp_path / "file" / "cache").advisories


def test_old_entries_leave(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory_cache, "_KEPT", 2)
    for number in range(4):
        source.write_text(GOOD.replace("2024-1", f"2024-{number}"), encoding="utf-8")
        read_advisories(source, tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*"))) == 2
