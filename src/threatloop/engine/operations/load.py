"""Read a target's data into the store, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError
from threatloop.data.sources import parse_source
from threatloop.engine.products import Loaded, Product
from threatloop.engine.task import Task


def load(task: Task, _inputs: Mapping[str, Product]) -> Product:
    """The records of the target's source, with its partition or the members that the user named.

    Raises:
        InputError, Problems: what is wrong with the data.
    """
    base = Path(task.local["base"])
    source = parse_source(task.local["source"])
    found = source.read(base)
    divided = source.divided and found.partition is not None
    data, partition = found.dataset, _partition(found.partition, len(found.dataset))
    if task.local.get("members"):
        partition = _named_members(base / task.local["members"], partition, divided)
    facts = {"source": found.source, "public": found.public, "notes": list(found.notes), "divided": divided}
    return Product(Loaded(data, partition), facts)


def _partition(found: npt.NDArray[np.int8] | None, n: int) -> npt.NDArray[np.int8]:
    return np.full(n, -1, np.int8) if found is None else np.asarray(found, np.int8)


def _named_members(path: Path, found: npt.NDArray[np.int8], divided: bool) -> npt.NDArray[np.int8]:
    """0 for the listed record numbers and 2 for the others; where data say whom these may reach, as they say, or 1."""
    n = len(found)
    try:
        text = path.suffix != ".npy"
        rows = np.loadtxt(path, dtype=np.int64, ndmin=1) if text else np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: record numbers cannot be read ({error}); give one number a line, or a .npy"
        ) from None
    rows = np.asarray(rows).reshape(-1)
    if not np.issubdtype(rows.dtype, np.integer) or not len(rows) or rows.min() < 0 or rows.max() >= n:
        raise InputError(f"{path}: members must be record numbers between 0 and {n - 1}")
    partition = np.where(found == 0, 1, found).astype(np.int8) if divided else np.full(n, 2, np.int8)
    partition[rows] = 0
    return partition
