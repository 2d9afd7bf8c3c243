"""pyproject.toml: the project table, dependency groups, the build system, and the tables of Poetry, PDM, uv and Hatch.

Formats: PEP 621, PEP 735, PEP 518; https://python-poetry.org/docs/pyproject/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from threatloop.supply_chain.dependencies.documents import table, texts, toml
from threatloop.supply_chain.dependencies.poetry_tables import read_poetry_tables
from threatloop.supply_chain.dependencies.requirement import read_requirement
from threatloop.supply_chain.dependencies.requirements import read_requirements
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.dependencies.text import Lines
from threatloop.supply_chain.result import Place


def read_pyproject(source: Source) -> None:
    """Add what any table of a pyproject.toml asks for."""
    document = toml(source)
    if document is None:
        return
    lines = Lines(source.text)
    for group, requirement, extra in _listed(source, document):
        line = lines.find(f'"{requirement}"', f"'{requirement}'", requirement[:30])
        place = source.place(line)
        read_requirement(source.reading, requirement, place, source.target, group=group, extra=extra)
    read_poetry_tables(source, document, lines)
    _dynamic(source, document)
    source.reading.read.append(Place(source.shown))


def _listed(source: Source, document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Group, requirement and extra of every list of requirements."""
    project = table(source, document, "project")
    for one in texts(source, project.get("dependencies"), "project.dependencies"):
        yield "", one, ""
    for extra, found in table(source, project, "optional-dependencies").items():
        for one in texts(source, found, f"project.optional-dependencies.{extra}"):
            yield extra, one, extra
    for one in texts(source, table(source, document, "build-system").get("requires"), "build-system.requires"):
        yield "build-system", one, ""
    yield from _groups(source, table(source, document, "dependency-groups"))
    tool = table(source, document, "tool")
    for one in texts(source, table(source, tool, "uv").get("dev-dependencies"), "tool.uv.dev-dependencies"):
        yield "dev", one, ""
    for group, found in table(source, tool, "pdm", "dev-dependencies").items():
        for one in texts(source, found, f"tool.pdm.dev-dependencies.{group}"):
            yield group, one, ""
    for name, found in table(source, tool, "hatch", "envs").items():
        for key in ("dependencies", "extra-dependencies") if isinstance(found, dict) else ():
            for one in texts(source, found.get(key), f"tool.hatch.envs.{name}.{key}"):
                yield name, one, ""


def _groups(source: Source, groups: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for group, found in groups.items():
        if not isinstance(found, list):
            source.error(None, f"dependency-groups.{group} is no list")
            continue
        for one in found:
            if isinstance(one, str):
                yield group, one, ""
            elif not (isinstance(one, dict) and one.get("include-group") in groups):
                source.error(None, f"dependency-groups.{group} holds {str(one)[:60]!r}: no requirement, no known group")


def _dynamic(source: Source, document: dict[str, Any]) -> None:
    """What a build backend fills in: files that setuptools reads are read, the rest is skipped."""
    fields = texts(source, table(source, document, "project").get("dynamic"), "project.dynamic")
    filled = table(source, document, "tool", "setuptools", "dynamic")
    for field in ("dependencies", "optional-dependencies"):
        if field not in fields:
            continue
        entry = filled.get(field)
        entries = [entry] if field == "dependencies" else list(entry.values()) if isinstance(entry, dict) else []
        files = [one for found in entries if isinstance(found, dict) for one in _files(found.get("file"))]
        if not files:
            source.skip(None, f"project.{field} is filled in when the project is built, which is never done here")
        for file in files:
            path = source.path.parent / file
            if not source.session.holds(path):
                source.skip(None, f"{field} come from {file[:80]!r}, which leads out of what is scanned; not read")
            else:
                read_requirements(source.session, path)


def _files(value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, str)]
