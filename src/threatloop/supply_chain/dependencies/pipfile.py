"""Pipfile and Pipfile.lock of Pipenv.

Formats: https://pipenv.pypa.io/en/latest/pipfile.html
"""

from __future__ import annotations

from typing import Any, Final

from threatloop.supply_chain.dependencies.documents import json_object, table, text, texts, toml
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.dependencies.requirement import exact, wanted, without_secrets
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.dependencies.text import Lines
from threatloop.supply_chain.result import Place

_NO_PACKAGES: Final = frozenset({"source", "requires", "scripts", "pipenv", "pipfile"})
_MAIN: Final = frozenset({"packages", "default"})


def read_pipfile(source: Source) -> None:
    """Add what every category of a Pipfile asks for."""
    document = toml(source)
    if document is not None:
        _categories(source, document, _NO_PACKAGES, "{}")


def read_pipfile_lock(source: Source) -> None:
    """Add every package of every category of a Pipfile.lock; it has no graph."""
    document = json_object(source)
    if document is not None:
        _categories(source, document, frozenset({"_meta"}), '"{}"')


def _categories(source: Source, document: dict[str, Any], others: frozenset[str], form: str) -> None:
    lines = Lines(source.text)
    for category in (name for name in document if name not in others):
        group = "" if category in _MAIN else {"dev-packages": "dev", "develop": "dev"}.get(category, category)
        for name, entry in table(source, document, category).items():
            quoted = form.format(name)
            line = lines.find(f"\n{quoted} =", f"\n{quoted}=", quoted)
            _read(source, name, entry, group, line)
    source.reading.read.append(Place(source.shown))


def _read(source: Source, name: str, entry: Any, group: str, line: int | None) -> None:
    entry = {"version": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, dict):
        return source.error(line, f"{name}: neither a version nor a table")
    marker = text(entry, "markers")
    if not wanted(source.reading, name, marker, source.place(line), source.target):
        return None
    address = next((text(entry, key) for key in ("git", "file", "path") if key in entry), "")
    wish = text(entry, "version")
    try:
        version, specifier = exact("" if wish.strip() == "*" else wish)
    except ValueError as error:
        return source.error(line, f"{name}: {error}")
    if address and not version:
        source.skip(
            line, f"{name} from {without_secrets(address)}: its version is not known, so no advisory was compared"
        )
    hashes = tuple(texts(source, entry.get("hashes"), f"hashes of {name[:60]}"))
    where = without_secrets(address) if address else ""
    found = Dependency("PyPI", name, source.place(line), version, specifier, marker, group, hashes, url=where)
    source.reading.dependencies.append(found)
    return None
