"""Documents to the queue: each is read, or says why not, and nothing that was found is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence_world import POISON, STEAL, corpus, embed, pdf, player
from scripted_chat import scripted
from threatloop.threats.evidence.endpoint import Endpoint
from threatloop.threats.evidence.ingest import ingest
from threatloop.threats.evidence.pipeline import Pipeline, pipeline
from threatloop.threats.evidence.queue import read_queue
from threatloop.threats.graph import ThreatGraph

pytest.importorskip("bm25s")
pytest.importorskip("pypdf")


@pytest.fixture(scope="module")
def alone() -> Pipeline:
    return pipeline(corpus(12), ThreatGraph(), [], embed)


def by_model(url: str) -> Pipeline:
    return pipeline(corpus(12), ThreatGraph(), [], embed, Endpoint(url, "m", timeout=5, backoff=0, retries=1))


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    (tmp_path / "a.md").write_text(f"# First\n\n{POISON}\n")
    (tmp_path / "b.txt").write_text(f"{STEAL}\n\nA cake needs butter, eggs, sugar, flour and a warm oven.\n")
    return [tmp_path / "a.md", tmp_path / "b.txt"]


def test_retrieval_alone(alone: Pipeline, reports: list[Path], tmp_path: Path) -> None:
    queue, seen = tmp_path / "q.jsonl", list[tuple[str, int, int]]()
    found = ingest(reports, alone, queue, lambda *one: seen.append(one))
    assert [(one.technique.technique, one.passage.text) for one in found.proposals] == [
        ("AML.T0020", POISON),
        ("AML.T0024", STEAL),
    ]
    assert {one.by for one in found.proposals} == {"retrieval"}
    assert not any(one.name for one in found.proposals)
    assert found.read == [str(one) for one in reports]
    assert seen == [("First", 1, 1), ("b.txt", 2, 2)]
    assert read_queue(queue).open == found.proposals


def test_again_adds_nothing(alone: Pipeline, reports: list[Path], tmp_path: Path) -> None:
    queue = tmp_path / "q.jsonl"
    ingest(reports, alone, queue)
    found = ingest([*reports, *reports], alone, queue)
    assert (found.proposals, found.known) == ([], 2)
    assert len(read_queue(queue).proposals) == 2


def test_what_cannot_be_read_is_skipped_with_the_reason(alone: Pipeline, reports: list[Path], tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdf(["", ""]))
    (tmp_path / "half.pdf").write_bytes(pdf([POISON, ""]))
    (tmp_path / "empty.md").write_bytes(b"")
    names = ["scan.pdf", "half.pdf", "empty.md", "none.md"]
    found = ingest([*(tmp_path / one for one in names), reports[1]], alone, tmp_path / "q.jsonl")
    assert [line.removeprefix(str(tmp_path)) for line in found.skipped] == [
        "/scan.pdf: a PDF without text, perhaps scanned; run text recognition over it first",
        "/half.pdf: page 2: no text, perhaps scanned",
        "/empty.md: is empty",
        "/none.md: there is no such file",
    ]
    assert found.unread == 3
    assert len(found.proposals) == 2


def test_an_endpoint_that_is_down_queues_every_document(reports: list[Path], tmp_path: Path) -> None:
    queue = tmp_path / "q.jsonl"
    with scripted(player([POISON, STEAL])) as server:
        pass
    found = ingest(reports, by_model(server.url), queue)
    assert not found.proposals
    assert "a.md: not processed, because from part 1 of 1 on: " in found.errors[0]
    assert "b.txt: not processed, because not asked, since before: " in found.errors[1]
    assert [one.document.file for one in read_queue(queue).unprocessed.values()] == ["a.md", "b.txt"]
    with scripted(player([POISON, STEAL])) as server:
        found = ingest(reports, by_model(server.url), queue)
    assert len(found.proposals) == 2
    assert not found.errors
    assert not read_queue(queue).unprocessed


def test_broken_json_of_one_document_does_not_stop_the_next(reports: list[Path], tmp_path: Path) -> None:
    good = player([STEAL])
    with scripted(lambda body: "{broken" if "into poisoned records" in str(body) else good(body)) as server:
        found = ingest(reports, by_model(server.url), tmp_path / "q.jsonl")
    assert [one.passage.text for one in found.proposals] == [STEAL]
    assert len(found.errors) == 1
    assert "a.md: not processed, because part 1 of 1: " in found.errors[0]


def test_damaged_lines_of_the_queue_are_errors(alone: Pipeline, reports: list[Path], tmp_path: Path) -> None:
    queue = tmp_path / "q.jsonl"
    ingest(reports[:1], alone, queue)
    queue.write_bytes(queue.read_bytes() + b"half a li")
    found = ingest(reports[1:], alone, queue)
    assert len(found.errors) == 1
    assert len(read_queue(queue).proposals) == 2
