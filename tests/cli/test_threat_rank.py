"""``threats rank`` on real tables, on a corpus, and on nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from severity_world import planted
from threatloop.cli.threat_rank import Request, run
from threatloop.core.errors import InputError
from threatloop.threats.graph_file import save_graph

CORPUS = json.dumps(
    {
        "repository": "[red]a[/]",
        "packages": [{"ecosystem": "PyPI", "name": "torch[bold]"}],
        "vulnerabilities": [{"id": "X[/]", "package": "torch[bold]", "summary": "bad", "severity": "high"}],
    }
)


@pytest.mark.slow
def test_the_study(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Request(shared_data / "lifecycle_study", None, json=False, top=5)) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 100
    for part in (
        "no CVSS score",
        "share of the top fifth: 0.733 [",
        "google:tensorflow",
        "vulnerabilities: 5 of 834",
        "modularity",
        "patch propagation, median days from fixed release to use: not computed, because no history has",
        "skipped: 22 CVEs without a dependency",
    ):
        assert part in told


def test_a_corpus_whose_names_look_like_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(CORPUS)
    assert run(Request(path, None, json=False)) == 0
    told = capsys.readouterr().out
    assert "X[/]" in told
    assert "torch[bold]" in told
    assert "place in the graph alone" in told


def test_a_graph_file_and_a_corpus_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_graph(planted(lambda users, rng: users + rng.normal(), seed=0, packages=20), tmp_path / "graph.parquet")
    (tmp_path / "c.jsonl").write_text(CORPUS)
    assert run(Request(tmp_path / "c.jsonl", tmp_path / "graph.parquet", json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ranking"]["basis"] == "fitted"
    assert "X[/]" in {one["id"] for one in found["ranking"]["vulnerabilities"]}


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        (Request(None, None, json=False), "nothing to rank: give --corpus"),
        (Request(Path("absent.jsonl"), None, json=False), "cannot be read"),
        (Request(Path("absent.jsonl"), None, json=False, top=0), "at least 1"),
    ],
)
def test_bad_requests_are_one_line(request_: Request, part: str) -> None:
    with pytest.raises(InputError, match=part):
        run(request_)
