"""Finds the manifests of a repository, within bounds, without following links, and says what it passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from threatloop.supply_chain.dependencies.formats import is_manifest
from threatloop.supply_chain.dependencies.session import Session

MAX_FILES: Final = 500_000
MAX_DEPTH: Final = 40
_SILENT: Final = frozenset({".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
_OTHERS: Final = frozenset({"node_modules", "site-packages", ".tox", ".nox", ".eggs"})


def manifests(session: Session) -> Iterator[Path]:
    """The manifests below the session's root, folder by folder in the order of their names.

    Version control and caches hold no manifests. Folders of installed packages and links are noted as skipped.
    """
    count = 0
    root = os.fspath(session.root)
    for folder, below, names in os.walk(root, onerror=lambda error: _unreadable(session, error)):
        here = Path(folder)
        below[:] = sorted(name for name in below if _enters(session, here / name))
        if len(here.relative_to(root).parts) >= MAX_DEPTH and below:
            session.reading.skip(session.shown(here), None, f"nested deeper than {MAX_DEPTH} folders; not searched")
            below.clear()
        count += len(names)
        if count > MAX_FILES:
            return session.reading.skip(
                session.shown(here), None, f"more than {MAX_FILES:,} files; the rest was not searched"
            )
        for name in sorted(names):
            path = here / name
            if is_manifest(path) and _counts(session, path):
                yield path
    return None


def _enters(session: Session, path: Path) -> bool:
    if path.name in _SILENT:
        return False
    if path.is_symlink():
        session.reading.skip(session.shown(path), None, "a link to a folder; not followed")
        return False
    if path.name in _OTHERS or (path / "pyvenv.cfg").exists():
        reason = "installed packages; scan them by naming this folder"
        session.reading.skip(session.shown(path), None, reason)
        return False
    return True


def _counts(session: Session, path: Path) -> bool:
    if not path.is_symlink():
        return True
    if not session.holds(path):
        session.reading.skip(session.shown(path), None, "a link that leads out of what is scanned; not read")
    elif not path.exists():
        session.reading.error(session.shown(path), None, "a link that leads nowhere")
    elif not is_manifest(Path(os.path.realpath(path))):
        return True
    else:
        session.reading.skip(session.shown(path), None, "a link to a file of this tree, which is read where it is")
    return False


def _unreadable(session: Session, error: OSError) -> None:
    session.reading.error(session.shown(Path(error.filename)), None, f"cannot be searched ({error.strerror or error})")
