"""HDF5 files, as Keras wrote its models: the configuration in their attributes, and links to other files.

They are read by h5py, in the process of the other scanners and after all files are known; see `close_hdf5`.
"""

from __future__ import annotations

from threatloop.supply_chain.model_files.formats.keras import judge_keras
from threatloop.supply_chain.model_files.formats.strict_json import Duplicates, loads
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.opinions.ask import Answer, ask
from threatloop.supply_chain.model_files.source import CHUNK, NotUnderstood, Source

_READER = "h5py"
_WORDS = (
    (b'"class_name": "Lambda"', "keras-lambda", "names a Lambda layer"),
    (b'"class_name":"Lambda"', "keras-lambda", "names a Lambda layer"),
    (b'"__lambda__"', "keras-lambda", "carries the byte code of a Python function"),
    (b"TorchModuleWrapper", "keras-code", "names TorchModuleWrapper, which unpickles"),
)


def scan_hdf5(source: Source, job: Job) -> None:
    """Look for code in the model's configuration, and for links that lead out of the file.

    Raises:
        NotUnderstood: h5py is not installed or cannot read it; the words of such layers were searched all the same.
    """
    path = f"{job.scratch}/{len(job.containers)}.h5"
    _search(source, job)
    if source.folder is not None:
        path = source.place
    else:
        _copy(source, path)
    job.containers.append((source.place, path))
    answers = ask([path], [_READER], job.limits)
    if _READER in answers.missing:
        raise NotUnderstood("HDF5 was only searched for known layers, because h5py is not installed: pip install h5py")
    answer = answers.given.get((_READER, path), Answer(failed="it did not answer"))
    if answer.failed:
        raise NotUnderstood(f"h5py could not read it: {answer.failed}")
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
