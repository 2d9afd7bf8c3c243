"""``threatloop threats ingest``."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from threatloop.cli.console import console, fail
from threatloop.cli.threat_graphs import opened
from threatloop.cli.threat_review import as_json, tell
from threatloop.cli.threat_words import count

if TYPE_CHECKING:
    from threatloop.threats.evidence.ingest import Ingested
    from threatloop.threats.evidence.ingest import Progress as Advance
    from threatloop.threats.evidence.pipeline import Pipeline

UNREAD = 2


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    documents: tuple[Path, ...]
    atlas: Path | None
    graph: Path | None
    llm: str | None
    llm_model: str | None
    llm_key_env: str
    llm_timeout: float
    queue: Path
    json: bool


def run(request: Request) -> int:
    """Ingest and print what is proposed; returns 2 where a document was not processed to its end, else 0."""
    from threatloop.threats.evidence.ingest import ingest

    with _bar(request.json) as advance:
        ready, note = _pipeline(request)
        if note:
            fail(note)
        found = ingest(request.documents, ready, request.queue, advance)
    if request.json:
        print(json_module.dumps(_as_json(found, ready.by, request.queue), ensure_ascii=False, indent=1))
    else:
        _tell(found, ready.by, request.queue)
    return UNREAD if found.errors or found.unread else 0


def _pipeline(request: Request) -> tuple[Pipeline, str]:
    """Everything checked and loaded before a document is read, and a note on what is missing."""
    from threatloop.cli.threat_embedder import sentence_embedder
    from threatloop.core.errors import InputError
    from threatloop.threats.evidence.corpus import corpus_of, read_corpus
    from threatloop.threats.evidence.endpoint import Endpoint
    from threatloop.threats.evidence.pipeline import pipeline
    from threatloop.threats.evidence.queue import read_queue
    from threatloop.threats.keywords import libraries

    if request.llm and not request.llm_model:
        raise InputError("--llm needs the model's name there: --llm-model NAME")
    endpoint = None
    if request.llm and request.llm_model:
        endpoint = Endpoint(request.llm, request.llm_model, request.llm_key_env, request.llm_timeout)
    libraries()
    waiting = read_queue(request.queue).open
    graph = opened(request.graph)
    corpus = corpus_of(graph) if request.atlas is None else read_corpus(request.atlas)
    embedder, note = sentence_embedder()
    return pipeline(corpus, graph, waiting, embedder, endpoint), note


@contextmanager
def _bar(quiet: bool) -> Iterator[Advance]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console(error=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("learning the techniques", total=None)

        def advance(name: str, done: int, total: int) -> None:
            bar.update(task, description=escape(name[:44].ljust(44)), completed=done, total=total)

        yield advance


def _as_json(found: Ingested, by: str, queue: Path) -> dict[str, object]:
    return {
        "queue": str(queue),
        "by": by,
        "read": found.read,
        "proposals": [as_json(one) for one in found.proposals],
        "already_queued": found.known,
        "errors": found.errors,
        "skipped": found.skipped,
    }


def _tell(found: Ingested, by: str, queue: Path) -> None:
    out = console()
    for one in found.proposals:
        tell(out, one)
    for line in found.skipped:
        out.print(f"[dim]skipped[/] {escape(line)}")
    for line in found.errors:
        console(error=True).print(f"[red]error[/] {escape(line)}")
    known = f", {found.known} more queued before" if found.known else ""
    proposed = f"{count(len(found.proposals), 'proposal')} by {by}"
    read = f"{count(len(found.read), 'document')} read to the end"
    missed = f"{count(len(found.errors), 'error')}, {len(found.skipped)} skipped"
    out.print(escape(f"{proposed} from {read}{known}; {missed}"))
    if found.proposals:
        out.print(escape(f"next: threatloop threats review --queue {queue}"), style="dim")
    sys.stdout.flush()
