"""What reading a module yields, and the rules look at: its calls, functions, assignments and texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from threatloop.supply_chain.code.values import UNKNOWN, Origins, Value, union


@dataclass
class Function:
    """A function as it was read; the module itself is one without a name.

    Attributes:
        name: as Python qualifies it, such as ``Service.predict``.
        node: its definition.
        handler: what serves it to others, such as ``fastapi``; empty where nothing does.
        decorators: their values.
        defaults: values of the parameters' defaults, dependencies of a web framework among them.
        returns: what it may return, joined.
        bases: names of the bases of its class.
    """

    name: str
    node: ast.AST
    handler: str = ""
    decorators: tuple[Value, ...] = ()
    defaults: tuple[Value, ...] = ()
    returns: Value | None = None
    bases: frozenset[str] = frozenset()

    def give(self, value: Value) -> None:
        self.returns = value if self.returns is None else self.returns | value


@dataclass(frozen=True)
class Call:
    """A call as it was read.

    Attributes:
        node: where.
        callee: what is called.
        args: positional arguments up to the first ``*``.
        keywords: named arguments, those bound before among them.
        open: further arguments come by ``*`` or ``**`` and are not known.
        function: in which it stands.
    """

    node: ast.Call
    callee: Value
    args: tuple[Value, ...]
    keywords: dict[str, Value]
    open: bool
    function: Function

    def argument(self, position: int | None, *names: str) -> Value | None:
        """The argument given by name or position; nothing where it is not given."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        return self.args[position] if position is not None and position < len(self.args) else None

    def flag(self, name: str, position: int | None = None, default: bool | None = False) -> bool | None:
        """Whether a switch is on; nothing where that is not known."""
        given = self.argument(position, name)
        if given is None:
            return None if self.open else default
        found = given.only()
        return None if isinstance(found, Value) else bool(found)

    @property
    def origins(self) -> Origins:
        """Where any argument comes from."""
        return union([*self.args, *self.keywords.values()])

    def first(self) -> Value:
        """The first argument, or an unknown value."""
        return self.args[0] if self.args else next(iter(self.keywords.values()), UNKNOWN)


@dataclass(frozen=True)
class Assigned:
    """A text given to a name, an attribute, a key or a keyword."""

    node: ast.expr
    name: str
    value: str


@dataclass
class Facts:
    """What the rules look at.

    Attributes:
        calls: in the order of the file.
        functions: the module itself first.
        assigned: texts with the name that they are given to.
        texts: every text constant outside of docstrings.
        attributes: assignments to attributes, as dotted names, with their values.
        imports: top-level names of what is imported.
    """

    calls: dict[int, Call] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    assigned: dict[int, Assigned] = field(default_factory=dict)
    texts: dict[int, ast.Constant] = field(default_factory=dict)
    attributes: list[tuple[ast.AST, str, Value]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)

    def named(self, matches: Matcher) -> Iterator[tuple[Call, str]]:
        """Calls that one of these names may stand for, with the name."""
        for call in self.calls.values():
            found = matches.find(call.callee.names)
            if found:
                yield call, found


class Matcher:
    """Names to look for: exact ones, and endings written ``*.ending``."""

    def __init__(self, *patterns: str) -> None:
        self._exact = frozenset(one for one in patterns if not one.startswith("*."))
        self._endings = tuple(one[1:] for one in patterns if one.startswith("*."))

    def find(self, names: frozenset[str]) -> str:
        """The first name that is meant, or an empty text."""
        for name in sorted(names):
            if name in self._exact or (self._endings and name.endswith(self._endings)):
                return name
        return ""
