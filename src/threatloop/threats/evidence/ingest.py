"""Documents to a queue of proposals: each is read, gives proposals, or says why not; nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threatloop.core.errors import InputError
from threatloop.threats.evidence.documents import Document, read_document
from threatloop.threats.evidence.extraction import Extraction, source_of
from threatloop.threats.evidence.pipeline import Pipeline
from threatloop.threats.evidence.proposals import Proposal
from threatloop.threats.evidence.queue import Processed, Proposed, Unprocessed, append, read_queue

Progress = Callable[[str, int, int], None]
"""Called with the document, the parts of it that are done, and all of them."""


@dataclass
class Ingested:
    """What ingesting gave.

    Attributes:
        proposals: new in the queue.
        known: proposals that were in the queue before, open or decided.
        errors: documents that were not, or not wholly, processed, and why; they are queued to be ingested again.
        skipped: documents and pages that could not be read, and candidates that were dropped, with the reason.
        read: documents that were processed to their end.
        unread: how many documents could not be read at all; part of ``skipped``.
    """

    proposals: list[Proposal] = field(default_factory=list)
    known: int = 0
    errors: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    unread: int = 0


def ingest(paths: Sequence[Path], pipeline: Pipeline, queue: Path, progress: Progress | None = None) -> Ingested:
    """Read documents and add their proposals to the queue file, after each document.

    Raises:
        InputError: the queue cannot be read or written, or is damaged beyond single lines.
    """
    found = Ingested()
    found.errors += read_queue(queue).damaged
    down = ""
    for path in dict.fromkeys(paths):
        try:
            document = read_document(path)
        except InputError as error:
            found.skipped.append(str(error))
            found.unread += 1
            continue
        found.skipped += [f"{path}: {note}" for note in document.notes]
        extraction = Extraction(unprocessed=down) if down else _extracted(document, pipeline, progress)
        down = down or (f"not asked, since before: {extraction.unprocessed}" if extraction.gone else "")
        _keep(document, extraction, pipeline.by, queue, found)
    return found


def _extracted(document: Document, pipeline: Pipeline, progress: Progress | None) -> Extraction:
    if progress is None:
        return pipeline.extract(document)
    return pipeline.extract(document, lambda done, total: progress(document.title, done, total))


def _keep(document: Document, extraction: Extraction, by: str, queue: Path, found: Ingested) -> None:
    source, before = source_of(document), read_queue(queue).proposals
    new = [one for one in extraction.proposals if one.id not in before]
    found.proposals += new
    found.known += len(extraction.proposals) - len(new)
    found.skipped += [f"{document.source}: {count} candidates: {why}" for why, count in extraction.dropped.items()]
    if extraction.unprocessed:
        found.errors.append(f"{document.source}: not processed, because {extraction.unprocessed}")
        last: Processed | Unprocessed = Unprocessed(document=source, because=extraction.unprocessed)
    else:
        found.read.append(document.source)
        last = Processed(document=source, by=by)
    append(queue, [*(Proposed(proposal=one) for one in new), last])
