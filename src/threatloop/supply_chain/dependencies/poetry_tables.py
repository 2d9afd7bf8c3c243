"""Poetry's own tables in pyproject.toml, with its version constraints made PEP 440's.

Format: https://python-poetry.org/docs/dependency-specification/
"""

from __future__ import annotations

import re
from typing import Any, Final

from threatloop.supply_chain.dependencies.documents import table, text
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.dependencies.requirement import MAX_SPECIFIER, exact, wanted, without_secrets
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.dependencies.text import Lines

_BARE: Final = re.compile(r"v?\d[\w.+!*-]*")


def read_poetry_tables(source: Source, document: dict[str, Any], lines: Lines) -> None:
    """Add what ``tool.poetry`` asks for."""
    poetry = table(source, document, "tool", "poetry")
    groups = {"": table(source, poetry, "dependencies"), "dev": table(source, poetry, "dev-dependencies")}
    for name, group in table(source, poetry, "group").items():
        if isinstance(group, dict):
            groups[name] = {**groups.get(name, {}), **table(source, group, "dependencies")}
    for group_name, found in groups.items():
        for name, wish in found.items():
            if name.lower() != "python":
                _read(source, name, wish, group_name, lines)


def _read(source: Source, name: str, wish: Any, group: str, lines: Lines) -> None:
    line = lines.find(f"\n{name} =", f"\n{name}=", f".{name}]", name)
    for one in wish if isinstance(wish, list) else [wish]:
        entry = {"version": one} if isinstance(one, str) else one
        if not isinstance(entry, dict):
            source.error(line, f"{name}: no version constraint, and no table")
            continue
        marker = text(entry, "markers")
        if not wanted(source.reading, name, marker, source.place(line), source.target):
            continue
        address = next((text(entry, key) for key in ("git", "url", "path") if key in entry), "")
        if address:
            shown = without_secrets(address)
            source.reading.dependencies.append(
                Dependency("PyPI", name, source.place(line), "", "", marker, group, url=shown)
            )
            source.skip(line, f"{name} from {shown}: its version is not known, so no advisory was compared")
            continue
        _constraint(source, name, text(entry, "version") or "*", marker, group, line)


def _constraint(source: Source, name: str, version: str, marker: str, group: str, line: int | None) -> None:
    try:
        choices = pep440(version)
    except ValueError as error:
        return source.error(line, f"{name}: {error}")
    for pin, specifier in choices:
        place = source.place(line)
        source.reading.dependencies.append(Dependency("PyPI", name, place, pin, specifier, marker, group))
    return None


def pep440(constraint: str) -> list[tuple[str, str]]:
    """A constraint in Poetry's syntax as (version, specifier), one for each alternative that ``||`` separates.

    Raises:
        ValueError: it is none.
    """
    if len(constraint) > MAX_SPECIFIER:
        raise ValueError(f"a version constraint of {len(constraint):,} characters")
    return [_one(choice.strip()) for choice in re.split(r"\|\|?", constraint)]


def _one(choice: str) -> tuple[str, str]:
    parts = [part for part in re.split(r"\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^])", choice) if part]
    return exact(",".join(filter(None, map(_part, parts))))


def _part(part: str) -> str:
    part = re.sub(r"\s+", "", part)
    if part in ("*", ""):
        return ""
    if part.startswith("^"):
        return _up_to(part[1:], caret=True)
    if part.startswith("~") and not part.startswith("~="):
        return _up_to(part[1:], caret=False)
    if part.startswith("=") and not part.startswith("=="):
        return f"={part}"
    if _BARE.fullmatch(part):
        return f"=={part.removeprefix('v')}"
    return part


def _up_to(version: str, *, caret: bool) -> str:
    """``^``: up to the next change of the first number that is not zero. ``~``: of the minor, else the major number."""
    found = re.match(r"\d+(\.\d+)*", version)
    if found is None:
        raise ValueError(f"no version constraint: {version[:60]!r}")
    numbers = [int(one) for one in found.group().split(".")]
    if caret:
        fixed = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        fixed = min(1, len(numbers) - 1)
    top = [*numbers[:fixed], numbers[fixed] + 1]
    return f">={version},<{'.'.join(map(str, top))}"
