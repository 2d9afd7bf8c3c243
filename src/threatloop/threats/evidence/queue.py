"""The queue of proposals: a file of JSON lines that is only ever added to, so that nothing in it can get lost.

The first line names format and version; each further one is a proposal, a decision, or a document that was, or was not,
processed. The latest line about something counts. A line that a killed process left half-written is reported and stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from threatloop.core.errors import InputError
from threatloop.threats.evidence.proposals import Frozen, Proposal, Source
from threatloop.threats.files import MIB, read_bounded

FORMAT, VERSION = "threatloop evidence queue", 1
MOST_BYTES = 512 * MIB


class Proposed(Frozen):
    entry: Literal["proposed"] = "proposed"
    proposal: Proposal


class Decided(Frozen):
    """What a reviewer decided about a proposal, and when (UTC, ISO 8601)."""

    entry: Literal["decided"] = "decided"
    id: str
    decision: Literal["accepted", "rejected"]
    at: str


class Unprocessed(Frozen):
    """A document that was not, or only in part, processed, and why."""

    entry: Literal["unprocessed"] = "unprocessed"
    document: Source
    because: str


class Processed(Frozen):
    """A document that was read to its end, and by whom."""

    entry: Literal["processed"] = "processed"
    document: Source
    by: str


Entry = Annotated[Proposed | Decided | Unprocessed | Processed, Field(discriminator="entry")]
_ENTRY: TypeAdapter[Proposed | Decided | Unprocessed | Processed] = TypeAdapter(Entry)


@dataclass
class Queue:
    """What a queue file says.

    Attributes:
        proposals: by id, in their order.
        decisions: by id of the proposal.
        unprocessed: by digest, documents that wait to be ingested again.
        damaged: lines that are no entries, each with number and reason.
    """

    proposals: dict[str, Proposal] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    unprocessed: dict[str, Unprocessed] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    @property
    def open(self) -> list[Proposal]:
        """Proposals that nobody decided about."""
        return [one for id_, one in self.proposals.items() if id_ not in self.decisions]

    def take(self, entry: Proposed | Decided | Unprocessed | Processed) -> None:
        if isinstance(entry, Proposed):
            self.proposals[entry.proposal.id] = entry.proposal
        elif isinstance(entry, Decided):
            self.decisions[entry.id] = entry.decision
        elif isinstance(entry, Unprocessed):
            self.unprocessed[entry.document.digest] = entry
        else:
            self.unprocessed.pop(entry.document.digest, None)


def read_queue(path: Path) -> Queue:
    """What is in the file; an empty queue where there is none.

    Raises:
        InputError: it is no queue file, of a newer version, or too large. Single damaged lines are listed instead.
    """
    queue = Queue()
    if not path.exists():
        return queue
    lines = read_bounded(path, MOST_BYTES).split(b"\n")
    _check_head(path, lines[0])
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            queue.take(_ENTRY.validate_json(line))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            queue.damaged.append(f"{path}:{number}: is no entry of a queue ({first['msg'][:120]}); it is left as it is")
    return queue


def append(path: Path, entries: Iterable[Proposed | Decided | Unprocessed | Processed]) -> None:
    """Add entries at the end, all in one write; the file is begun where there is none.

    Raises:
        InputError: it cannot be written, or is no queue file.
    """
    raw = b"".join(entry.model_dump_json().encode() + b"\n" for entry in entries)
    if not raw:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file, _locked(file):
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(0)
                _check_head(path, file.readline(4096).rstrip(b"\n"))
                file.seek(size - 1)
                # What a killed process left half-written must not swallow the next entry.
                raw = raw if file.read(1) == b"\n" else b"\n" + raw
            else:
                raw = json.dumps({"format": FORMAT, "version": VERSION}).encode() + b"\n" + raw
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def _check_head(path: Path, line: bytes) -> None:
    try:
        head = json.loads(line)
        known = isinstance(head, dict) and head.get("format") == FORMAT and isinstance(head.get("version"), int)
    except (ValueError, RecursionError):
        known = False
    if not known:
        raise InputError(f"{path}: is no queue of proposals (its first line states no format); name another --queue")
    if head["version"] > VERSION:
        raise InputError(
            f"{path}: of version {head['version']}, by a newer threatloop; upgrade, this one reads up to {VERSION}"
        )


@contextmanager
def _locked(file: Any) -> Iterator[None]:
    """Two processes that add at the same time take turns, where the system has locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        file.flush()
        fcntl.flock(file, fcntl.LOCK_UN)
