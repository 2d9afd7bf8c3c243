"""From image paths to classes and partitions: ``CLASS/NAME.jpg`` or ``train/CLASS/NAME.jpg``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError

PARTITION_FOLDERS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}


@dataclass(frozen=True)
class Layout:
    """Class and partition of every path.

    Attributes:
        classes: class names; numbers in numeric order, else sorted.
        y: int64 (n,).
        partition: int8 (n,), or None where the paths tell none.
    """

    classes: tuple[str, ...]
    y: npt.NDArray[np.int64]
    partition: npt.NDArray[np.int8] | None


def layout_of(names: Sequence[str], where: str) -> Layout:
    """Read classes and partitions off the paths; one common top folder is skipped.

    Raises:
        InputError: no paths, or images outside any class folder.
    """
    if not names:
        raise InputError(f"{where}: no images found; expected CLASS/NAME.jpg or train/CLASS/NAME.jpg")
    paths = _without_common_top([name.split("/") for name in names])
    split = all(len(path) > 2 and path[0].lower() in PARTITION_FOLDERS for path in paths)
    loose = [name for name, path in zip(names, paths, strict=True) if len(path) < 2 + split]
    if loose:
        raise InputError(
            f"{where}: {len(loose)} images are in no class folder (first: {loose[0]}); "
            "expected CLASS/NAME.jpg or train/CLASS/NAME.jpg"
        )
    labels = [path[split] for path in paths]
    classes = sorted(set(labels), key=lambda c: (0, int(c), c) if c.isdecimal() else (1, 0, c))
    index = {name: i for i, name in enumerate(classes)}
    y = np.array([index[label] for label in labels], dtype=np.int64)
    parts = [PARTITION_FOLDERS[path[0].lower()] for path in paths] if split else None
    return Layout(tuple(classes), y, None if parts is None else np.array(parts, dtype=np.int8))


def _without_common_top(paths: list[list[str]]) -> list[list[str]]:
    while all(len(p) > 2 for p in paths) and len({p[0] for p in paths}) == 1:
        if paths[0][0].lower() in PARTITION_FOLDERS:
            break
        paths = [path[1:] for path in paths]
    return paths
