"""Which files there are, what kind of scanner each is for, and what was not entered."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from threatloop.core.errors import InputError
from threatloop.supply_chain.code.scan import SUFFIXES as CODE_SUFFIXES
from threatloop.supply_chain.dependencies.formats import is_manifest, is_manifest_if_named
from threatloop.supply_chain.model_files.kinds import SUFFIXES as MODEL_SUFFIXES
from threatloop.supply_chain.model_files.kinds import is_pickle
from threatloop.supply_chain.result import Apart, Failure, Place, Skipped

MOST_FILES: Final = 500_000
DEEPEST: Final = 100
_HEAD: Final = 4096


class Reader(StrEnum):
    """Which scanner a file is for."""

    CODE = "code"
    MANIFEST = "manifest"
    MODEL = "model file"
    NONE = "no scanner"


_VERSION_CONTROL: Final = frozenset({".git", ".hg", ".svn"})
_NOT_ENTERED: Final = {
    **dict.fromkeys(_VERSION_CONTROL, "version control"),
    "node_modules": "installed JavaScript packages", "__pycache__": "compiled Python",
    ".tox": "test environments", ".nox": "test environments", ".eggs": "installed packages",
    ".mypy_cache": "a cache", ".ruff_cache": "a cache", ".pytest_cache": "a cache", ".hypothesis": "a cache",
    ".ipynb_checkpoints": "copies of notebooks", ".terraform": "downloaded plug-ins",
}  # fmt: skip
_SCRIPT: Final = re.compile(rb"#![^\n]*\bpython")
_MEDIA: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"%PDF", b"OggS", b"ID3", b"\x00\x00\x01\x00",
                 b"wOFF", b"wOF2",
                 b"\x00\x01\x00\x00\x00", b"II*\x00", b"MM\x00*", b"fLaC", b"BM")  # fmt: skip
"""How pictures, sounds, fonts and printed pages begin."""
_PICKLE_TEXT: Final = (b"(dp", b"(lp", b"(ip", b"(c", b"c__builtin__\n", b"cbuiltins\n", b"cos\n", b"cposix\n",
                       b"csubprocess\n",
                       b"ccopy_reg\n", b"cnt\n", b"(i__")  # fmt: skip
"""How pickles of protocol 0 begin that do more than hold a number."""


@dataclass(frozen=True)
class File:
    """A file to be scanned.

    Attributes:
        path: as it is opened and shown.
        reader: for which scanner.
        asked: it was named by the user rather than found in a folder.
    """

    path: Path
    reader: Reader
    asked: bool = False


@dataclass
class Walk:
    """What a walk found.

    Attributes:
        roots: what was asked for, as it is shown.
        files: with a scanner, in a stable order.
        others: how many files no scanner is for, by extension.
        skipped: folders and files that were left out, and why.
        errors: folders and files that could not be read.
    """

    roots: list[Path] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)
    errors: list[Failure] = field(default_factory=list)

    def of(self, reader: Reader) -> list[File]:
        return [file for file in self.files if file.reader is reader]


def walk(paths: Iterable[Path], seen: Callable[[int], None] = lambda _: None, *, models: bool = True) -> Walk:
    """Every file below the paths, once.

    Links to folders are not followed; links to files are where they stay below the same path. What version control
    ignores is looked at like everything else: what is ignored is loaded nonetheless.

    Args:
        paths: files and folders.
        seen: told how many files were found so far.
        models: look for model files, by their beginning too; without it a file that is named is a manifest.

    Raises:
        InputError: a path is not there.
    """
    walker = _Walker(seen, models)
    for path in paths:
        if not os.path.lexists(path):
            raise InputError(f"{path}: no such file or folder; give files or folders that exist")
        shown = shown_path(path)
        walker.result.roots.append(shown)
        if shown.is_dir():
            walker.folder(shown)
        else:
            walker.file(shown, asked=True)
    return walker.result


def shown_path(path: Path) -> Path:
    """Relative to the working folder where it lies below it, so that a baseline holds on other machines."""
    absolute = Path(os.path.normpath(os.path.join(os.getcwd(), path)))
    here = Path(os.getcwd())
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute


class _Walker:
    def __init__(self, seen: Callable[[int], None], models: bool) -> None:
        self.seen, self.models = seen, models
        self.result = Walk()
        self.done: set[str] = set()
        self.count = 0

    def skip(self, path: Path, reason: str) -> None:
        self.result.skipped.append(Skipped(Place(str(path)), reason))

    def folder(self, root: Path) -> None:
        inside = os.path.realpath(root)
        pending = [(root, 0)]
        while pending:
            folder, depth = pending.pop()
            below = []
            for entry in self._entries(folder):
                path = folder / entry.name
                if entry.is_symlink():
                    self._link(path, inside)
                elif not entry.is_dir(follow_symlinks=False):
                    self.file(path)
                elif depth >= DEEPEST:
                    self.skip(path, f"more than {DEEPEST} folders deep")
                elif self._entered(path):
                    below.append((path, depth + 1))
            pending += reversed(below)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.result.errors.append(Failure(Place(str(folder)), f"cannot be read: {error.strerror or error}"))
            return iter(())
        return iter(found)

    def _entered(self, path: Path) -> bool:
        reason = _NOT_ENTERED.get(path.name, "")
        if not reason and (path / "pyvenv.cfg").is_file():
            reason = "a virtual environment; scan it with --environment in it, or name it"
        if not reason and (path / "conda-meta").is_dir():
            reason = "a conda environment"
        if reason:
            kind = Apart if path.name in _VERSION_CONTROL else Skipped
            self.result.skipped.append(kind(Place(str(path)), f"not entered: {reason}"))
        return not reason

    def _link(self, path: Path, inside: str) -> None:
        real = os.path.realpath(path)
        if not os.path.exists(real):
            self.skip(path, "a link to nothing, or in a circle")
        elif os.path.isdir(real):
            self.skip(path, "a link to a folder, not followed")
        elif os.path.commonpath([real, inside]) != inside:
            self.skip(path, "a link to a file outside of what was asked for")
        else:
            self.file(path)

    def file(self, path: Path, asked: bool = False) -> None:
        place = os.path.abspath(path)
        if place in self.done:
            return
        self.done.add(place)
        self.count += 1
        if self.count > MOST_FILES:
            if self.count == MOST_FILES + 1:
                self.skip(path, f"more than {MOST_FILES:,} files: the rest was not looked at")
            return
        if self.count % 500 == 0:
            self.seen(self.count)
        try:
            state = path.stat()
        except OSError as error:
            self.result.errors.append(Failure(Place(str(path)), f"cannot be read: {error.strerror or error}"))
            return
        if not stat.S_ISREG(state.st_mode):
            self.skip(path, "no regular file")
            return
        self._sort(path, state.st_size, asked)

    def _sort(self, path: Path, size: int, asked: bool) -> None:
        suffix = path.suffix.lower()
        reader = Reader.CODE if suffix in CODE_SUFFIXES else self._by_content(path, suffix, size, asked)
        if reader is Reader.NONE:
            self.result.others[suffix or path.name[:20]] += 1
            return
        self.result.files.append(File(path, reader, asked))
        if reader is Reader.CODE and path.name == "setup.py":
            self.result.files.append(File(path, Reader.MANIFEST, asked))

    def _by_content(self, path: Path, suffix: str, size: int, asked: bool) -> Reader:
        if is_manifest(path) or (asked and not self.models):
            return Reader.MANIFEST
        if not self.models:
            return Reader.NONE
        if suffix in MODEL_SUFFIXES and not asked:
            return Reader.MODEL
        head = self._head(path) if size else b""
        if _SCRIPT.match(head):
            return Reader.CODE
        like_model = _begins_like_model(path, head)
        if asked and not like_model and is_manifest_if_named(path, head):
            return Reader.MANIFEST
        return Reader.MODEL if asked or like_model else Reader.NONE

    def _head(self, path: Path) -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read(_HEAD)
        except OSError as error:
            self.result.errors.append(Failure(Place(str(path)), f"cannot be read: {error.strerror or error}"))
            return b""


def _begins_like_model(path: Path, head: bytes) -> bool:
    """Whether it is binary and no medium, or a pickle whatever it looks like: its name says nothing of it."""
    if (b"\x00" in head and not head.startswith(_MEDIA)) or head[:1] == b"\x80":
        return True
    return head.startswith(_PICKLE_TEXT) or is_pickle(path, head)
