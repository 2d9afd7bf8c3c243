"""NumPy's .npy files: the header, the size of the array, and the pickle of an array of objects.

Specification: NEP 1, versions 1.0 to 3.0.
"""

from __future__ import annotations

import ast
import math

import numpy as np

from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.pickles.scan import scan_pickle
from threatloop.supply_chain.model_files.source import Source, Unreadable

_HEADER = 1 << 20


def scan_numpy(source: Source, job: Job) -> None:
    """Check the header against the size of the file; follow the pickle where there is one.

    Raises:
        Unreadable: the header is broken or the array is cut off.
    """
    text, start = _header(source)
    try:
        header = ast.literal_eval(text)
        shape, dtype = header["shape"], np.lib.format.descr_to_dtype(header["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise Unreadable(f"broken header: {type(error).__name__}") from error
    if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise Unreadable("broken header: its shape is no tuple of sizes")
    if dtype.hasobject:
        scan_pickle(source.part(start, source.size - start), job)
        return
    size = math.prod(shape) * dtype.itemsize
    rest = source.size - start - size
    if rest < 0:
        raise Unreadable(f"truncated: {size} bytes of array, {source.size - start} are there")
    if rest:
        job.notes.found("hidden-content", source.place, f"{rest} bytes follow the array", subject="tail")
        job.descend(source.inside("bytes behind the array", source.file, source.start + start + size, rest))


def _header(source: Source) -> tuple[str, int]:
    major = source.exactly(6, 2)[0]
    if major not in (1, 2, 3):
        raise Unreadable(f"version {major} of the format is not known")
    width = 2 if major == 1 else 4
    length = int.from_bytes(source.exactly(8, width), "little")
    if length > _HEADER:
        raise Unreadable(f"a header of {length} bytes, {_HEADER} are allowed")
    start = 8 + width
    data = source.exactly(start, length)
    return data.decode("utf-8" if major == 3 else "latin-1"), start + length
