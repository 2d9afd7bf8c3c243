"""poetry.lock, of Poetry 1.0 to 2.x: versions, files' hashes and the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from threatloop.supply_chain.dependencies.documents import rows, table, text, toml
from threatloop.supply_chain.dependencies.lock_rows import Row, add_rows, file_hashes
from threatloop.supply_chain.dependencies.requirement import normal
from threatloop.supply_chain.dependencies.roots import asked_by_project
from threatloop.supply_chain.dependencies.session import Source


def read_poetry_lock(source: Source) -> None:
    """Add every locked package."""
    document = toml(source)
    if document is None:
        return
    old_files = table(source, document, "metadata", "files")
    found = [_row(source, place, row, old_files) for place, row in rows(source, document, "package")]
    add_rows(source, found, "[[package]]", asked_by_project(Path(source.path.parent)))


def _row(source: Source, place: int, row: dict[str, Any], old_files: dict[str, Any]) -> Row:
    groups = row.get("groups")
    group = ",".join(map(str, groups)) if isinstance(groups, list) else text(row, "category")
    marker = row.get("markers")
    if isinstance(marker, dict):  # One for each group: needed where any of them holds.
        marker = " or ".join(f"({one})" for one in marker.values() if isinstance(one, str))
    origin = table(source, row, "source")
    elsewhere = text(origin, "type") in ("git", "url", "file", "directory")
    return Row(
        place,
        text(row, "name"),
        text(row, "version"),
        needs=[normal(name) for name in table(source, row, "dependencies")],
        marker=marker if isinstance(marker, str) else "",
        group="" if group == "main" else group,
        hashes=file_hashes(row.get("files") or old_files.get(text(row, "name")), "hash"),
        url=text(origin, "url") if elsewhere else "",
    )
