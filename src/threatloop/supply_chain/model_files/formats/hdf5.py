"""HDF5 files, as Keras wrote its models: the configuration in their attributes, and links to other files.

They are read by h5py, in a process of its own that is started once for all files of a scan.
"""

from __future__ import annotations

import os

from threatloop.supply_chain.model_files.formats.keras import judge_keras
from threatloop.supply_chain.model_files.formats.strict_json import Duplicates, loads
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.opinions.ask import Answer, Answers, ask
from threatloop.supply_chain.model_files.source import CHUNK, Source

_READER = "h5py"
_MISSING = "HDF5 was only searched for known layers, because h5py is not installed: pip install 'threatloop[scan]'"
_WORDS = (
    (b'"class_name": "Lambda"', "keras-lambda", "names a Lambda layer"),
    (b'"class_name":"Lambda"', "keras-lambda", "names a Lambda layer"),
    (b'"__lambda__"', "keras-lambda", "carries the byte code of a Python function"),
    (b"TorchModuleWrapper", "keras-code", "names TorchModuleWrapper, which unpickles"),
)


def scan_hdf5(source: Source, job: Job) -> None:
    """Search the words of layers that carry code, and put the file down for h5py."""
    _search(source, job)
    if source.folder is None:
        path = f"{job.scratch}/{len(job.containers)}.h5"
        _copy(source, path)
    else:
        path = os.path.join(source.folder, source.name)
    job.containers.append((source, path))


def close_hdf5(job: Job) -> None:
    """Have h5py read all files that were put down, and judge what it found; what it cannot read is not understood."""
    paths = [path for _, path in job.containers]
    answers = ask(paths, [_READER], job.limits) if paths else Answers({}, {})
    for source, path in job.containers:
        answer = answers.given.get((_READER, path), Answer(failed="it did not answer"))
        if _READER in answers.missing:
            job.notes.reopen(source.place, _MISSING)
        elif answer.failed:
            job.notes.reopen(source.place, f"h5py could not read it: {answer.failed}")
        else:
            _judge(answer, source, job)


def _judge(answer: Answer, source: Source, job: Job) -> None:
    for name, text in answer.found.get("texts", {}).items():
        try:
            judge_keras(loads(text, Duplicates()), source, job)
        except (ValueError, RecursionError) as error:
            job.notes.failed(source.place, f"its attribute {name} is no JSON: {error}")
    for link in answer.found.get("links", ()):
        job.notes.found("external-data", source.place, f"leads to another file: {link}", subject=str(link))


def _search(source: Source, job: Job) -> None:
    """The words of layers that carry code, wherever they stand, as h5py may not be there."""
    at = 0
    while piece := source.read(at, CHUNK + 64):
        for word, rule, what in _WORDS:
            if word in piece:
                job.notes.found(rule, source.place, f"its bytes say that it {what}", subject=word.decode())
        at += CHUNK


def _copy(source: Source, path: str) -> None:
    with open(path, "wb") as copy:
        at = 0
        while piece := source.read(at, CHUNK):
            copy.write(piece)
            at += len(piece)
