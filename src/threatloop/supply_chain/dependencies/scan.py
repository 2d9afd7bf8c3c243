"""The way in: paths of repositories, manifests or environments, to what they depend on, and what was not read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from threatloop.supply_chain.dependencies.formats import read_manifest
from threatloop.supply_chain.dependencies.installed import read_installed
from threatloop.supply_chain.dependencies.model import Reading
from threatloop.supply_chain.dependencies.session import Session
from threatloop.supply_chain.dependencies.target import Target
from threatloop.supply_chain.dependencies.target import target as this_target
from threatloop.supply_chain.walk import Reader, walk

_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")


def read_dependencies(
    paths: Sequence[Path | str], target: Target | None = None, *, environment: bool = False
) -> Reading:
    """Find and read what the paths depend on; for bills of materials and for the corpus.

    Args:
        paths: repositories, manifests, lock files, bills of materials, or folders of installed packages.
        target: for which markers are evaluated; this interpreter's environment where it is not given.
        environment: look at the packages of the running interpreter too.

    Raises:
        InputError: a path does not exist.
    """
    aim = target or this_target()
    found = walk((Path(path) for path in paths), models=False)
    whole = read_manifests([file.path for file in found.of(Reader.MANIFEST)], found.roots, aim)
    whole.errors += found.errors
    whole.skipped += found.skipped
    if environment:
        whole.take([read_installed(aim)])
    return whole


def read_manifests(files: Sequence[Path], roots: Sequence[Path], target: Target | None = None) -> Reading:
    """Read manifests that were found already.

    Args:
        files: for which `formats.is_manifest` is true, or which the user named.
        roots: folders, which manifests may include files from, and files that the user named. Of a folder of installed
            packages, such as a virtual environment, these packages are read too.
        target: see `read_dependencies`.
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
    whole.take(read_installed(aim, folders) for root in roots if (folders := _installed_in(root)))
    whole.dependencies = list(dict.fromkeys(whole.dependencies))
    return whole


def _given(root: Path) -> str:
    """How a root is shown: from the working folder, where it lies below it."""
    below = Path(os.path.abspath(root)).is_relative_to(os.getcwd())
    return os.path.relpath(root) if below else str(root)


def _installed_in(path: Path) -> list[Path]:
    """The folders of installed packages that a path names: a virtual or conda environment's, or itself."""
    if (path / "pyvenv.cfg").exists() or (path / "conda-meta").is_dir():
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
