"""What the project beside a lock asks for itself: names from its pyproject.toml, where the lock does not tell them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from threatloop.supply_chain.dependencies.text import Unreadable, read_text


def asked_by_project(folder: Path) -> list[str]:
    """Names that a pyproject.toml in the folder asks for; empty where there is none that can be read.

    What is wrong with that file is reported where it is read as a manifest of its own.
    """
    try:
        document = tomllib.loads(read_text(folder / "pyproject.toml"))
    except (Unreadable, tomllib.TOMLDecodeError, RecursionError):
        return []
    project = _table(document, "project")
    found = [*_list(project.get("dependencies"))]
    for extra in _table(project, "optional-dependencies").values():
        found += _list(extra)
    for group in _table(document, "dependency-groups").values():
        found += _list(group)
    poetry = _table(document, "tool", "poetry")
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    tables += [_table(group, "dependencies") for group in _table(poetry, "group").values() if isinstance(group, dict)]
    return [*_names(found), *(name for each in tables for name in each)]


def _table(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _names(requirements: list[str]) -> list[str]:
    found = []
    for one in requirements:
        try:
            found.append(Requirement(one).name)
        except InvalidRequirement:
            continue
    return found
