"""environment.yml of conda: packages of channels, and the requirements under ``pip``.

Format: https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import re
from typing import Any, Final

from threatloop.supply_chain.dependencies.documents import yaml_mapping
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.dependencies.requirement import MAX_SPECIFIER, exact
from threatloop.supply_chain.dependencies.requirements import logical_lines, read_requirement_lines
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.result import Place

_MATCH: Final = re.compile(
    r"""(?:(?P<channel>[^\s:]+)::)?  (?P<name>[A-Za-z0-9_][\w.-]*?)
        (?: \s* \[ (?P<keys>[^\]]*) \] | \s* (?P<version>[=<>!~] .* | (?<=\s) [*\d] .*) )? \s*""",
    re.VERBOSE,
)


_NUMBERS: Final = re.compile(r"[\d.*]+")


def read_conda_environment(source: Source) -> None:
    """Add what an environment asks for."""
    document = yaml_mapping(source)
    if document is None:
        return None
    found = document.get("dependencies")
    if not isinstance(found, list):
        return source.error(1, "no conda environment: it has no list of dependencies")
    for one in found:
        if isinstance(one, str):
            _match(source, str(one), getattr(one, "line", None))
        elif isinstance(one, dict):
            _pip(source, one)
        else:
            source.error(None, f"dependencies hold {str(one)[:60]!r}, which is neither a package nor pip's list")
    source.reading.read.append(Place(source.shown))
    return None


def _pip(source: Source, part: dict[str, Any]) -> None:
    for name, found in part.items():
        if name != "pip":
            source.skip(getattr(name, "line", None), f"packages for {name[:60]!r} are not read")
        elif not isinstance(found, list):
            source.error(None, "pip is no list of requirements")
        else:
            lines = (
                (getattr(one, "line", 1), line)
                for one in found
                if isinstance(one, str)
                for _, line in logical_lines(one)
            )
            read_requirement_lines(source.session, source.path, lines)
            for other in (one for one in found if not isinstance(one, str)):
                source.error(None, f"pip holds {str(other)[:60]!r}, which is no requirement")


def _match(source: Source, text: str, line: int | None) -> None:
    if len(text) > MAX_SPECIFIER:
        return source.error(line, f"a package of {len(text):,} characters")
    parts = _MATCH.fullmatch(text.split("#")[0].strip())
    if parts is None:
        return source.error(line, f"no conda package: {text[:80]!r}")
    if (keys := parts["keys"]) is not None:
        named = re.search(r"version\s*=\s*['\"]?([^'\"\]]+)", keys)
        wish = named[1] if named else ""
    else:
        wish = parts["version"] or ""
    for choice in wish.split("|"):
        try:
            version, specifier = conda_specifier(choice)
        except ValueError:
            return source.error(line, f"no conda version: {text[:80]!r}")
        place = source.place(line)
        source.reading.dependencies.append(Dependency("conda", parts["name"], place, version, specifier))
    return None


def conda_specifier(wish: str) -> tuple[str, str]:
    """What conda writes behind a name - version, then perhaps a build - as (version, specifier) of PEP 440.

    ``=1.21`` means any 1.21; ``=1.21.5``, which conda would extend to 1.21.5.1, counts as that version.

    Raises:
        ValueError: it is none.
    """
    parts = [part for part in re.split(r"\s*,\s*", re.sub(r"([<>=!~])\s+", r"\1", wish.strip())) if part]
    return exact(",".join(filter(None, map(_part, parts))))


def _part(part: str) -> str:
    part = part.split()[0]  # What follows is a build.
    if part == "*":
        return ""
    if part.startswith("==") or part[0] in "<>!~":
        return part
    version, _, build = part.removeprefix("=").partition("=")
    if not version or version == "*":
        return ""
    whole = build or not part.startswith("=") or version.count(".") >= 2 or not _NUMBERS.fullmatch(version)
    return f"=={version}" if whole else f"=={version.removesuffix('.*').removesuffix('*')}.*"
