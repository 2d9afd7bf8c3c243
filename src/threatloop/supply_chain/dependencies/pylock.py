"""pylock.toml and pylock.NAME.toml: the standard lock format.

Format: PEP 751, https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

from typing import Any

from threatloop.supply_chain.dependencies.documents import rows, table, text, toml
from threatloop.supply_chain.dependencies.lock_rows import Row, add_rows, uploaded
from threatloop.supply_chain.dependencies.requirement import normal
from threatloop.supply_chain.dependencies.session import Source


def read_pylock(source: Source) -> None:
    """Add every locked package."""
    document = toml(source)
    if document is None:
        return
    version = str(document.get("lock-version"))
    if version.split(".")[0] != "1":
        source.skip(1, f"lock-version {version[:20]} is not known; read as 1.0")
    add_rows(source, [_row(source, place, row) for place, row in rows(source, document, "packages")], "[[packages]]")


def _row(source: Source, place: int, row: dict[str, Any]) -> Row:
    files = [one for key in ("sdist", "archive") if isinstance(one := row.get(key), dict)]
    files += [one for one in row.get("wheels") or [] if isinstance(one, dict)]
    hashes = (
        f"{kind}:{value}" for one in files for kind, value in table(source, one, "hashes").items()
    )  # Any algorithm that hashlib has.
    origins = (("vcs", "url"), ("directory", "path"), ("archive", "url"), ("vcs", "path"), ("archive", "path"))
    elsewhere = next((found for key, part in origins if (found := text(table(source, row, key), part))), "")
    needs = [one for one in row.get("dependencies") or [] if isinstance(one, dict)]
    return Row(
        place,
        text(row, "name"),
        text(row, "version"),
        needs=[normal(text(one, "name")) for one in needs if text(one, "name")],
        marker=text(row, "marker"),
        hashes=tuple(hashes),
        url=elsewhere,
        released=uploaded(files),
    )
