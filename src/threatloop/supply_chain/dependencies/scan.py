"""The way in: paths of repositories, manifests or environments, to findings, errors and what was skipped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from threatloop.core.errors import InputError
from threatloop.supply_chain.dependencies.discover import manifests
from threatloop.supply_chain.dependencies.formats import read_manifest
from threatloop.supply_chain.dependencies.installed import read_installed
from threatloop.supply_chain.dependencies.model import Reading
from threatloop.supply_chain.dependencies.session import Session
from threatloop.supply_chain.dependencies.target import Target
from threatloop.supply_chain.dependencies.target import target as this_target
from threatloop.supply_chain.matching import Matcher
from threatloop.supply_chain.result import Place, Result, Skipped
from threatloop.threats.advisories import AdvisorySet

_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")
_NO_ADVISORIES = "dependencies were read but compared with no advisories: give --advisories FILE, or --online"


def scan_dependencies(
    paths: Sequence[Path | str],
    advisories: AdvisorySet | None,
    target: Target | None = None,
    *,
    environment: bool = False,
    now: datetime | None = None,
) -> Result:
    """Read what the paths depend on, and compare it with advisories.

    Args:
        paths: repositories, manifests, lock files, bills of materials, or folders of installed packages.
        advisories: from `read_advisories`; without them everything is read, and the result says what is missing.
        target: for which markers are evaluated; this interpreter's environment where it is not given.
        environment: look at the packages of the running interpreter too.
        now: of the scan, aware.

    Raises:
        InputError: a path does not exist.
    """
    reading = read_dependencies(paths, target, environment=environment)
    if advisories is None:
        return reading.result() + Result(skipped=(Skipped(Place(", ".join(map(str, paths))), _NO_ADVISORIES),))
    matcher = Matcher(advisories, now)
    return reading.result() + matcher.problems() + matcher.match(reading.dependencies)


def read_dependencies(
    paths: Sequence[Path | str], target: Target | None = None, *, environment: bool = False
) -> Reading:
    """Find and read what the paths depend on, see `scan_dependencies`; for bills of materials and for the corpus.

    Raises:
        InputError: a path does not exist.
    """
    aim = target or this_target()
    whole = Reading()
    for path in paths:
        whole.take([_read(Path(path), aim)])
    if environment:
        whole.take([read_installed(aim)])
    whole.dependencies = list(dict.fromkeys(whole.dependencies))
    return whole


def read_manifests(files: Sequence[Path], roots: Sequence[Path], target: Target | None = None) -> Reading:
    """Read manifests that were found already.

    Args:
        files: for which `formats.is_manifest` is true, or which the user named.
        roots: folders, which manifests may include files from, and files that the user named.
        target: see `scan_dependencies`.
    """
    aim = target or this_target()
    sessions: dict[Path, Session] = {}
    named = {root for root in roots if not root.is_dir()}
    for file in files:
        above = [root for root in roots if root not in named and file.is_relative_to(root)]
        root = max(above, key=lambda one: len(one.parts)) if above else _root_of(file)
        session = sessions.setdefault(root, Session(root, aim, Reading(), _given(root)))
        read_manifest(session, file, asked=file in named)
    whole = Reading()
    whole.take(session.reading for session in sessions.values())
    whole.dependencies = list(dict.fromkeys(whole.dependencies))
    return whole


def _read(path: Path, target: Target) -> Reading:
    if not os.path.lexists(path):
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return read_manifests([path], [path], target)
    folders = _installed_in(path)
    if folders:
        return read_installed(target, folders)
    session = Session(path, target, Reading(), str(path))
    for manifest in manifests(session):
        read_manifest(session, manifest)
    return session.reading


def _given(root: Path) -> str:
    """How a root is shown: from the working folder, where it lies below it."""
    below = Path(os.path.abspath(root)).is_relative_to(os.getcwd())
    return os.path.relpath(root) if below else str(root)


def _installed_in(path: Path) -> list[Path]:
    """The folders of installed packages that a path names: a virtual environment's, or itself."""
    if (path / "pyvenv.cfg").exists():
        return sorted([*path.glob("lib/python*/site-packages"), *path.glob("Lib/site-packages")])
    if path.name == "site-packages" or any(path.glob("*.dist-info")):
        return [path]
    return []


def _root_of(file: Path) -> Path:
    """The folder that a lone manifest may include files from: the nearest above that looks like a project's root."""
    folder = Path(os.path.abspath(file)).parent
    for one in (folder, *folder.parents[:4]):
        if any((one / mark).exists() for mark in _ROOT_MARKS):
            return one
    return folder
