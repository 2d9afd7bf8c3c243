"""The queue is only ever added to: damage stays where it is, and nothing after or before it is lost."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from threatloop.core.errors import InputError
from threatloop.threats.evidence.proposals import Passage, Proposal, Ranked, Source
from threatloop.threats.evidence.queue import Decided, Processed, Proposed, Unprocessed, append, read_queue

SOURCE = Source(digest="ab" * 20, title="A report", file="a.md")


def proposal(start: int = 0, technique: str = "AML.T0020") -> Proposal:
    ranked = Ranked(technique=technique, name="Poison", score=0.7)
    passage = Passage(text="line\u2028one \n two", start=start, end=start + 10)
    return Proposal(document=SOURCE, passage=passage, technique=ranked, calibrated=True, by="retrieval")


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "queue.jsonl"
    first, second = proposal(0), proposal(50)
    append(path, [Proposed(proposal=first), Unprocessed(document=SOURCE, because="down")])
    append(path, [Proposed(proposal=second), Decided(id=first.id, decision="accepted", at="2026-01-01T00:00:00+00:00")])
    queue = read_queue(path)
    assert list(queue.proposals.values()) == [first, second]
    assert queue.open == [second]
    assert queue.decisions == {first.id: "accepted"}
    assert queue.unprocessed[SOURCE.digest].because == "down"
    append(path, [Processed(document=SOURCE, by="retrieval")])
    assert not read_queue(path).unprocessed
    assert read_queue(tmp_path / "none.jsonl").open == []


def test_ids_depend_on_what_is_proposed_alone() -> None:
    same = proposal(0).model_copy(update={"by": "model m", "name": "A name", "similar": ()})
    assert same.id == proposal(0).id
    assert len({proposal(0).id, proposal(1).id, proposal(0, "AML.T0024").id}) == 3


def test_a_torn_line_swallows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    append(path, [Proposed(proposal=proposal(0)), Proposed(proposal=proposal(1))])
    path.write_bytes(path.read_bytes()[:-40])
    append(path, [Proposed(proposal=proposal(2))])
    queue = read_queue(path)
    assert list(queue.proposals) == [proposal(0).id, proposal(2).id]
    assert len(queue.damaged) == 1
    assert f"{path}:3: is no entry of a queue" in queue.damaged[0]


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"{}", b'{"entry": "accepted"}', b"[1]", b"[" * 9000, b'{"entry": "decided"}']
)
def test_damaged_lines_are_listed_and_stay(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "queue.jsonl"
    append(path, [Proposed(proposal=proposal(0))])
    path.write_bytes(path.read_bytes() + line + b"\n")
    append(path, [Proposed(proposal=proposal(1))])
    queue = read_queue(path)
    assert len(queue.proposals) == 2
    assert len(queue.damaged) == 1
    assert line in path.read_bytes()


@pytest.mark.parametrize(
    "content", [b"x", b"{}\n", b'{"a": 1}\n{"b": 2}\n', b"\x00" * 100, b'{"format": "other", "version": 1}\n']
)
def test_another_file_is_never_added_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no queue of proposals"):
        read_queue(path)
    with pytest.raises(InputError, match="is no queue of proposals"):
        append(path, [Proposed(proposal=proposal())])
    assert path.read_bytes() == content


def test_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    path.write_text('{"format": "threatloop evidence queue", "version": 2}\n')
    with pytest.raises(InputError, match="of version 2, by a newer threatloop"):
        read_queue(path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        append(tmp_path, [Proposed(proposal=proposal())])


def _many(path: Path, first: int) -> None:
    for i in range(first, first + 25):
        append(path, [Proposed(proposal=proposal(i)), Proposed(proposal=proposal(i, "AML.T0024"))])


def test_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_many, args=(path, 100 * n)) for n in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    queue = read_queue(path)
    assert not queue.damaged
    assert len(queue.proposals) == 150
