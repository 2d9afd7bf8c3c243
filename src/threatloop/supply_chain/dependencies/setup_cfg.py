"""setup.cfg: the requirements that setuptools reads from it.

Format: https://setuptools.pypa.io/en/latest/userguide/declarative_config.html
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from typing import Final

from threatloop.supply_chain.dependencies.requirement import MAX_LENGTH, read_requirement
from threatloop.supply_chain.dependencies.requirements import logical_lines, read_requirements
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.dependencies.text import Lines
from threatloop.supply_chain.result import Place

_GROUPS: Final = {"install_requires": "", "setup_requires": "build-system", "tests_require": "tests"}


def read_setup_cfg(source: Source) -> None:
    """Add what the sections ``options`` and ``options.extras_require`` ask for."""
    if (
        line := next((n for n, one in enumerate(source.text.split("\n"), 1) if len(one) > MAX_LENGTH), None)
    ) is not None:
        return source.error(line, f"a line of more than {MAX_LENGTH:,} characters; the file was not read")
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(source.text)
    except configparser.MissingSectionHeaderError as error:
        return source.error(error.lineno, "a line before the first section")
    except configparser.ParsingError as error:
        return source.error(error.errors[0][0], "no configuration file in the sense of setuptools")
    except configparser.Error as error:
        return source.error(None, f"no configuration file ({' '.join(str(error).split())[:120]})")
    lines = Lines(source.text)
    for group, value in _values(parser):
        if value.strip().startswith("file:"):
            _files(source, value.strip().removeprefix("file:"))
            continue
        for _, one in logical_lines(value.replace(";\n", "\n")):
            line = lines.find(one)
            read_requirement(source.reading, one, source.place(line), source.target, group=group, extra=group)
    source.reading.read.append(Place(source.shown))
    return None


def _values(parser: configparser.RawConfigParser) -> Iterator[tuple[str, str]]:
    for key, group in _GROUPS.items():
        if parser.has_option("options", key):
            yield group, parser.get("options", key)
    if parser.has_section("options.extras_require"):
        yield from parser.items("options.extras_require")


def _files(source: Source, value: str) -> None:
    for file in filter(None, (one.strip() for one in value.replace("\n", ",").split(","))):
        path = source.path.parent / file
        if not source.session.holds(path):
            source.skip(None, f"requirements come from {file[:80]!r}, which leads out of what is scanned; not read")
        else:
            read_requirements(source.session, path)
