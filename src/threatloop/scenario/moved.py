"""A spec as it reads from another folder: the paths in it start from where it is saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

_FILES: Final = ("weights", "members")
_DATA: Final = ("npz", "images", "csv", "parquet", "chat", "behaviours", "beside")
_PARAMETERS: Final = ("base",)
_NAMES: Final = ("standin", "brief", "preferences", "smollm2")
"""What ships with a package, and so lies in no folder of the user's."""


def moved(spec: Mapping[str, Any], old: Path, new: Path) -> dict[str, Any]:
    """The same spec for another folder.

    Args:
        spec: as plain values.
        old: the folder that its relative paths start from.
        new: the folder that they are to start from. Paths that start from a root or a home stay.
    """
    found: dict[str, Any] = deepcopy(dict(spec))
    for target in found.get("targets", {}).values():
        parameters = (target.get("model") or {}).get("parameters")
        for holder, keys in ((target, _FILES), (target.get("data"), _DATA), (parameters, _PARAMETERS)):
            if isinstance(holder, dict):
                holder.update({key: _path(holder[key], old, new) for key in keys if holder.get(key)})
    return found


def _path(written: str, old: Path, new: Path) -> str:
    if written in _NAMES or written.startswith(("~", "package:")) or Path(written).is_absolute():
        return written
    there = (old / written).absolute()
    try:
        return Path(os.path.relpath(there, new.absolute())).as_posix()
    except ValueError:  # another drive
        return there.as_posix()
