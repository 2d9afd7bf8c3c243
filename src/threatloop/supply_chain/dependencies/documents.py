"""TOML, JSON and YAML manifests as plain values; what is no such document becomes an error with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from threatloop.supply_chain.dependencies.session import Source
from threatloop.threats.plain_yaml import PlainYamlError, load_with_lines

MAX_SQUARED_DOTS: Final = 30_000_000
"""Over the lines of a TOML file; a lock of 10 MiB has some 5 million."""
_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")


def toml(source: Source) -> dict[str, Any] | None:
    """The table of a TOML file; nothing, and an error, where it is none."""
    # tomllib takes memory by the square of the parts of a dotted key, which stands on one line.
    if sum(line.count(".") ** 2 for line in source.text.split("\n")) > MAX_SQUARED_DOTS:
        source.error(None, "too many dots on a line to be read as TOML")
        return None
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        source.error(int(found[1]) if found else None, f"not TOML: {_LINE.sub('', str(error)).strip()[:160]}")
    except RecursionError:
        source.error(None, "not TOML that can be read: nested too deeply")
    return None


def json_object(source: Source) -> dict[str, Any] | None:
    """The object of a JSON file; nothing, and an error, where it is none."""
    try:
        found = json.loads(source.text)
    except json.JSONDecodeError as error:
        source.error(error.lineno, f"not JSON: {error.msg}")
    except (RecursionError, ValueError):
        source.error(None, "not JSON that can be read: nested too deeply, or a number too long")
    else:
        if isinstance(found, dict):
            return found
        source.error(1, "the file holds no JSON object")
    return None


def yaml_mapping(source: Source) -> dict[str, Any] | None:
    """The mapping of a YAML file, its scalars with their lines; nothing, and an error, where it is none."""
    try:
        found = load_with_lines(source.text)
    except PlainYamlError as error:
        source.error(error.line, error.reason)
        return None
    if isinstance(found, dict):
        return found
    source.error(1, "the file holds no mapping")
    return None


def table(source: Source, value: Any, *names: str) -> dict[str, Any]:
    """The table below these names, empty where there is none; an error where something else stands there."""
    for place, name in enumerate(names):
        value = value.get(name, {})
        if not isinstance(value, dict):
            source.error(None, f"{'.'.join(names[: place + 1])} is no table")
            return {}
    return dict(value)


def rows(source: Source, value: dict[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each table of a list with its place in it; an error for each entry that is none."""
    found = value.get(name, [])
    if not isinstance(found, list):
        source.error(None, f"{name} is no list of tables")
        return
    for place, row in enumerate(found):
        if isinstance(row, dict):
            yield place, row
        else:
            source.error(None, f"{name}: entry {place + 1} is no table")


def texts(source: Source, value: Any, what: str) -> list[str]:
    """The texts of a list; an error where it is none, or holds something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        source.error(None, f"{what} is no list of texts")
        return []
    for other in (one for one in value if not isinstance(one, str)):
        source.error(None, f"{what} holds {str(other)[:60]!r}, which is no text")
    return [one for one in value if isinstance(one, str)]


def text(row: dict[str, Any], name: str) -> str:
    """A text of a table, empty where there is none."""
    value = row.get(name)
    return value if isinstance(value, str) else ""
