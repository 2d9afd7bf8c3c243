"""Tar archives, read member by member."""

from __future__ import annotations

import tarfile
from collections import Counter

from threatloop.supply_chain.model_files.archives.names import escapes
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import Source, Unreadable

_BLOCK = 512


def scan_tar(source: Source, job: Job) -> None:
    """Check the names, links and kinds of the members and scan the files among them.

    Raises:
        Unreadable: the archive is broken or cut off.
    """
    names: Counter[str] = Counter()
    end = 0
    try:
        with tarfile.open(fileobj=source.stream(), mode="r:") as archive:
            for member in archive:
                job.count_member(source.place)
                names[member.name] += 1
                _judge(member, source, job)
                end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK * member.isfile()
                if member.isfile():
                    _scan_file(member, source, job)
    except (tarfile.TarError, EOFError) as error:
        raise Unreadable(f"broken tar archive: {error}") from error
    for name, count in names.items():
        if count > 1:
            title = f"{count} members are named {name}; which one is loaded depends on the program"
            job.notes.found("duplicate-member", source.place, title, subject=name)
    _judge_tail(source, end, job)


def _judge(member: tarfile.TarInfo, source: Source, job: Job) -> None:
    if why := escapes(member.name):
        job.notes.found("archive-traversal", source.place, f"member {member.name}: {why}", subject=member.name)
    if member.issym() or member.islnk():
        title = f"member {member.name} is a link to {member.linkname}"
        job.notes.found("archive-link", source.place, title, subject=member.name)
    elif not (member.isfile() or member.isdir()):
        title = f"member {member.name} is a device, a pipe or of an unknown kind"
        job.notes.found("archive-link", source.place, title, subject=member.name)


def _scan_file(member: tarfile.TarInfo, source: Source, job: Job) -> None:
    inner = source.inside(member.name, source.file, source.start + member.offset_data, member.size)
    if member.sparse is not None:
        job.notes.skip(inner.place, "a sparse member; its holes are not laid out here")
        return
    if member.offset_data + member.size > source.size:
        raise Unreadable(f"truncated: member {member.name} ends behind the archive")
    job.descend(inner)


def _judge_tail(source: Source, end: int, job: Job) -> None:
    at = end
    while at < source.size and not any(piece := source.read(at, _BLOCK)):
        at += len(piece)
        if at - end > 64 * 1024:
            break
    if at < source.size and any(source.read(at, 1 << 16)):
        title = f"{source.size - at} bytes follow the last member"
        job.notes.found("hidden-content", source.place, title, subject="tail")
        job.descend(source.inside("bytes behind the archive", source.file, source.start + at, source.size - at))
