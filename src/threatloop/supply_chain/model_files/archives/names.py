"""Names of archive members that would land outside the folder they are unpacked to."""

from __future__ import annotations

import re

_DRIVE = re.compile(r"^[A-Za-z]:")


def escapes(name: str) -> str:
    """Why a member's name is unsafe; empty where it is not."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain):
        return "an absolute path"
    if ".." in plain.split("/"):
        return "a path that leaves the folder"
    if "\0" in name:
        return "a zero byte in the path"
    return ""
