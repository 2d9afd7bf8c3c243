"""uv.lock: versions, hashes, times of upload and the graph, from the project's own rows on.

Format: https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile (version 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from threatloop.supply_chain.dependencies.documents import rows, table, text, toml
from threatloop.supply_chain.dependencies.lock_rows import Row, add_rows, file_hashes, uploaded
from threatloop.supply_chain.dependencies.requirement import normal
from threatloop.supply_chain.dependencies.session import Source


def read_uv_lock(source: Source) -> None:
    """Add every locked package but the project itself and the members of its workspace."""
    document = toml(source)
    if document is None:
        return
    if document.get("version") != 1:
        source.skip(1, f"uv.lock of version {str(document.get('version'))[:20]}; read as version 1")
    found = list(rows(source, document, "package"))
    markers: dict[str, list[str]] = {}
    for _, row in found:
        for name, marker in _needs(source, row):
            markers.setdefault(name, []).append(marker)
    add_rows(source, [_row(source, place, row, markers) for place, row in found], "[[package]]")


def _row(source: Source, place: int, row: dict[str, Any], markers: dict[str, list[str]]) -> Row:
    origin = table(source, row, "source")
    files = _list(row.get("wheels"))
    if isinstance(row.get("sdist"), dict):
        files = [row["sdist"], *files]
    elsewhere = next((text(origin, key) for key in ("git", "url", "path", "directory") if key in origin), "")
    return Row(
        place,
        text(row, "name"),
        text(row, "version"),
        needs=list(dict.fromkeys(name for name, _ in _needs(source, row))),
        marker=_any(markers.get(normal(text(row, "name")), [])),
        hashes=file_hashes(files, "hash"),
        url=elsewhere,
        released=uploaded(files),
        own="virtual" in origin or "editable" in origin,
    )


def _any(markers: list[str]) -> str:
    """What holds where a package is needed by anything; empty where something needs it everywhere."""
    return " or ".join(f"({one})" for one in dict.fromkeys(markers)) if all(markers) else ""


def _needs(source: Source, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Normal name and marker of everything that a package depends on."""
    found = list(_list(row.get("dependencies")))
    for key in ("optional-dependencies", "dev-dependencies"):
        for more in table(source, row, key).values():
            found += _list(more)
    for one in found:
        if isinstance(one, dict) and text(one, "name"):
            yield normal(text(one, "name")), text(one, "marker")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
