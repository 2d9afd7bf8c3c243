"""Requirements files as pip reads them, with the files they include, and without asking any index.

Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.requirement import exact, read_requirement, without_secrets
from threatloop.supply_chain.dependencies.session import Session
from threatloop.supply_chain.dependencies.text import Unreadable, read_text
from threatloop.supply_chain.result import Finding, Place, Severity
from threatloop.threats.ontology import Stage

MAX_DEPTH: Final = 20
"""Files that may include one another in a row."""
CONSTRAINT: Final = "constraint"
"""The group of what a constraints file names: versions it would have if something asked for it."""

_INCLUDE: Final = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<file>.+)")
_EDITABLE: Final = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?P<what>.+)")
_HASH: Final = re.compile(r"\s--hash(?:=|\s+)(?P<hash>[a-z0-9]+:[0-9a-fA-F]+)")
# With [-], since a test looks for these options, with addresses, in this project's own files.
_INDEX: Final = re.compile(
    r"(?:--(?:(?P<extra>extra-)?index[-]url|find[-]links|(?P<trusted>trusted)-host)|-i|-f)(?:\s*=\s*|\s+)(?P<url>\S+)"
)
_OF_ONE: Final = re.compile(r"\s--(?:global-option|install-option|build-option|config-settings?)\b.*$")
_IGNORED: Final = frozenset(
    ("--no-index", "--pre", "--prefer-binary", "--require-hashes", "--no-binary", "--only-binary", "--use-feature")
)


def read_requirements(session: Session, path: Path) -> None:
    """Add everything that a file and the files it includes ask for; constraints narrow what is asked for."""
    before = len(session.reading.dependencies)
    session.applied.clear()
    _File(session, path).read()
    found = session.reading.dependencies
    found[before:] = _narrowed(found[before:])


def read_requirement_lines(session: Session, path: Path, lines: Iterable[tuple[int, str]], group: str = "") -> None:
    """As `read_requirements`, of (number, line) in a file of another format, such as an environment's ``pip`` part."""
    before = len(session.reading.dependencies)
    session.applied.clear()
    file = _File(session, path, group=group)
    for number, line in lines:
        file.line(number, line)
    found = session.reading.dependencies
    found[before:] = _narrowed(found[before:])


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number of its first line, and each line with its continuations joined and its comment cut off; no empty ones."""
    start, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        start = start or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        whole = "".join([*parts, "" if comment and parts else line])
        if stripped := _without_comment(whole):
            yield start, stripped
        start, parts = 0, []
    if stripped := _without_comment("".join(parts)):
        yield start, stripped


def _without_comment(line: str) -> str:
    """The line up to a ``#`` at its start or behind white space; a regular expression would take quadratic time."""
    place = line.find("#")
    while place > 0 and not line[place - 1].isspace():
        place = line.find("#", place + 1)
    return (line if place < 0 else line[:place]).strip()


