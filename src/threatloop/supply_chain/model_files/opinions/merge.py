"""One finding for one problem: what the other scanners say is put beside what our own pass saw.

The allowlist decides how bad a remark is that only concerns globals on it; it hides none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from threatloop.supply_chain.model_files.job import Job, Stream
from threatloop.supply_chain.model_files.notes import Notes, shown
from threatloop.supply_chain.model_files.opinions.ask import PICKLE_SCANNERS, Answer, Answers, ask
from threatloop.supply_chain.model_files.pickles.known import Grade
from threatloop.supply_chain.model_files.pickles.levels import levels
from threatloop.supply_chain.model_files.pickles.values import Name
from threatloop.supply_chain.result import Finding, Severity

_RULES = ("unsafe-pickle", "unknown-global", "computed-global", "pickle-extension", "odd-pickle")
_SHOWN = 3
_INSTALL = "pip install 'threatloop[scan]'"


@dataclass(frozen=True)
class _Remark:
    scanner: str
    severity: Severity
    text: str


def merge(job: Job) -> None:
    """Ask the other scanners about every pickle of the scan, and put their answers beside our findings."""
    files = [stream.file for stream in job.streams if stream.file]
    answers = ask(files, PICKLE_SCANNERS, job.limits) if files else Answers({}, {})
    for stream in job.streams:
        if stream.file is None:
            reason = f"no second opinion: the pickle is larger than {job.limits.opinion_bytes} bytes"
            job.notes.skip(stream.place, reason)
            continue
        remarks, asked = _remarks(stream, stream.file, answers, job.notes)
        _place(stream, remarks, asked, job.notes)


def _remarks(stream: Stream, file: str, answers: Answers, notes: Notes) -> tuple[list[_Remark], list[str]]:
    """What was said, and the scanners that judged the pickle to its end."""
    remarks, asked = [], []
    for scanner in PICKLE_SCANNERS:
        if scanner in answers.missing:
            reason = f"second opinion of {scanner} not available, because it is not installed: {_INSTALL}"
            notes.skip(stream.place, reason)
            continue
        answer = answers.given.get((scanner, file), Answer(failed="it did not answer"))
        if answer.failed:
            notes.skip(stream.place, f"{scanner} could not judge it: {answer.failed}")
        elif answer.incomplete:
            notes.skip(stream.place, f"{scanner} saw only a part: {answer.incomplete}")
        else:
            asked.append(scanner)
        remarks += [_Remark(scanner, Severity(severity), text) for severity, text in answer.remarks]
    return remarks, asked


def _place(stream: Stream, remarks: list[_Remark], asked: list[str], notes: Notes) -> None:
    """Put each remark beside the finding it is about; what is left becomes a finding of its own."""
    around = [key for key, found in notes.findings.items() if _lies_in(found, stream) and found.rule in _RULES]
    own = [key for key in around if notes.findings[key].place.path == stream.place]
    left = list(remarks)
    for key in around:
        found = notes.findings[key]
        about = [remark for remark in remarks if _mentions(remark.text, found.subject)]
        left = [remark for remark in left if remark not in about]
        if key in own or about:
            notes.findings[key] = _told(found, about, asked if key in own else [])
    if not left:
        return
    judged = [replace(remark, severity=_weight(remark, stream, bool(own))) for remark in left]
    worst = min(judged, key=lambda remark: remark.severity.rank)
    beside = min(own, key=lambda key: notes.findings[key].severity.rank, default=None)
    lines = [f"{remark.scanner}: {remark.text}" for remark in judged]
    if beside is not None and notes.findings[beside].severity.rank <= worst.severity.rank:
        notes.findings[beside] = _with(notes.findings[beside], lines, {remark.scanner for remark in judged})
        return
    _alone(stream, judged, worst.severity, lines, notes)


def _lies_in(found: Finding, stream: Stream) -> bool:
    """Whether a finding is of the pickle or of what it carries inside."""
    return found.place.path == stream.place or found.place.path.startswith(f"{stream.place}!/")


def _alone(stream: Stream, judged: list[_Remark], severity: Severity, lines: list[str], notes: Notes) -> None:
    who = " and ".join(dict.fromkeys(remark.scanner for remark in judged))
    agree = "our own pass found nothing: every global is on the allowlist"
    title = f"{who} object{'s' if ' and ' not in who else ''}; {agree}"
    if severity is not Severity.LOW:
        title = f"{who} found what our own pass did not: {judged[0].text}"
    notes.found(
        "second-opinion", stream.place, title, subject="pickle", severity=severity, scanner=who, detail="\n".join(lines)
    )


def _mentions(text: str, subject: str) -> bool:
    module, _, name = subject.rpartition(".")
    return bool(module) and (subject in text or f"from {module} import {name}" in text)


def _told(found: Finding, about: list[_Remark], asked: list[str]) -> Finding:
    """The finding with who agrees and who does not."""
    lines = _lines(about)
    silent = [scanner for scanner in asked if scanner not in {remark.scanner for remark in about}]
    lines += [f"{scanner}: says nothing of this" for scanner in silent]
    worst = min((remark.severity for remark in about), key=lambda severity: severity.rank, default=found.severity)
    severity = worst if worst.rank < found.severity.rank else found.severity
    return replace(_with(found, lines, {remark.scanner for remark in about}), severity=severity)


def _lines(remarks: list[_Remark]) -> list[str]:
    """The worst remarks of each scanner, and how many more there are."""
    lines = []
    for scanner in dict.fromkeys(remark.scanner for remark in remarks):
        said = sorted((remark for remark in remarks if remark.scanner == scanner), key=lambda r: r.severity.rank)
        lines += [f"{scanner}: {remark.text}" for remark in said[:_SHOWN]]
        if len(said) > _SHOWN:
            lines.append(f"{scanner}: {len(said) - _SHOWN} more remarks")
    return lines


def _with(found: Finding, lines: list[str], scanners: set[str]) -> Finding:
    detail = "\n".join([*found.detail.splitlines(), *(shown(line, 400) for line in lines)][:12])
    who = list(dict.fromkeys([*found.scanner.split(" + "), *sorted(scanners)]))
    return replace(found, detail=detail, scanner=" + ".join(who))


def _weight(remark: _Remark, stream: Stream, own: bool) -> Severity:
    """How bad a remark is that no finding of ours is about."""
    grades = levels(stream.walks)
    known = [name for name in grades if _named(remark.text, name)]
    if known and all(grades[name] is Grade.KNOWN for name in known):
        return Severity.LOW
    clean = not own and set(grades.values()) <= {Grade.KNOWN} and not any(walk.broken for walk in stream.walks)
    if clean and remark.severity is not Severity.HIGH:
        return Severity.LOW
    return remark.severity


def _named(text: str, name: Name) -> bool:
    return str(name) in text or f"from {name.module} import {name.name}" in text
