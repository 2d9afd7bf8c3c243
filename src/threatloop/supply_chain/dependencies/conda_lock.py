"""conda-lock.yml: packages of conda and pip for each platform, with hashes and the graph.

Format: https://conda.github.io/conda-lock/output/ (version 1).
"""

from __future__ import annotations

from typing import Any

from threatloop.supply_chain.dependencies.documents import rows, table, text, yaml_mapping
from threatloop.supply_chain.dependencies.lock_rows import Row, add_rows
from threatloop.supply_chain.dependencies.requirement import normal
from threatloop.supply_chain.dependencies.session import Source


def read_conda_lock(source: Source) -> None:
    """Add every locked package once, whatever the number of platforms that have it."""
    document = yaml_mapping(source)
    if document is None:
        return
    seen: set[tuple[str, str, str]] = set()
    found = []
    for place, row in rows(source, document, "package"):
        key = (text(row, "manager"), text(row, "name"), text(row, "version"))
        if key not in seen:
            seen.add(key)
            found.append(_row(source, place, row))
    add_rows(source, found, "")


def _row(source: Source, place: int, row: dict[str, Any]) -> Row:
    name = row.get("name")
    group = text(row, "category")
    return Row(
        place,
        text(row, "name"),
        text(row, "version"),
        needs=[normal(one) for one in table(source, row, "dependencies") if not one.startswith("__")],
        group="" if group == "main" else group,
        hashes=tuple(f"{kind}:{value}" for kind, value in table(source, row, "hash").items()),
        ecosystem="PyPI" if text(row, "manager") == "pip" else "conda",
        line=getattr(name, "line", None),
    )