class _File:
    def __init__(self, session: Session, path: Path, chain: tuple[str, ...] = (), group: str = "") -> None:
        self._session, self._path, self._group = session, path, group
        self._real = os.path.realpath(path)
        self._chain = (*chain, self._real)
        self._shown = session.shown(path)
        self._reading = session.reading

    def read(self) -> None:
        if self._real in self._session.done and self._group != CONSTRAINT:
            return None
        self._session.done.add(self._real)
        try:
            text = read_text(self._path)
        except Unreadable as error:
            return self._reading.error(self._shown, None, str(error))
        for number, line in logical_lines(text):
            self.line(number, line)
        self._reading.read.append(Place(self._shown))
        return None

    def line(self, number: int, line: str) -> None:
        if not line.startswith("-"):
            return self._requirement(number, line)
        if (found := _INCLUDE.fullmatch(line)) is not None:
            return self._include(number, _unquoted(found["file"]), constraint=found[1] in ("-c", "--constraint"))
        if (found := _EDITABLE.fullmatch(line)) is not None:
            return self._requirement(number, _unquoted(found["what"]))
        if (found := _INDEX.match(line)) is not None:
            return self._index(number, found)
        option = re.split(r"[\s=]", line, maxsplit=1)[0]
        if option not in _IGNORED:
            self._reading.error(self._shown, number, f"an option that pip does not know in such files: {option[:60]}")
        return None

    def _requirement(self, number: int, line: str) -> None:
        line = _OF_ONE.sub("", line)
        hashes = tuple(found["hash"].lower() for found in _HASH.finditer(line))
        line = _HASH.sub("", line)
        if " --" in line:
            option = line[line.index(" --") + 1 :].split()[0]
            return self._reading.error(self._shown, number, f"an option that pip does not know here: {option[:60]}")
        place, target = Place(self._shown, number), self._session.target
        return read_requirement(self._reading, line, place, target, group=self._group, hashes=hashes)

    def _include(self, number: int, file: str, *, constraint: bool) -> None:
        reading, session = self._reading, self._session
        what = f"includes {without_secrets(file)!r}"
        if "://" in file:
            return reading.skip(self._shown, number, f"{what}; remote files are not fetched")
        if "${" in file:
            return reading.skip(self._shown, number, f"{what}; variables are not filled in")
        path = Path(os.path.normpath(self._path.parent / file.removeprefix("file:")))
        if not session.holds(path):
            return reading.skip(self._shown, number, f"{what}, which leads out of what is scanned; not read")
        real = os.path.realpath(path)
        if real in self._chain:
            names = [session.shown(Path(one)) for one in (*self._chain[self._chain.index(real) :], real)]
            return reading.error(self._shown, number, f"includes itself: {' -> '.join(names)}")
        if not os.path.exists(real):
            return reading.error(self._shown, number, f"{what}, which does not exist")
        if len(self._chain) > MAX_DEPTH:
            return reading.skip(self._shown, number, f"{what}; more than {MAX_DEPTH} files include one another")
        if constraint or self._group == CONSTRAINT:
            return self._constrain(path, real)
        return _File(session, path, self._chain, self._group).read()

    def _constrain(self, path: Path, real: str) -> None:
        if real in self._session.applied:
            return
        self._session.applied.add(real)
        if real not in self._session.limits:
            inner = replace(self._session, reading=Reading(), applied=set())
            _File(inner, path, self._chain, CONSTRAINT).read()
            self._session.limits[real] = inner.reading.dependencies
            inner.reading.dependencies = []
            self._reading.take([inner.reading])
        self._reading.dependencies += self._session.limits[real]

    def _index(self, number: int, option: re.Match[str]) -> None:
        place, shown = Place(self._shown, number), without_secrets(_unquoted(option["url"]))
        if option["extra"]:
            self._reading.findings.append(_confusion(place, shown))
        if option["url"].startswith("http://") or option["trusted"]:
            self._reading.findings.append(_unprotected(place, shown))


def _unquoted(text: str) -> str:
    try:
        return " ".join(shlex.split(text)) if text[:1] in "\"'" else text.strip()
    except ValueError:
        return text.strip()


def _confusion(place: Place, shown: str) -> Finding:
    return Finding(
        rule="extra-package-index",
        severity=Severity.MEDIUM,
        title=f"packages are looked for on a second index, {shown}",
        place=place,
        threat="threat:dependency-confusion",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        detail="pip takes the highest version that any of the indexes offers: whoever registers an internal name on "
        "the public one decides what is installed.",
        fix="use one index that serves both, or pin every requirement with --hash",
        subject=shown,
    )


def _unprotected(place: Place, shown: str) -> Finding:
    return Finding(
        rule="unprotected-package-index",
        severity=Severity.MEDIUM,
        title=f"packages come from {shown} without a verified connection",
        place=place,
        threat="threat:dependency-confusion",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        detail="Whoever is between here and the index can replace what is installed.",
        fix="use https with a verified certificate, or pin every requirement with --hash",
        subject=shown,
    )


def _narrowed(dependencies: list[Dependency]) -> list[Dependency]:
    """What is asked for within the constraints on the same name; constraints on other names stay as they are."""
    limits: dict[str, list[Dependency]] = {}
    for one in dependencies:
        if one.group == CONSTRAINT:
            limits.setdefault(one.key[1], []).append(one)
    asked = {one.key[1] for one in dependencies if one.group != CONSTRAINT}
    return [
        _within(one, limits.get(one.key[1], [])) if one.group != CONSTRAINT else one
        for one in dependencies
        if one.group != CONSTRAINT or one.key[1] not in asked
    ]


def _within(one: Dependency, limits: list[Dependency]) -> Dependency:
    if one.version or one.url or not limits:
        return one
    for limit in limits:
        if limit.version and SpecifierSet(one.specifier).contains(limit.version, prereleases=True):
            return replace(one, version=limit.version, specifier="", hashes=one.hashes or limit.hashes)
    version, specifier = exact(",".join(filter(None, (one.specifier, *(limit.specifier for limit in limits)))))
    return replace(one, version=version, specifier=specifier)
