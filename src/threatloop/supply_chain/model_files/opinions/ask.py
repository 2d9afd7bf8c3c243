"""Asking the other scanners, all files in one process that is not ours."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from threatloop.supply_chain.model_files.limits import Limits

PICKLE_SCANNERS = ("fickling", "modelaudit-picklescan")
_ALONE = ("fickling", "modelaudit_picklescan", "typing_extensions")
_WORKER = Path(__file__).with_name("worker.py")
_RESTARTS = 8
_START = 60.0
_MEASURED = ("remarks", "texts", "links")


@dataclass(frozen=True)
class Answer:
    """What one scanner says of one file.

    Attributes:
        remarks: severity and text.
        failed: why it could not judge; empty where it could.
        incomplete: why it saw only a part.
        found: of h5py, what was read.
    """

    remarks: tuple[tuple[str, str], ...] = ()
    failed: str = ""
    incomplete: str = ""
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """By scanner and file; of scanners that are not installed, why."""

    given: dict[tuple[str, str], Answer]
    missing: dict[str, str]


def ask(files: Sequence[str], scanners: Sequence[str], limits: Limits) -> Answers:
    """Ask each scanner about each file.

    A file on which the process dies is answered as failed, and the others are asked again without it.
    """
    with tempfile.TemporaryDirectory(prefix="threatloop-scanners-") as folder:
        path = scanners_alone(folder) if set(scanners) <= set(PICKLE_SCANNERS) else [sysconfig.get_path("platlib")]
        return _ask(files, scanners, limits, path)


def _ask(files: Sequence[str], scanners: Sequence[str], limits: Limits, path: list[str]) -> Answers:
    answers, why = Answers({}, {}), ""
    for _ in range(_RESTARTS):
        pending = [
            (file, scanner)
            for scanner in scanners
            if scanner not in answers.missing
            for file in files
            if (scanner, file) not in answers.given
        ]
        if not pending:
            break
        before = len(answers.given) + len(answers.missing)
        why = _run(files, scanners, answers, limits, path, len(pending))
        if len(answers.given) + len(answers.missing) == before:
            break
        left = next((pair for pair in pending if (pair[1], pair[0]) not in answers.given), None)
        if left and left[1] not in answers.missing:
            answers.given[left[1], left[0]] = Answer(failed=why)
    for scanner in scanners:
        for file in files:
            if scanner not in answers.missing:
                answers.given.setdefault((scanner, file), Answer(failed=why))
    return answers


def _run(
    files: Sequence[str], scanners: Sequence[str], answers: Answers, limits: Limits, path: list[str], pending: int
) -> str:
    """One process; what it said is added. Returns why it ended, should something be left."""
    done = [{scanner: (scanner, file) in answers.given for scanner in scanners} for file in files]
    order = {
        "path": path,
        "memory": limits.opinion_memory,
        "seconds": limits.opinion_seconds,
        "scanners": [scanner for scanner in scanners if scanner not in answers.missing],
        "tasks": [{"id": file, "path": file, "done": over} for file, over in zip(files, done, strict=True)],
    }
    with tempfile.TemporaryFile() as out:
        why = _process(json.dumps(order).encode(), out, _START + 2 * limits.opinion_seconds + 0.5 * pending)
        out.seek(0)
        for line in _lines(out.read().decode("utf-8", "replace")):
            _take(line, answers)
    return why


def _process(order: bytes, out: IO[bytes], seconds: float) -> str:
    try:
        finished = subprocess.run(
            [sys.executable, "-I", "-S", str(_WORKER)],
            input=order,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd=tempfile.gettempdir(),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "its process took too long"
    return f"its process ended with status {finished.returncode}"


def scanners_alone(folder: str) -> list[str]:
    """A folder that holds the pickle scanners and nothing else of what is installed."""
    for name in _ALONE:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        source = Path(spec.origin)
        if source.name == "__init__.py":
            source = source.parent
        target = Path(folder, source.name)
        try:
            target.symlink_to(source, target_is_directory=source.is_dir())
        except OSError:
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return [folder]


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _take(line: dict[str, Any], answers: Answers) -> None:
    scanner = line["scanner"]
    if "missing" in line:
        answers.missing[scanner] = line["missing"]
        return
    remarks = tuple((remark["severity"], remark["text"]) for remark in line.get("remarks", ()))
    found = {name: line[name] for name in _MEASURED[1:] if name in line}
    answers.given[scanner, line["task"]] = Answer(remarks, line.get("failed", ""), line.get("incomplete", ""), found)
