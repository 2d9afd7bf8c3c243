"""Expressions: what each may be and where it comes from, on what is known at that point of the code."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from threatloop.supply_chain.code import knowledge
from threatloop.supply_chain.code.calling import outcome
from threatloop.supply_chain.code.facts import Assigned, Call, Facts, Function
from threatloop.supply_chain.code.state import State
from threatloop.supply_chain.code.values import NOWHERE, UNKNOWN, Origins, Value, combined, constant, few, named, union

_BUILTINS: Final = frozenset(dir(builtins)) | {"unicode", "reduce", "raw_input", "execfile"}
_READ_PLACES: Final = (ast.Name, ast.Attribute, ast.Constant, ast.JoinedStr, ast.Call, ast.BinOp)


class Expressions:
    """Evaluates expressions and records calls.

    Args:
        facts: filled while reading.
        returns: by name of a local function, where its result comes from, as far as an earlier reading has found.
    """

    def __init__(self, facts: Facts, returns: dict[str, Origins]) -> None:
        self.facts, self.returns = facts, returns
        self.state = State()
        self.function = Function("", ast.Module([], []))
        self._kinds: dict[type[ast.expr], Callable[..., Value]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.JoinedStr: self._joined,
            ast.BinOp: self._binary,
            ast.BoolOp: self._either,
            ast.IfExp: self._if,
            ast.Dict: self._dict,
            ast.Subscript: self._subscript,
            ast.NamedExpr: self._walrus,
            ast.Lambda: self._lambda,
            ast.Compare: self._nothing,
            ast.Await: self._same,
            ast.Starred: self._same,
            ast.FormattedValue: self._same,
        }

    def value(self, node: ast.expr | None) -> Value:
        """What the expression may be."""
        if node is None:
            return UNKNOWN
        found = self._kinds.get(type(node), self._parts)(node)
        if self.state.places and isinstance(node, _READ_PLACES):
            found = found.tainted(self.state.places.get(ast.unparse(node), NOWHERE))
        return found

    def assign(self, target: ast.expr, value: Value) -> None:
        """Give a value to a target."""
        if isinstance(target, ast.Name):
            self.state.variables[target.id] = value
            self._text(target, target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self.assign(part, Value(origins=value.origins))
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, ast.Attribute):
            self._assign_attribute(target, value)
        elif isinstance(target, ast.Subscript):
            self._assign_item(target, value)

    def _assign_attribute(self, target: ast.Attribute, value: Value) -> None:
        base = self.value(target.value)
        self._text(target, target.attr, value)
        for name in base.names or ("?",):
            self.facts.attributes.append((target, f"{name}.{target.attr}", value))
        if _is_self(target.value):
            old = self.state.fields.get(target.attr)
            self.state.fields[target.attr] = value if old is None else old | value

    def _assign_item(self, target: ast.Subscript, value: Value) -> None:
        key = self.value(target.slice).only()
        if isinstance(key, str):
            self._text(target, key, value)
        if not isinstance(target.value, ast.Name):
            return
        held = self.state.variables.get(target.value.id, UNKNOWN)
        items = dict(held.items)
        items = items | {key: value} if isinstance(key, str) and items else {}
        self.state.variables[target.value.id] = replace(held, items=tuple(items.items())).tainted(value.origins)

    def _text(self, node: ast.expr, name: str, value: Value) -> None:
        found = value.only()
        if isinstance(found, str):
            self.facts.assigned[id(node)] = Assigned(node, name, found)

    # One method for each kind of expression.

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, str):
            self.facts.texts[id(node)] = node
        return constant(None if node.value is Ellipsis else node.value)

    def _name(self, node: ast.Name) -> Value:
        found = self.state.variables.get(node.id)
        if found is not None:
            return found
        if node.id in _BUILTINS:
            return named(f"builtins.{node.id}")
        modules = self.state.variables.get("*", UNKNOWN).names  # of ``from … import *``
        return Value(names=frozenset(one.replace("*", node.id) for one in modules) | {f"?.{node.id}"})

    def _attribute(self, node: ast.Attribute) -> Value:
        base = self.value(node.value)
        if _is_self(node.value) and node.attr in self.state.fields:
            return self.state.fields[node.attr]
        names = frozenset(f"{name}.{node.attr}" for name in base.names or ("?",))
        origins = base.origins | knowledge.ATTRIBUTE_ENDINGS.get(node.attr, NOWHERE)
        for name in names:
            origins |= knowledge.ATTRIBUTES.get(name, NOWHERE)
        return Value(names=names, origins=origins, place=base.place)

    def _call(self, node: ast.Call) -> Value:
        callee = self.value(node.func)
        args: list[Value] = []
        keywords = dict(callee.items)
        unknown = False
        for arg in node.args:
            value = self.value(arg)
            if isinstance(arg, ast.Starred) or unknown:
                unknown = True
            else:
                args.append(value)
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
                self._text(keyword.value, keyword.arg, value)
            elif value.items:
                keywords |= dict(value.items)
            else:
                unknown = True
        call = Call(node, callee, tuple(args), keywords, unknown, self.function)
        self.facts.calls[id(node)] = call
        return outcome(call, self.state.places, self.returns)

    def _joined(self, node: ast.JoinedStr) -> Value:
        parts = [self.value(part) for part in node.values]
        first = parts[0].only() if parts else ""
        return Value(origins=union(parts), prefix=first if isinstance(first, str) else "")

    def _binary(self, node: ast.BinOp) -> Value:
        """From the left, without recursion: sums of hundreds of texts are common."""
        pending = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            pending.append(left)
            left = left.left
        found = self.value(left)
        for one in reversed(pending):
            found = combined(found, self.value(one.right), one.op)
        return found

    def _either(self, node: ast.BoolOp) -> Value:
        return self._joined_values(node.values)

    def _if(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        return self._joined_values((node.body, node.orelse))

    def _joined_values(self, nodes: Iterable[ast.expr]) -> Value:
        found: Value | None = None
        for node in nodes:
            value = self.value(node)
            found = value if found is None else found | value
        return found or UNKNOWN

    def _dict(self, node: ast.Dict) -> Value:
        items: dict[str, Value] = {}
        values, known = [], True
        for key, value_node in zip(node.keys, node.values, strict=True):
            value = self.value(value_node)
            values.append(value)
            text = self.value(key).only() if key is not None else None
            if isinstance(text, str):
                items[text] = value
                self._text(value_node, text, value)
            elif key is None and value.items:
                items |= dict(value.items)
            else:
                known = False
        return Value(origins=union(values), items=tuple(items.items()) if known else ())

    def _subscript(self, node: ast.Subscript) -> Value:
        base, key = self.value(node.value), self.value(node.slice).only()
        if isinstance(key, str) and base.items:
            return dict(base.items).get(key, UNKNOWN)
        return Value(names=few(frozenset(f"{name}[]" for name in base.names)), origins=base.origins)

    def _walrus(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        self.assign(node.target, value)
        return value

    def _lambda(self, node: ast.Lambda) -> Value:
        before, self.state = self.state, self.state.copy()
        for arg in ast.walk(node.args):
            if isinstance(arg, ast.arg):
                self.state.variables[arg.arg] = UNKNOWN
        result = self.value(node.body)
        self.state = before
        return Value(origins=result.origins)

    def _nothing(self, node: ast.Compare) -> Value:
        for part in (node.left, *node.comparators):
            self.value(part)
        return UNKNOWN

    def _same(self, node: ast.Await | ast.Starred | ast.FormattedValue) -> Value:
        return self.value(node.value)

    def _parts(self, node: ast.expr) -> Value:
        """Of anything else: the origins of its parts. Targets of comprehensions hold elements of what they run over."""
        generators = getattr(node, "generators", ())
        before = self.state
        if generators:
            self.state = self.state.copy()
        for generator in generators:
            self.assign(generator.target, Value(origins=self.value(generator.iter).origins))
            for test in generator.ifs:
                self.value(test)
        parts = [self.value(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        self.state = before
        return Value(origins=union(parts))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}
