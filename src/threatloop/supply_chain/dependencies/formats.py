"""Which file is read by what, by its name; and the manifests of other worlds, which are named and not read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from threatloop.supply_chain.dependencies import (
    conda_environment,
    conda_lock,
    cyclonedx,
    pdm_lock,
    pipfile,
    poetry_lock,
    pylock,
    pyproject,
    setup_cfg,
    setup_py,
    uv_lock,
)
from threatloop.supply_chain.dependencies.requirements import read_requirements
from threatloop.supply_chain.dependencies.session import Session, Source
from threatloop.supply_chain.dependencies.text import Unreadable, read_text

Reader = Callable[[Source], None]

_READERS: Final[tuple[tuple[str, Reader], ...]] = (
    (r"pyproject\.toml", pyproject.read_pyproject),
    (r"setup\.cfg", setup_cfg.read_setup_cfg),
    (r"setup\.py", setup_py.read_setup_py),
    (r"poetry\.lock", poetry_lock.read_poetry_lock),
    (r"uv\.lock", uv_lock.read_uv_lock),
    (r"pdm\.lock", pdm_lock.read_pdm_lock),
    (r"Pipfile", pipfile.read_pipfile),
    (r"Pipfile\.lock", pipfile.read_pipfile_lock),
    (r"pylock(\.[^.]+)?\.toml", pylock.read_pylock),
    (r"(.*[-_.])?conda-lock\.ya?ml", conda_lock.read_conda_lock),
    (r"(.*[-_.])?(environment|env|conda)([-_.].*)?\.ya?ml", conda_environment.read_conda_environment),
    (r"(.*[-_.])?(s?bom|cdx|cyclonedx)\.json", cyclonedx.read_cyclonedx_json),
    (r"(.*[-_.])?(s?bom|cdx|cyclonedx)\.xml", cyclonedx.read_cyclonedx_xml),
)
_BY_NAME: Final = tuple((re.compile(pattern, re.IGNORECASE), reader) for pattern, reader in _READERS)
_REQUIREMENTS: Final = re.compile(r"(.*[-_.])?requirements?([-_.\d].*)?\.(txt|in|pip)|.*requirements", re.IGNORECASE)
_LISTS: Final = re.compile(r".*\.(txt|in|pip)", re.IGNORECASE)
_UNREAD: Final = re.compile(
    r"package(-lock)?\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|Cargo\.(toml|lock)|go\.(mod|sum)|pom\.xml"
    r"|build\.gradle(\.kts)?|Gemfile(\.lock)?|composer\.(json|lock)|packages\.lock\.json|.*\.csproj|meta\.yaml"
    r"|pixi\.(toml|lock)|.*\.spdx(\.json)?|conda-(linux|osx|win)-.*\.lock|Package\.resolved|renv\.lock|bun\.lockb?"
    r"|PKG-INFO|requires\.txt",
    re.IGNORECASE,
)


def is_manifest(path: Path) -> bool:
    """Whether a file has the name of a manifest, also of one that is not read but named as skipped."""
    requirements = _REQUIREMENTS.fullmatch(path.name) or _is_in_requirements(path)
    return bool(requirements or _reader(path.name) or _UNREAD.fullmatch(path.name))


def is_manifest_if_named(path: Path, head: bytes) -> bool:
    """Whether a file is taken for a manifest once the user names it; ``head`` is how it begins.

    JSON may as well be the configuration of a model, and is a bill of materials where it says so.
    """
    suffix = path.suffix.lower()
    return b'"bomFormat"' in head if suffix == ".json" else suffix in (".txt", ".in", ".pip", ".xml", ".yml", ".yaml")


def _is_in_requirements(path: Path) -> bool:
    return path.parent.name.lower() in ("requirements", "requirement", "reqs") and bool(_LISTS.fullmatch(path.name))


def _reader(name: str) -> Reader | None:
    return next((reader for pattern, reader in _BY_NAME if pattern.fullmatch(name)), None)


def read_manifest(session: Session, path: Path, *, asked: bool = False) -> None:
    """Read one manifest by the format that its name tells; one of a format that is not read is noted as skipped.

    Args:
        session: gets what it says.
        path: of the file.
        asked: the user named this very file: then any other ``*.json`` and ``*.xml`` is taken for a bill of
            materials, any ``*.yml`` for a conda environment, and any ``*.txt`` for requirements.
    """
    reader = _reader(path.name) or (_by_suffix(path.suffix.lower()) if asked else None)
    if reader is None and _UNREAD.fullmatch(path.name):
        return session.reading.skip(session.shown(path), None, "a manifest in a format that is not read here")
    if reader is None:
        return read_requirements(session, path)
    try:
        source = Source(session, path, read_text(path))
    except Unreadable as error:
        return session.reading.error(session.shown(path), None, str(error))
    try:
        return reader(source)
    except Exception as error:  # One file of many must not end the scan, whatever is in it.
        return source.error(None, f"its reader failed, please report it: {type(error).__name__}: {str(error)[:120]}")


def _by_suffix(suffix: str) -> Reader | None:
    return {
        ".json": cyclonedx.read_cyclonedx_json,
        ".xml": cyclonedx.read_cyclonedx_xml,
        ".yml": conda_environment.read_conda_environment,
        ".yaml": conda_environment.read_conda_environment,
    }.get(suffix)
