"""pdm.lock: versions, hashes and the graph.

Format: https://pdm-project.org/latest/usage/lockfile/ (lock versions 4.x).
"""

from __future__ import annotations

from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from threatloop.supply_chain.dependencies.documents import rows, text, texts, toml
from threatloop.supply_chain.dependencies.lock_rows import Row, add_rows, file_hashes
from threatloop.supply_chain.dependencies.requirement import normal
from threatloop.supply_chain.dependencies.roots import asked_by_project
from threatloop.supply_chain.dependencies.session import Source


def read_pdm_lock(source: Source) -> None:
    """Add every locked package."""
    document = toml(source)
    if document is None:
        return
    found = [_row(source, place, row) for place, row in rows(source, document, "package")]
    add_rows(source, found, "[[package]]", asked_by_project(source.path.parent))


def _row(source: Source, place: int, row: dict[str, Any]) -> Row:
    groups = [one for one in texts(source, row.get("groups"), "groups") if one != "default"]
    in_main = "default" in (row.get("groups") or ["default"])
    return Row(
        place,
        text(row, "name"),
        text(row, "version"),
        needs=list(_needs(source, row)),
        marker=text(row, "marker"),
        group="" if in_main else ",".join(groups),
        hashes=file_hashes(row.get("files"), "hash"),
        url=next((text(row, key) for key in ("git", "url", "path") if key in row), ""),
    )


def _needs(source: Source, row: dict[str, Any]) -> dict[str, None]:
    found: dict[str, None] = {}
    for one in texts(source, row.get("dependencies"), f"dependencies of {text(row, 'name')[:60]}"):
        try:
            found[normal(Requirement(one).name)] = None
        except InvalidRequirement:
            source.error(None, f"{text(row, 'name')[:60]} depends on {one[:60]!r}, which is no requirement")
    return found
