"""Findings from the pickles of a source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from threatloop.supply_chain.model_files.job import Job, Stream
from threatloop.supply_chain.model_files.pickles.follow import follow, follow_all
from threatloop.supply_chain.model_files.pickles.known import Grade
from threatloop.supply_chain.model_files.pickles.levels import level
from threatloop.supply_chain.model_files.pickles.opcodes import Blob
from threatloop.supply_chain.model_files.pickles.torch_legacy import is_legacy, tail_size
from threatloop.supply_chain.model_files.pickles.values import Box, Name
from threatloop.supply_chain.model_files.pickles.walk import Use, Walk
from threatloop.supply_chain.model_files.source import CHUNK, Source, of_bytes
from threatloop.supply_chain.result import Severity

_START = re.compile(
    rb"\x80[\x02-\x05][\x95\x8c\x8a\x28\x5d\x7d\x63\x58\x4b\x4e\x29\x42\x43\x55\x71]"
    rb"|c[A-Za-z_][\w.]{0,99}\n[A-Za-z_]\w{0,99}\n"
)
"""How a pickle may begin: its protocol and a usual first opcode, or a global in the text form."""
_SEARCHED = 64 << 20
_PADDING = 4096


def scan_pickle(source: Source, job: Job) -> None:
    """Follow every pickle of a source, look inside what it carries, and judge what lies behind the last one."""
    walks = follow_all(source, 0, job.limits)
    for walk in walks:
        judge(walk, source, job)
    last = walks[-1]
    if last.broken:
        job.notes.failed(source.place, f"broken pickle: {last.broken}")
    ask_others(walks, source, job)
    _judge_tail(walks, source, job)


def judge(walk: Walk, source: Source, job: Job) -> None:
    """The findings of one pickle."""
    for name in walk.names:
        _judge_name(name, [use for use in walk.uses if use.name == name], source, job)
    note = job.notes.found
    for at, text in walk.computed:
        note("computed-global", source.place, f"computes the name of a global at byte {at}: {text}", subject=text)
    if walk.extensions:
        codes = ", ".join(str(code) for code in sorted(set(walk.extensions))[:8])
        note("pickle-extension", source.place, f"uses extension codes that only the loading process knows: {codes}")
    if walk.odd:
        lines = "\n".join(f"byte {at}: {text}" for at, text in walk.odd[:8])
        note("odd-pickle", source.place, "is written as no ordinary pickle is", detail=lines)
    if walk.persistent and not all(_is_storage(item) for item in walk.storages):
        note("odd-pickle", source.place, f"{walk.persistent} objects must come from the loader (persistent ids)",
             subject="persistent ids", severity=Severity.LOW)  # fmt: skip
    for at, blob in walk.blobs:
        _look_inside(at, blob, source, job)
    for inner in walk.inner:
        judge(inner, source, job)


def _is_storage(item: Box) -> bool:
    """Whether torch writes such an identity: of a storage, or of the class of a module with its source."""
    return item.kind == "tuple" and len(item.items) >= 4 and item.items[0] in ("storage", "module")


def _judge_name(name: Name, uses: list[Use], source: Source, job: Job) -> None:
    grade = level(name, uses)
    if grade is Grade.KNOWN:
        return
    calls = [use for use in uses if use.call]
    deed = "calls" if calls else "refers to"
    detail = "\n".join(f"byte {use.at}: {use.call or f'fetches {use.name}'}" for use in (calls or uses)[:4])
    if grade is Grade.UNKNOWN:
        title = f"{deed} {name}, which is not on the allowlist and not understood"
        job.notes.found("unknown-global", source.place, title, subject=str(name), detail=detail)
        return
    severity = Severity.CRITICAL if grade is Grade.DANGEROUS else Severity.HIGH
    title = f"loading it {deed} {name}"
    job.notes.found("unsafe-pickle", source.place, title, subject=str(name), detail=detail, severity=severity)


def _look_inside(at: int, blob: bytes | Blob, source: Source, job: Job) -> None:
    from threatloop.supply_chain.model_files.kinds import Kind, kind_of

    name = f"bytes at {at}"
    inner = (
        source.inside(name, source.file, source.start + blob.start, blob.size)
        if isinstance(blob, Blob)
        else of_bytes(source, name, blob)
    )
    if kind_of(inner, job.limits) in (Kind.PICKLE, Kind.ZIP, Kind.COMPRESSED, Kind.NUMPY, Kind.TAR):
        job.descend(inner)


def ask_others(walks: list[Walk], source: Source, job: Job) -> None:
    """Copy the opcodes, without the arrays between them, for the other scanners."""
    end = walks[-1].end if not walks[-1].broken else source.size
    pieces, at = [], walks[0].start
    for start, stop in [*(gap for walk in walks for gap in walk.raw), (end, end)]:
        pieces.append((at, start))
        at = stop
    path: str | None = None
    if sum(stop - start for start, stop in pieces) <= job.limits.opinion_bytes:
        path = f"{job.scratch}/{len(job.streams)}.pickle"
        _copy(source, pieces, path)
    job.streams.append(Stream(source.place, tuple(walks), path))
    for inner in (inner for walk in walks for inner in walk.inner):
        ask_others([inner], source, job)


def _copy(source: Source, pieces: list[tuple[int, int]], path: str) -> None:
    with open(path, "wb") as copy:
        for at, stop in pieces:
            while at < stop and (piece := source.read(at, min(CHUNK, stop - at))):
                copy.write(piece)
                at += len(piece)


def _judge_tail(walks: list[Walk], source: Source, job: Job) -> None:
    at = walks[-1].end
    rest = source.size - at
    if rest <= 0:
        return
    expected = tail_size(walks) if is_legacy(walks) else 0
    if expected == rest or (not expected and rest <= _PADDING and not any(source.read(at, rest))):
        return
    if expected > rest:
        job.notes.failed(source.place, f"truncated: its tensors need {expected} bytes, {rest} are left")
    elif not walks[-1].broken:
        title = f"{rest - expected} bytes follow what belongs to the pickles"
        job.notes.found("hidden-content", source.place, title, subject="tail")
    for start in _starts(source, at, job):
        walk = follow(source, start, job.limits)
        if walk.uses and (not walk.broken or any(use.call for use in walk.uses)):
            judge(walk, source, job)
    if rest > _SEARCHED:
        job.notes.skip(source.place, f"of {rest} bytes behind the last pickle only the first {_SEARCHED} were searched")


def _starts(source: Source, at: int, job: Job) -> Iterator[int]:
    """Where a pickle may begin in what follows the last one."""
    found, stop = 0, min(source.size, at + _SEARCHED)
    while at < stop and found < job.limits.pickles:
        piece = source.read(at, CHUNK + 256)
        for match in _START.finditer(piece):
            if match.start() >= CHUNK:
                break
            found += 1
            yield at + match.start()
        at += CHUNK
