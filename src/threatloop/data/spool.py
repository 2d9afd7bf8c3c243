"""Arrays that are written block by block: into memory where they are small, into a memory-mapped file otherwise."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError

IN_MEMORY_BYTES = 64 << 20
"""Larger arrays go to disk."""


def spool(
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    blocks: Iterable[npt.NDArray[Any]],
    cache: Path | None,
    name: str,
) -> npt.NDArray[Any]:
    """The concatenated blocks as one array of ``shape``; a read-only memory map where it is large.

    Args:
        shape: of the whole array.
        dtype: of the whole array.
        blocks: parts along the first axis, made only when they are needed.
        cache: folder that keeps large arrays as ``NAME.npy``; a later call with this name reads that file and
            makes no block. None takes a temporary file that vanishes with the array.
        name: digest of all that the contents depend on.

    Raises:
        InputError: the folder is not writable or the disk is full; nothing half-written stays.
    """
    kind = np.dtype(dtype)
    if int(np.prod(shape)) * kind.itemsize <= IN_MEMORY_BYTES:
        return _in_memory(shape, kind, blocks)
    if cache is not None and (kept := _kept(cache / f"{name}.npy", shape, kind)) is not None:
        return kept
    folder = cache or Path(tempfile.gettempdir())
    draft = folder / f".{name}.{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(draft, shape, kind, blocks)
        if cache is None:
            return np.load(draft, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        draft.replace(folder / f"{name}.npy")
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except OSError as error:
        raise InputError(f"{folder}: cannot keep decoded images: {error.strerror or error}") from None
    finally:
        _discard(draft)


def _discard(draft: Path) -> None:
    with suppress(OSError):  # some systems cannot remove a mapped file; their temporary folder gets cleaned
        draft.unlink(missing_ok=True)


def _in_memory(shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    whole, at = np.empty(shape, dtype=dtype), 0
    for block in blocks:
        whole[at : at + len(block)] = block
        at += len(block)
    assert at == shape[0]
    return whole


def _kept(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # absent or damaged: written anew
        return None
    return kept if kept.shape == shape and kept.dtype == dtype else None


def _write(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[npt.NDArray[Any]]) -> None:
    # Plain writes, not a writable map: a full disk is then an error here and not a signal that kills the process.
    header = {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(dtype)}
    with path.open("xb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)
        file.flush()
        os.fsync(file.fileno())
