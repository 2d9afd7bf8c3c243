"""What reading the manifests of one tree shares, and one manifest with its text."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.target import Target
from threatloop.supply_chain.result import Place


@dataclass
class Session:
    """What reading several files of one tree shares.

    Attributes:
        root: no file outside it is read.
        target: for markers.
        reading: gets everything.
        given: the root as the user gave it, for what is shown.
        done: real paths of the requirements files that were read.
        limits: what constraints files say, by real path.
        applied: those that count for the file that is being read, and what it includes.
    """

    root: Path
    target: Target
    reading: Reading
    given: str = ""
    done: set[str] = field(default_factory=set)
    limits: dict[str, list[Dependency]] = field(default_factory=dict)
    applied: set[str] = field(default_factory=set)

    def shown(self, path: Path) -> str:
        """A path below the root as the user would write it."""
        return os.path.normpath(os.path.join(self.given, os.path.relpath(path, self.root)))

    def holds(self, path: Path) -> bool:
        """Whether a path, links followed, lies in the root."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))


@dataclass(frozen=True)
class Source:
    """One manifest: where it is, its text, and the session that gets what it says."""

    session: Session
    path: Path
    text: str

    @property
    def shown(self) -> str:
        """The path as the user would write it."""
        return self.session.shown(self.path)

    @property
    def reading(self) -> Reading:
        """What gets everything."""
        return self.session.reading

    @property
    def target(self) -> Target:
        """The environment for markers."""
        return self.session.target

    def place(self, line: int | None = None) -> Place:
        """A place in it."""
        return Place(self.shown, line)

    def error(self, line: int | None, reason: str) -> None:
        """Note what should have been read and could not be."""
        self.reading.error(self.shown, line, reason)

    def skip(self, line: int | None, reason: str) -> None:
        """Note what was left out on purpose."""
        self.reading.skip(self.shown, line, reason)
