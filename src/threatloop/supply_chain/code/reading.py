"""Reads a module from top to bottom, branches joined, functions after the code that defines them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from threatloop.supply_chain.code.expressions import Expressions
from threatloop.supply_chain.code.facts import Facts, Function
from threatloop.supply_chain.code.handlers import parameter_origins, registered, served_by
from threatloop.supply_chain.code.imports import bind, roots
from threatloop.supply_chain.code.state import State
from threatloop.supply_chain.code.text import Unreadable, without_docstring
from threatloop.supply_chain.code.values import UNKNOWN, Origins, Value, few, named

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
MOST_COPIED: Final = 5_000_000
"""Variables copied at branches, of one reading."""
_DEEPEST_LOOP: Final = 3
"""Loops within loops are read twice, so that what a round leaves reaches the next; from here on once."""


def read_module(tree: ast.Module) -> Facts:
    """The facts of a module. A second reading knows what its functions return.

    Raises:
        RecursionError: it is nested too deeply.
        Unreadable: it has too many branches and variables.
    """
    reader = _Reader(tree, {})
    facts = reader.read()
    returns = {
        f"local.{function.name}": function.returns.origins
        for function in facts.functions
        if function.returns is not None and function.returns.origins
    }
    return _Reader(tree, returns).read() if returns else facts


class _Reader(Expressions):
    """Reads statements."""

    def __init__(self, tree: ast.Module, returns: dict[str, Origins]) -> None:
        super().__init__(Facts(), returns)
        self.tree = tree
        self.registered = registered(tree)
        self.scope: tuple[str, ...] = ()
        self.bases: frozenset[str] = frozenset()
        self.waiting: list[Callable[[], None]] = []
        self.loops = 0
        self.copied = 0

    def read(self) -> Facts:
        self.function = Function("", self.tree)
        self.facts.functions.append(self.function)
        self.run(without_docstring(self.tree.body))
        self._run_waiting()
        return self.facts

    def run(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._define(node)
            case ast.ClassDef():
                self._class(node)
            case ast.Import() | ast.ImportFrom():
                self.facts.imports |= roots(node)
                bind(node, self.state.variables)
            case ast.Assign():
                self._assign_all(node)
            case ast.AnnAssign():
                if node.value is not None:
                    self.assign(node.target, self.value(node.value))
            case ast.AugAssign():
                self.assign(
                    node.target, Value(origins=self.value(node.target).origins | self.value(node.value).origins)
                )
            case ast.If():
                self.value(node.test)
                self._branches((node.body, node.orelse))
            case ast.For() | ast.AsyncFor() | ast.While():
                self._loop(node)
            case ast.With() | ast.AsyncWith():
                self._with(node)
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.Match():
                self.value(node.subject)
                for case in node.cases:
                    self.value(case.guard)
                self._branches([case.body for case in node.cases])
            case ast.Return():
                self.function.give(self.value(node.value))
            case _:
                self._expressions(node)

    def _expressions(self, node: ast.stmt) -> None:
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.Yield | ast.YieldFrom):
                self.function.give(self.value(part))
            elif isinstance(part, ast.expr):
                self.value(part)

    def _assign_all(self, node: ast.Assign) -> None:
        source = node.value
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(source, ast.Tuple) and len(target.elts) == len(source.elts):
                for one, value in zip(target.elts, [self.value(part) for part in source.elts], strict=True):
                    self.assign(one, value)
            else:
                self.assign(target, self.value(source))

    def _branches(self, bodies: Sequence[Sequence[ast.stmt]]) -> None:
        """Each may run, or none."""
        start = self.state
        ends = []
        self._spend(len(bodies))
        for body in bodies:
            self.state = start.copy()
            self.run(body)
            ends.append(self.state)
        self.state = ends[0] if ends else start
        for end in ends[1:]:
            self.state.join(end)

    def _spend(self, copies: int) -> None:
        """Count what is copied of the state, so that no file can make a scan endless."""
        self.copied += copies * len(self.state.variables)
        if self.copied > MOST_COPIED:
            raise Unreadable("too many branches and variables to be followed")

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        self.loops += 1
        for _ in range(2 if self.loops < _DEEPEST_LOOP else 1):
            self._spend(1)
            before = self.state.copy()
            if isinstance(node, ast.While):
                self.value(node.test)
            else:
                self.assign(node.target, Value(origins=self.value(node.iter).origins))
            self.run(node.body)
            self.state.join(before)
        self.loops -= 1
        self.run(node.orelse)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        self.run(node.body)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        self._spend(1 + len(node.handlers))
        before = self.state.copy()
        self.run(node.body)
        self.run(node.orelse)
        after = self.state
        for handler in node.handlers:
            self.state = before.copy()
            self.run(handler.body)
            after.join(self.state)
        self.state = after
        self.run(node.finalbody)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        qualified = ".".join((*self.scope, node.name))
        decorators = tuple(self.value(one) for one in node.decorator_list)
        given = (*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None))
        served = served_by(node, decorators, self.bases, self.registered)
        function = Function(qualified, node, served, decorators, tuple(self.value(d) for d in given), None, self.bases)
        self.facts.functions.append(function)
        self.state.variables[node.name] = named(f"local.{qualified}")
        self.waiting.append(partial(self._body, node, function))

    def _class(self, node: ast.ClassDef) -> None:
        bases = [self.value(base) for base in node.bases]
        for keyword in node.keywords:
            self.value(keyword.value)
        for decorator in node.decorator_list:
            self.value(decorator)
        inherited = frozenset(name for base in bases for name in base.names)
        own = f"local.{'.'.join((*self.scope, node.name))}"
        # An unpickler that says which classes it takes is none of the unsafe ones.
        strict = any(isinstance(part, _FUNCTIONS) and part.name == "find_class" for part in node.body)
        names = frozenset({own}) if strict else few(frozenset({own}) | inherited)
        self.state.variables[node.name] = Value(names=names)
        self._class_body(node, names)

    def _class_body(self, node: ast.ClassDef, names: frozenset[str]) -> None:
        """The body now, its methods with those of the code around it: they may use what is defined further down."""
        outer, waiting = self.state, self.waiting
        place = (*self.scope, node.name), names
        around, (self.scope, self.bases) = (self.scope, self.bases), place
        self.state, self.waiting = State(dict(outer.variables), {}, dict(outer.places)), []
        self.run(without_docstring(node.body))
        fields, methods = self.state.fields, self.waiting
        self.state, self.waiting = outer, waiting
        self.scope, self.bases = around
        self.waiting.append(partial(self._methods, methods, fields, *place))

    def _methods(
        self, methods: list[Callable[[], None]], fields: dict[str, Value], scope: tuple[str, ...], names: frozenset[str]
    ) -> None:
        outer = self.state, self.scope, self.bases
        self.state = State(dict(self.state.variables), fields, dict(self.state.places))
        self.scope, self.bases = scope, names
        for method in sorted(methods, key=_not_init):
            method()
        self.state, self.scope, self.bases = outer

    def _run_waiting(self) -> None:
        """Read the bodies of what was defined here, and of what they define."""
        waiting, self.waiting = self.waiting, []
        for body in waiting:
            body()

    def _body(self, node: ast.FunctionDef | ast.AsyncFunctionDef, function: Function) -> None:
        outer = self.state, self.scope, self.function, self.waiting, self.loops
        self._spend(1)
        self.state, self.function, self.waiting, self.loops = self.state.copy(), function, [], 0
        self.scope = (*self.scope, node.name)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for one in (*every, arguments.vararg, arguments.kwarg):
            if one is not None:
                annotation = self.value(one.annotation) if one.annotation is not None else UNKNOWN
                origins = parameter_origins(function, one, annotation)
                own = self.bases if one.arg in {"self", "cls"} else frozenset()
                self.state.variables[one.arg] = Value(names=own, origins=origins)
        self.run(without_docstring(node.body))
        self._run_waiting()
        self.state, self.scope, self.function, self.waiting, self.loops = outer


def _not_init(method: Callable[[], None]) -> bool:
    """Of a method's body: ``__init__`` comes first, since it sets the fields."""
    node = method.args[0] if isinstance(method, partial) and method.args else None
    return getattr(node, "name", "") != "__init__"
