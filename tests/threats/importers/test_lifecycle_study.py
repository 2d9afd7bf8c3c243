"""The lifecycle study's tables: what is read of the real ones, and every problem of messy ones at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from threatloop.core.errors import InputError, Problems
from threatloop.threats.importers.lifecycle_study import MAIN, PAIRS, REPOSITORIES, read_study
from threatloop.threats.ontology import Kind, Relation

HEAD = "CVE ID,GHIssue,CWE name,CVE severity,CPE dependency name ,Description\n"
ROW = "CVE-2024-1000,a/b,CWE-79,high,x:y,text\n"


def folder(path: Path, main: str | bytes, **others: str) -> Path:
    (path / MAIN).write_bytes(main.encode() if isinstance(main, str) else main)
    for name, text in others.items():
        (path / f"{name}.csv").write_text(text)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(Problems) as caught:
        read_study(path)
    return list(caught.value.problems)


def test_the_study_s_own_figures(shared_data: Path) -> None:
    found = read_study(shared_data / "lifecycle_study")
    kinds = Counter(node.kind for node in found.graph.nodes())
    assert found.rows == 2183
    assert kinds == {Kind.VULNERABILITY: 834, Kind.REPOSITORY: 86, Kind.PACKAGE: 227}
    assert found.skipped == ("22 CVEs without a dependency: they affect their repositories only",)
    tensorflow = "package:cpe/google:tensorflow"
    assert len(found.graph.into(tensorflow, Relation.AFFECTS)) == 184


def test_a_small_study(tmp_path: Path) -> None:
    main = HEAD + ROW + ROW + "CVE-2024-1001,a/c,,,[],\n"
    pairs = 'CPE dependency name,CVE ID\nz:z,"CVE-2024-1000, CVE-2024-9999"\n'
    repositories = "repository,num_stars\na/b,7\n"
    found = read_study(folder(tmp_path, main, dependency_cve=pairs, repositories=repositories))
    assert found.rows == 3
    assert {edge.target for edge in found.graph.out("CVE-2024-1000")} == {
        "package:cpe/x:y",
        "package:cpe/z:z",
        "repository:a/b",
    }
    assert {edge.target for edge in found.graph.out("CVE-2024-1001")} == {"repository:a/c"}
    assert found.graph.node("repository:a/b").attributes == {"num_stars": "7"}
    assert "severity" not in found.graph.node("CVE-2024-1001").attributes
    assert any("1 pairs whose CVE" in line for line in found.skipped)


def test_tables_that_are_not_there_are_told(tmp_path: Path) -> None:
    assert read_study(folder(tmp_path, HEAD + ROW)).skipped == (f"{PAIRS}: not there", f"{REPOSITORIES}: not there")
    (tmp_path / MAIN).unlink()
    with pytest.raises(InputError, match=MAIN):
        read_study(tmp_path)


def test_every_problem_of_every_table_at_once(tmp_path: Path) -> None:
    main = (
        HEAD
        + "CVE-24-1,a/b,CWE-79,high,x:y,text\n"
        + "CVE-2024-1000,,CWE-79,dreadful,x:y,text\n"
        + "CVE-2024-1001,a/b,CWE-79,low,x:y,text\n"
        + "CVE-2024-1001,a/c,CWE-79,critical,x:y,text\n"
        + "CVE-2024-1002,a/b\n"
        + "CVE-2024-1003,a/b,CWE-79,99,x:y,text\n"
    )
    pairs = "CPE dependency name,CVE ID\nz:z,nothing\n"
    found = problems_of(folder(tmp_path, main, dependency_cve=pairs, repositories="name\na/b\n"))
    told = "\n".join(found)
    for part in (
        "line 2: CVE ID 'CVE-24-1'",
        "line 3: GHIssue is empty",
        "line 3: CVE severity 'dreadful' is none of low, medium, high, critical",
        "line 5: CVE-2024-1001 is critical here and low in cve_repository.csv line 4",
        "line 6: 2 cells under 6 columns",
        "line 7: CVE severity '99'",
        "dependency_cve.csv line 2: CVE ID 'nothing'",
        "repositories.csv: no column repository; it has name",
    ):
        assert part in told
    assert len(found) == 8


@pytest.mark.parametrize(
    ("main", "part"),
    [
        ("", "is empty"),
        (HEAD, "no row below"),
        ("CVE ID,Description\nCVE-2024-1000,x\n", "no column GHIssue, CWE name, CVE severity, CPE dependency name"),
        (HEAD.encode() + b"CVE-2024-1000,a/b,CWE-79,high,x:y,caf\xe9\n", "line 2: not UTF-8 at byte 38"),
        (HEAD + ROW + 'CVE-2024-1001,a/b,CWE-79,high,x:y,"open\n', "no CSV"),
        (HEAD + ROW + f"CVE-2024-1001,a/b,CWE-79,high,x:y,{'x' * 200_000}\n", "no CSV"),
    ],
)
def test_messy_tables(tmp_path: Path, main: str | bytes, part: str) -> None:
    assert part in problems_of(folder(tmp_path, main))[0]


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    text = "\ufeff" + (HEAD + ROW).replace("\n", "\r\n")
    assert read_study(folder(tmp_path, text)).rows == 1
