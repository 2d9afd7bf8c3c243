"""Imports: the names they bind, and what these stand for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from threatloop.supply_chain.code import knowledge
from threatloop.supply_chain.code.values import NOWHERE, Value, named


def _bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Value]]:
    """Each name that an import binds, with its value."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            yield (alias.asname, named(alias.name)) if alias.asname else (root, named(root))
        return
    module = "." * node.level + (node.module or "")
    joint = "" if module.endswith(".") else "."
    for alias in node.names:
        name = f"{module}{joint}{alias.name}"
        held = knowledge.ATTRIBUTES.get(name, NOWHERE)
        yield alias.asname or alias.name, Value(names=frozenset({name}), origins=held)


def bind(node: ast.Import | ast.ImportFrom, variables: dict[str, Value]) -> None:
    """Add what an import binds; ``*`` stands for every name of the modules that were imported so."""
    for name, value in _bound(node):
        every = variables.get("*") if name == "*" else None
        variables[name] = value if every is None else value | every


def roots(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The top-level names of what is imported; relative modules as they are written."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    module = "." * node.level + (node.module or "")
    return {module if node.level else module.partition(".")[0]}
