"""setup.py: requirements that stand in it as literals. It is read as a syntax tree and never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from threatloop.supply_chain.dependencies.requirement import read_requirement
from threatloop.supply_chain.dependencies.requirements import logical_lines
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.result import Place

_GROUPS: Final = {"install_requires": "", "setup_requires": "build-system", "tests_require": "tests"}
_MAX_STEPS: Final = 50
_MAX_PARTS: Final = 50_000


class _NotLiteral(ValueError):
    """A value that only running the file would tell."""


def read_setup_py(source: Source) -> None:
    """Add what the call of ``setup`` asks for; a value that is computed is skipped."""
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        return source.error(error.lineno, f"not Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError):
        return source.error(None, "not Python that can be read")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "setup"]
    if not calls:
        source.skip(None, "no call of setup() was found; setup.py is never run")
    names = _assigned(tree)
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg is None:
                source.skip(keyword.value.lineno, "setup(**…): what it holds is computed; setup.py is never run")
            elif keyword.arg in _GROUPS or keyword.arg == "extras_require":
                _keyword(source, keyword.arg, keyword.value, names)
    source.reading.read.append(Place(source.shown))
    return None


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _assigned(tree: ast.Module) -> Mapping[str, ast.expr]:
    """Names of the module that are bound once."""
    found: dict[str, ast.expr] = {}
    twice: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for one in (each for each in node.targets if isinstance(each, ast.Name)):
                if one.id in found:
                    twice.add(one.id)
                found[one.id] = node.value
        elif isinstance(node, ast.AugAssign | ast.For | ast.comprehension):
            twice.add(_name(node.target))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            twice.add(_name(node.func.value))  # names.append(…) and the like
    return {name: value for name, value in found.items() if name not in twice}


def _keyword(source: Source, name: str, value: ast.expr, names: Mapping[str, ast.expr]) -> None:
    if name != "extras_require":
        return _requirements(source, name, value, _GROUPS[name], names)
    node = _followed(value, names)
    if not isinstance(node, ast.Dict):
        return source.skip(value.lineno, f"{name} is computed; setup.py is never run")
    for key, found in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            _requirements(source, name, found, key.value, names)
        else:
            source.skip(found.lineno, f"a part of {name} is computed; setup.py is never run")
    return None


def _requirements(source: Source, name: str, value: ast.expr, group: str, names: Mapping[str, ast.expr]) -> None:
    try:
        found = list(_texts(value, names))
    except _NotLiteral:
        return source.skip(value.lineno, f"{name} is computed; setup.py is never run")
    for line, text in found:
        for offset, one in logical_lines(text):
            place = source.place(line + offset - 1)
            read_requirement(source.reading, one, place, source.target, group=group, extra=group)
    return None


def _followed(node: ast.expr, names: Mapping[str, ast.expr]) -> ast.expr:
    for _ in range(_MAX_STEPS):
        if not (isinstance(node, ast.Name) and node.id in names):
            return node
        node = names[node.id]
    return node


def _texts(value: ast.expr, names: Mapping[str, ast.expr]) -> Iterator[tuple[int, str]]:
    """Line and text of every literal in lists, tuples, sums and names of them, in their order."""
    waiting = [value]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        node = _followed(waiting.pop(), names)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            waiting += reversed(node.elts)
        elif isinstance(node, ast.Starred):
            waiting.append(node.value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            waiting += (node.right, node.left)
        else:
            break
    raise _NotLiteral
