"""Digests of source code: a module and everything that it imports, function-level imports included.

Modules of threatloop are followed through their in-package imports. A user's own module is followed through the
modules that lie in its own top-level package or folder; other libraries are left to the numeric profile.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

from threatloop.core.digests import digest_bytes, digest_json

PLUMBING = frozenset({"threatloop.core.catalogue", "threatloop.core.errors"})
"""Modules that decide nothing about a result: a new row in the catalogue must not invalidate every artefact."""


@cache
def source_digest(module: str) -> str:
    """Digest of the source of a module and of its in-package imports, all levels down.

    Raises:
        ModuleNotFoundError: the module has no source file.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name in PLUMBING:
            continue
        path = _source_file(name)
        if path is None:
            if name == module:
                raise ModuleNotFoundError(f"no source file for module {module!r}")
            continue
        content, imported = _read(path, name)
        found[name] = content
        waiting.extend(other for other in imported if other.partition(".")[0] == module.partition(".")[0])
    return digest_json(found)


@cache
def _source_file(module: str) -> Path | None:
    """The file of a module, found without importing it or its parents."""
    root, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ModuleNotFoundError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *rest)
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def _read(path: Path, module: str) -> tuple[str, tuple[str, ...]]:
    raw = path.read_bytes()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(raw)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).strip(".")
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return digest_bytes(raw), tuple(sorted(names))
