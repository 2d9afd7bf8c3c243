"""Scanning model files: what each is, the scanner for it, and what the other scanners say of its pickles."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from threatloop.supply_chain.model_files.archives.compressed import scan_compressed
from threatloop.supply_chain.model_files.archives.tar import scan_tar
from threatloop.supply_chain.model_files.archives.zip import scan_zip
from threatloop.supply_chain.model_files.formats.gguf import scan_gguf
from threatloop.supply_chain.model_files.formats.hdf5 import close_hdf5, scan_hdf5
from threatloop.supply_chain.model_files.formats.numpy import scan_numpy
from threatloop.supply_chain.model_files.formats.onnx import scan_onnx
from threatloop.supply_chain.model_files.formats.safetensors import scan_safetensors
from threatloop.supply_chain.model_files.formats.tensorflow import scan_graph, scan_saved_model
from threatloop.supply_chain.model_files.formats.texts import scan_code, scan_json, scan_template, scan_text
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.kinds import Kind, expected, foreign_name, kind_of
from threatloop.supply_chain.model_files.limits import Limits
from threatloop.supply_chain.model_files.notes import Notes
from threatloop.supply_chain.model_files.opinions.merge import merge
from threatloop.supply_chain.model_files.pickles.scan import scan_pickle
from threatloop.supply_chain.model_files.source import NotUnderstood, Source, Unreadable
from threatloop.supply_chain.result import Result

_SCANNERS: Mapping[Kind, Callable[[Source, Job], None]] = {
    Kind.PICKLE: scan_pickle,
    Kind.ZIP: scan_zip,
    Kind.TAR: scan_tar,
    Kind.COMPRESSED: scan_compressed,
    Kind.NUMPY: scan_numpy,
    Kind.SAFETENSORS: scan_safetensors,
    Kind.GGUF: scan_gguf,
    Kind.HDF5: scan_hdf5,
    Kind.ONNX: scan_onnx,
    Kind.SAVED_MODEL: scan_saved_model,
    Kind.GRAPH: scan_graph,
    Kind.JSON: scan_json,
    Kind.TEMPLATE: scan_template,
    Kind.CODE: scan_code,
    Kind.TEXT: scan_text,
}


def scan_model_file(path: Path | str, limits: Limits = Limits()) -> Result:  # noqa: B008
    """Scan one model file; nothing of it is loaded or run.

    Args:
        path: of a file of any format; what it is, is found by its bytes.
        limits: what the scan may cost.

    Returns:
        Findings, what was broken, what was not understood, and what was read to its end. The path, and every member
        that was looked at, is in at least one of the lists.
    """
    return scan_model_files([path], limits)


def scan_model_files(paths: Iterable[Path | str], limits: Limits = Limits()) -> Result:  # noqa: B008
    """Scan model files; the other scanners are started once for all of them."""
    notes = Notes()
    with tempfile.TemporaryDirectory(prefix="threatloop-scan-") as scratch:
        job = Job(limits, notes, lambda source: _scan(source, job), scratch)
        for path in paths:
            job.members = job.expanded = 0
            _scan_path(path, job)
        close_hdf5(job)
        merge(job)
    return notes.result()


def _scan_path(path: Path | str, job: Job) -> None:
    place = str(path)
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            job.notes.skip(place, "no regular file")
            return
        with open(path, "rb") as file:
            folder = os.path.dirname(os.path.abspath(path))
            _scan(Source(place, os.path.basename(place), file, 0, state.st_size, folder=folder), job)
    except OSError as error:
        job.notes.failed(place, f"cannot be read: {error.strerror or error}")


def _scan(source: Source, job: Job) -> None:
    """Scan one source, and whatever breaks in it stays there."""
    if source.depth > job.limits.depth:
        job.notes.skip(source.place, f"nested more than {job.limits.depth} deep")
        return
    try:
        _dispatch(source, job)
    except NotUnderstood as reason:
        job.notes.skip(source.place, str(reason))
    except Unreadable as reason:
        job.notes.failed(source.place, str(reason))
    except Exception as error:  # one hostile file must not end the scan of the others, nor pass as read
        job.notes.failed(source.place, f"could not be scanned: {type(error).__name__}: {error}")
    job.notes.settle(source.place)


def _dispatch(source: Source, job: Job) -> None:
    kind, allowed = kind_of(source, job.limits), expected(source)
    if _is_storage(source) and kind not in (Kind.PICKLE, Kind.ZIP):
        return
    if kind is Kind.EMPTY:
        if allowed and Kind.TEXT not in allowed:
            raise Unreadable("an empty file")
        return
    if kind is Kind.FOREIGN:
        raise NotUnderstood(f"{foreign_name(source)}: not scanned here")
    if kind in _SCANNERS:
        _SCANNERS[kind](source, job)
    if not allowed or kind in allowed:
        if kind is Kind.UNKNOWN:
            raise NotUnderstood("no format that is known here")
        return
    claimed = allowed[0]
    if kind is Kind.UNKNOWN:
        job.notes.failed(source.place, f"its extension says {claimed}, its bytes are nothing that is known here")
        _SCANNERS[claimed](source, job)
        return
    title = f"its extension says {claimed}, its bytes are {kind}"
    job.notes.found("renamed-extension", source.place, title, subject=source.suffix)
    if claimed is not Kind.TEXT:
        _SCANNERS[claimed](source, job)


def _is_storage(source: Source) -> bool:
    """Raw tensors of a torch archive, which may look like anything and which nothing parses: ``NAME/data/NUMBER``."""
    parts = source.place.rsplit("!/", 1)[-1].split("/")
    return source.depth > 0 and len(parts) >= 3 and parts[-2] == "data" and parts[-1].isdigit()
