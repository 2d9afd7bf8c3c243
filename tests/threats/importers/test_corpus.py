"""Corpora as JSON lines: what is read, how aliases meet, and every problem of a file at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from threatloop.core.errors import InputError, Problems
from threatloop.threats.importers import corpus
from threatloop.threats.importers.corpus import corpus_graph, read_corpus
from threatloop.threats.ontology import Kind, Relation

TORCH: dict[str, Any] = {"ecosystem": "PyPI", "name": "Torch", "version": "2.0", "direct": True}


def line(repository: str, *vulnerabilities: dict[str, Any], packages: list[dict[str, Any]] | None = None) -> str:
    record = {"repository": repository, "packages": packages or [TORCH], "vulnerabilities": list(vulnerabilities)}
    return json.dumps(record)


def written(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "corpus.jsonl"
    path.write_bytes(b"\n".join(one.encode() if isinstance(one, str) else one for one in lines))
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(Problems) as caught:
        read_corpus(path)
    return list(caught.value.problems)


def test_repositories_packages_and_vulnerabilities_become_a_graph(tmp_path: Path) -> None:
    first = {"id": "PYSEC-1", "aliases": ["CVE-2024-1111", "GHSA-x"], "package": "torch", "cwe": ["CWE-502"]}
    second = {"id": "GHSA-x", "package": "torch", "summary": "A longer text.", "severity": "MODERATE"}
    graph = corpus_graph(read_corpus(written(tmp_path, line("a", first), "", line("b", second))), "corpus.jsonl")
    assert [node.id for node in graph.nodes(Kind.VULNERABILITY)] == ["CVE-2024-1111"]
    node = graph.node("CVE-2024-1111")
    assert node.text == "A longer text."
    assert node.attributes["severity"] == "medium"
    assert node.attributes["cwe"] == ("CWE-502",)
    assert node.attributes["aliases"] == ("GHSA-x", "PYSEC-1")
    affected = {edge.target for edge in graph.out(node.id, Relation.AFFECTS)}
    assert affected == {"package:pypi/torch", "repository:a", "repository:b"}
    (depends,) = graph.out("repository:a")
    assert (depends.target, depends.attributes) == ("package:pypi/torch", {"version": "2.0", "direct": True})


def test_dates_go_to_the_edge_of_the_repository(tmp_path: Path) -> None:
    dated = {"id": "X", "package": "torch", "fixed_released": "2024-01-01", "patched": "2024-02-01"}
    graph = corpus_graph(read_corpus(written(tmp_path, line("a", dated))), "c")
    (edge,) = [one for one in graph.out("X") if one.target == "repository:a"]
    assert edge.attributes == {
        "fixed_released": "2024-01-01",
        "patched": "2024-02-01",
        "through": "package:pypi/torch",
    }


def test_every_problem_is_told_by_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        line("a"),
        '{"repository": "b"',
        "[]",
        b'{"repository": "\xff"}',
        line("c", {"id": "X", "package": "torch", "severity": "awful", "cwe": ["79"]}),
        line("d", {"id": "X", "package": "numpy"}),
        line("a"),
        '{"repository": "e", "package": []}',
        "[" * 100_000,
    )
    found = problems_of(path)
    starts = [problem.split(":")[0] for problem in found]
    assert starts == ["line 2", "line 3", "line 4", "line 5", "line 5", "line 6", "line 7", "line 8", "line 9"]
    told = "\n".join(found)
    for part in ("not UTF-8 at byte 17", "cwe.0", "severity", "'numpy' is not exactly one", "on line 1 already"):
        assert part in told


def test_one_name_in_two_ecosystems_needs_the_ecosystem(tmp_path: Path) -> None:
    packages = [TORCH, {"ecosystem": "npm", "name": "torch"}]
    ambiguous = {"id": "X", "package": "torch"}
    path = written(tmp_path, line("a", ambiguous, packages=packages))
    assert "give the ecosystem" in problems_of(path)[0]
    clear = written(tmp_path, line("a", {**ambiguous, "ecosystem": "NPM"}, packages=packages))
    graph = corpus_graph(read_corpus(clear), "c")
    assert {edge.target for edge in graph.out("X")} == {"package:npm/torch", "repository:a"}


@pytest.mark.parametrize(("score", "word"), [(0.1, "low"), (4.0, "medium"), (7, "high"), (9.0, "critical")])
def test_scores_become_words(tmp_path: Path, score: float, word: str) -> None:
    (record,) = read_corpus(written(tmp_path, line("a", {"id": "X", "package": "torch", "severity": score})))
    assert record.vulnerabilities[0].severity == word


@pytest.mark.parametrize("score", ["11", "-1", "NaN", "true", '""', "0"])
def test_other_severities_are_refused(tmp_path: Path, score: str) -> None:
    text = line("a", {"id": "X", "package": "torch", "severity": "@"}).replace('"@"', score)
    assert "severity" in problems_of(written(tmp_path, text))[0] or "JSON" in problems_of(written(tmp_path, text))[0]


def test_a_file_without_a_repository(tmp_path: Path) -> None:
    assert "no repository in it" in problems_of(written(tmp_path, "", "  "))[0]
    with pytest.raises(InputError, match="cannot be read"):
        read_corpus(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_corpus(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(line("a"), encoding="utf-8-sig")
    assert read_corpus(path)[0].repository == "a"


def test_an_overlong_line_is_told_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "LINE_BYTES", 400)
    found = problems_of(written(tmp_path, line("a" * 450), "{}", line("b")))
    assert [one.split(":")[0] for one in found] == ["line 1", "line 2"]


def test_many_problems_are_counted(tmp_path: Path) -> None:
    found = problems_of(written(tmp_path, *["{}"] * 150))
    assert len(found) == 101
    assert found[-1].startswith("and 50 more")
