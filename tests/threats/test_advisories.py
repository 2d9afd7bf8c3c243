"""Advisories: the shipped database, each kind of file, and what must be refused or reported."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from threatloop.core.errors import InputError
from threatloop.threats import advisory_files
from threatloop.threats.advisories import Event, Range, package_key, read_advisories

GOOD = """
id: PYSEC-2024-1
modified: 2024-03-02T10:00:00Z
published: "2024-03-01T10:00:00Z"
aliases: [CVE-2024-1, GHSA-aaaa-bbbb-cccc]
details: Text.
severity:
- type: CVSS_V3
  score: CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H
affected:
- package: {ecosystem: PyPI, name: Some_Package}
  ranges:
  - type: ECOSYSTEM
    events:
    - introduced: "0"
    - fixed: 1.10
  versions: [1.9, 1.10rc1]
"""


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_versions_stay_as_written(tmp_path: Path) -> None:
    found = read_advisories(_write(tmp_path / "one.yaml", GOOD))
    assert not found.problems
    [(advisory, affected)] = found.of("pypi", "some.package")
    assert affected.ranges == (Range("ECOSYSTEM", (Event("introduced", "0"), Event("fixed", "1.10"))),)
    assert affected.versions == ("1.9", "1.10rc1")
    assert advisory.published == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert advisory.names == {"PYSEC-2024-1", "CVE-2024-1", "GHSA-aaaa-bbbb-cccc"}


def test_zip_folder_and_json_give_the_same(tmp_path: Path) -> None:
    item = {
        "id": "GHSA-1",
        "modified": "2024-01-01T00:00:00Z",
        "affected": [],
        "database_specific": {"severity": "HIGH"},
    }
    folder = tmp_path / "folder"
    _write(folder / "a" / "one.yaml", GOOD)
    _write(folder / "two.json", json.dumps(item))
    _write(folder / ".github" / "workflow.yml", "on: push")
    _write(folder / "README.md", "# no advisory")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    assert read_advisories(folder) == read_advisories(tmp_path / "all.zip")
    assert [one.rating for one in read_advisories(folder).advisories] == ["", "high"]
    answer = _write(tmp_path / "answer.json", json.dumps({"vulns": [item, {**item, "id": "GHSA-2"}]}))
    assert [one.id for one in read_advisories(answer).advisories] == ["GHSA-1", "GHSA-2"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("ECOSYSTEM", "LUNAR"), "a range of type 'LUNAR'"),
        (lambda text: text.replace("- fixed: 1.10", "- mended: 1.10"), "a range event that is none of"),
        (lambda text: text.replace('- introduced: "0"', "- limit: 2"), "without an introduced version"),
        (lambda text: text.replace("2024-03-02T10:00:00Z", "yesterday"), "modified is no time"),
        (lambda text: text.replace("ecosystem: PyPI, ", ""), "no ecosystem and name"),
        (lambda text: text.replace("[1.9, 1.10rc1]", "1.9"), "versions is no list"),
        (lambda text: text + "aliases: []\n", "the key 'aliases' is there twice"),
        (lambda text: text.replace("id: P", "name: P"), "it has no id"),
        (lambda _: "a: &x 1\nb: *x\n", "uses an alias"),
        (lambda _: "[" * 100_000, "nested deeper than"),
        (lambda _: "- " * 100_000, "nested deeper than"),
        (lambda text: text + "\x00", "not YAML"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_counts(tmp_path: Path, change: Callable[[str], str], reason: str) -> None:
    _write(tmp_path / "db" / "bad.yaml", change(GOOD))
    _write(tmp_path / "db" / "good.yaml", GOOD.replace("2024-1", "2024-2"))
    found = read_advisories(tmp_path / "db")
    assert any(reason in problem.reason and problem.file == "bad.yaml" for problem in found.problems)
    assert "PYSEC-2024-2" in {one.id for one in found.advisories}


def test_of_two_with_one_id_the_newer_counts(tmp_path: Path) -> None:
    _write(tmp_path / "a.yaml", GOOD.replace("Text.", "New.").replace("2024-03-02", "2024-05-02"))
    _write(tmp_path / "b.yaml", GOOD)
    found = read_advisories(tmp_path)
    assert [one.details for one in found.advisories] == ["New."]
    assert "is in a.yaml too" in found.problems[0].reason


def test_names_out_of_the_zip_links_and_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory_files, "MAX_FILE_BYTES", 2_000)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/one.yaml", GOOD)
        archive.writestr("bomb.yaml", "a" * 5_000)
        archive.writestr("good.yaml", GOOD)
    found = read_advisories(tmp_path / "bad.zip")
    assert len(found.advisories) == 1
    assert [str(problem).split(":")[0] for problem in found.problems] == ["../../etc/one.yaml", "bomb.yaml"]
    _write(tmp_path / "db" / "good.yaml", GOOD)
    os.symlink(tmp_path / "db", tmp_path / "db" / "loop")
    os.symlink(tmp_path / "db" / "good.yaml", tmp_path / "db" / "again.yaml")
    linked = read_advisories(tmp_path / "db")
    assert len(linked.advisories) == 1
    assert {problem.reason for problem in linked.problems} == {"a symbolic link; not followed"}


def test_damaged_members_are_reported(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "db.zip", "w") as archive:
        archive.writestr("one.yaml", GOOD)
        archive.writestr("two.yaml", GOOD.replace("2024-1", "2024-2"))
    raw = (tmp_path / "db.zip").read_bytes()
    (tmp_path / "db.zip").write_bytes(raw.replace(b"Text.", b"Tent.", 1))
    found = read_advisories(tmp_path / "db.zip")
    assert [one.id for one in found.advisories] == ["PYSEC-2024-2"]
    assert "cannot be unpacked" in found.problems[0].reason


@pytest.mark.parametrize("name", ["nothing.zip", "not-a-zip.zip", "text.txt", "empty"])
def test_what_cannot_be_read_as_a_whole_is_an_error(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "not-a-zip.zip", "text")
    _write(tmp_path / "text.txt", GOOD)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        read_advisories(tmp_path / name)


def test_names_are_compared_in_their_ecosystems_form() -> None:
    assert package_key("PyPI", "A_b..C") == ("pypi", "a-b-c")
    assert package_key("npm", "A_b") == ("npm", "A_b")


def test_the_whole_database_is_understood(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "pypa_advisories_2024-10.zip"
    found = read_advisories(file, tmp_path)
    assert (len(found.advisories), found.problems) == (2661, ())
    assert sum(bool(part.versions) for one in found.advisories for part in one.affected) == 2621
    assert read_advisories(file, tmp_path) == found
