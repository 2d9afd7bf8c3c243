"""uv.lock: versions, hashes, times of upload and the graph, from the project's own rows on.

Format: https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile (version 1).
"""

from __future__ import annotations

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
    add_rows(source, [_row(source, place, row) for place, row in rows(source, document, "package")], "[[package]]")


def _row(source: Source, place: int, row: dict[str, Any]) -> Row:
    origin = table(source, row, "source")
    files = _list(row.get("wheels"))
    if isinstance(row.get("sdist"), dict):
        files = [row["sdist"], *files]
    elsewhere = next((text(origin, key) for key in ("git", "url", "path", "directory") if key in origin), "")
    return Row(
        place,
        text(row, "name"),
        text(row, "version"),
        needs=list(_needs(source, row)),
        hashes=file_hashes(files, "hash"),
        url=elsewhere,
        released=uploaded(files),
        own="virtual" in origin or "editable" in origin,
    )


def _needs(source: Source, row: dict[str, Any]) -> dict[str, None]:
    found = _list(row.get("dependencies"))
    for key in ("optional-dependencies", "dev-dependencies"):
        for more in table(source, row, key).values():
            found = [*found, *_list(more)]
    return dict.fromkeys(normal(text(one, "name")) for one in found if isinstance(one, dict) and text(one, "name"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
