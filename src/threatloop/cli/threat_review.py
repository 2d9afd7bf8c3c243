"""``threatloop threats review``."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from threatloop.cli.console import console
from threatloop.cli.threat_graphs import opened

if TYPE_CHECKING:
    from rich.console import Console

    from threatloop.threats.evidence.proposals import Proposal
    from threatloop.threats.evidence.queue import Queue

DAMAGED = 2
SHOWN = 3
CHOICES = {"a": "accept", "r": "reject", "n": "as a new threat", "s": "skip", "q": "quit"}


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    queue: Path
    graph: Path | None
    accept: tuple[str, ...]
    reject: tuple[str, ...]
    accept_all: bool
    as_new: bool
    json: bool


def run(request: Request) -> int:
    """List, or decide; asks for each open proposal at a terminal. Returns 2 where lines of the queue are damaged."""
    from threatloop.core.errors import InputError
    from threatloop.threats.evidence.queue import read_queue
    from threatloop.threats.evidence.review import chosen

    if not request.queue.exists():
        raise InputError(f"{request.queue}: there is no such queue; `threatloop threats ingest` begins one")
    queue = read_queue(request.queue)
    if request.accept or request.reject or request.accept_all:
        yes, no = chosen(queue, request.accept, request.reject, request.accept_all)
        decide(request, yes, no)
        queue = read_queue(request.queue)
        _close(queue, request, f"{len(yes)} accepted, {len(no)} rejected, {len(queue.open)} open")
    elif request.json:
        _close(queue, request, "")
    elif sys.stdin.isatty() and sys.stdout.isatty() and request.graph is not None:
        _ask(queue, request)
    else:
        for one in queue.open:
            tell(console(), one)
        _close(queue, request, f"{len(queue.open)} open of {len(queue.proposals)} proposals")
    return DAMAGED if queue.damaged else 0


def decide(request: Request, yes: list[Proposal], no: list[str], *, as_new: bool = False) -> None:
    """Write the graph, then the decisions: killed in between, they can be made again.

    Raises:
        InputError: there is no graph file to accept into, or a file cannot be written.
    """
    from threatloop.core.errors import InputError
    from threatloop.threats.evidence.queue import Decided, append
    from threatloop.threats.evidence.review import enter
    from threatloop.threats.graph_file import save_graph

    at = datetime.now(UTC).isoformat(timespec="seconds")
    if yes:
        if request.graph is None:
            raise InputError("accepting needs the graph to accept into: --graph FILE")
        graph = opened(request.graph if request.graph.exists() else None)
        enter(graph, yes, as_new=as_new or request.as_new)
        save_graph(graph, request.graph)
    accepted = [Decided(id=one.id, decision="accepted", at=at) for one in yes]
    append(request.queue, [*accepted, *(Decided(id=one, decision="rejected", at=at) for one in no)])


def _ask(queue: Queue, request: Request) -> None:
    out, asked = console(), ", ".join(f"{key} {what}" for key, what in CHOICES.items())
    left = len(queue.open)
    for number, one in enumerate(queue.open, 1):
        tell(out, one)
        answer = ""
        while answer not in CHOICES:
            try:
                answer = out.input(Text(f"{number} of {left}: {asked}? ")).strip().lower()[:1]
            except EOFError:
                answer = "q"
        if answer == "q":
            break
        if answer in "an":
            decide(request, [one], [], as_new=answer == "n")
        elif answer == "r":
            decide(request, [], [one.id])


def tell(out: Console, one: Proposal) -> None:
    """One proposal for a reader: what is said, by whom, the passage, and where it stands."""
    kind = "probability" if one.calibrated else "rank score"
    head = Text.assemble((one.id, "bold"), "  ", (f"{one.technique.technique} {one.technique.name}", "cyan"))
    out.print(head, Text(f"{kind} {one.technique.score:.2f}, by {one.by}", "dim"))
    inner = list[Text]()
    if one.name:
        inner.append(Text.assemble("the model says: ", (one.name, "bold"), f" - {one.summary}"))
    inner.append(Text(f"“{' '.join(one.passage.text.split())}”", "italic"))
    place = f"characters {one.passage.start}-{one.passage.end}, document {one.document.digest[:16]}"
    inner.append(Text(f"{one.document.title} ({one.document.file}), {place}", "dim"))
    if one.others:
        others = ", ".join(f"{other.technique} {other.name} {other.score:.2f}" for other in one.others[:SHOWN])
        inner.append(Text(f"or: {others}", "dim"))
    if one.similar:
        inner.append(
            Text("alike: " + ", ".join(f"{other.id} {other.similarity:.2f}" for other in one.similar), "yellow")
        )
    for line in inner:
        out.print(Padding(line, (0, 0, 0, 2)))
    out.print()


def as_json(one: Proposal) -> dict[str, Any]:
    """A proposal with its id."""
    return {"id": one.id, **one.model_dump(mode="json")}


def _close(queue: Queue, request: Request, line: str) -> None:
    """What waits, what is damaged, and the summary."""
    waiting = [f"{one.document.file}: not processed, because {one.because}" for one in queue.unprocessed.values()]
    if request.json:
        decided = [{"id": id_, "decision": decision} for id_, decision in queue.decisions.items()]
        found = {"open": [as_json(one) for one in queue.open], "decided": decided}
        print(
            json_module.dumps({**found, "unprocessed": waiting, "errors": queue.damaged}, ensure_ascii=False, indent=1)
        )
        return
    for one in waiting:
        console().print(Text(one, "yellow"))
    for one in queue.damaged:
        console(error=True).print(Text.assemble(("error ", "red"), one))
    console().print(Text(line))
