"""What is known of a value without running the code: what it is called, what it is, and where it comes from."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

Constant = str | bytes | int | float | complex | bool | None
LONGEST: Final = 10_000
"""Characters of a text that is put together here."""
MOST: Final = 8
"""Names or constants kept of one value; of more, the value counts as unknown."""


class Origin(StrEnum):
    """Where data comes from. The words complete "comes from …"."""

    DOWNLOAD = "a download"
    REQUEST = "a request"
    UPLOAD = "an upload"
    RETRIEVED = "retrieved documents"
    COLLECTED = "what users left behind"
    MODEL_TEXT = "the output of a language model"
    UNTRUSTED_PROMPT = "a prompt with outside text"
    PREDICTION = "a model's prediction"
    SCORES = "a model's scores"
    OWN_PICKLE = "a pickle made here"


OUTSIDE: Final = frozenset({Origin.DOWNLOAD, Origin.REQUEST, Origin.UPLOAD, Origin.RETRIEVED, Origin.COLLECTED})
"""What others can write."""

Origins = frozenset[Origin]
NOWHERE: Final[Origins] = frozenset()


@dataclass(frozen=True)
class Value:
    """What an expression may be.

    Attributes:
        names: dotted names that it may stand for; ``torch.load``; ``openai.OpenAI().chat`` of an instance;
            ``?.chat`` where the beginning is unknown; ``local.f`` of what the module defines.
        origins: where its content comes from.
        constants: all constants that it may be; nothing where that is not known.
        prefix: how the text begins, where only that is known.
        items: keywords bound by `functools.partial`, or the items of a dictionary, where all are known.
        place: text of the path expression that a file object was opened on.
    """

    names: frozenset[str] = frozenset()
    origins: Origins = NOWHERE
    constants: frozenset[Constant] | None = None
    prefix: str = ""
    items: tuple[tuple[str, Value], ...] = field(default=())
    place: str = ""

    def __or__(self, other: Value) -> Value:
        """Either of the two."""
        if self is other or other == self:
            return self
        known = None
        if self.constants is not None and other.constants is not None:
            known = self.constants | other.constants
        return Value(
            names=few(self.names | other.names),
            origins=self.origins | other.origins,
            constants=known if known is None or len(known) <= MOST else None,
            prefix=self.prefix if self.prefix == other.prefix else "",
            items=self._items_or(other),
            place=self.place if self.place == other.place else "",
        )

    def _items_or(self, other: Value) -> tuple[tuple[str, Value], ...]:
        """Keywords bound to one of two different functions stay with it; of two dictionaries nothing is sure."""
        if self.items == other.items:
            return self.items
        differ = bool(self.names and other.names) and not self.names & other.names
        return (self.items or other.items) if differ and not (self.items and other.items) else ()

    def tainted(self, origins: Origins) -> Value:
        """The same value, also coming from there."""
        return self if origins <= self.origins else replace(self, origins=self.origins | origins)

    def only(self) -> Constant | Value:
        """The constant that it must be, or `UNKNOWN`."""
        return next(iter(self.constants)) if self.constants is not None and len(self.constants) == 1 else UNKNOWN

    def texts(self) -> tuple[str, ...]:
        """Every text that it may be, and its known beginning."""
        found = [one for one in self.constants or () if isinstance(one, str)]
        return tuple(sorted(found)) or ((self.prefix,) if self.prefix else ())


UNKNOWN: Final = Value()


def few(names: frozenset[str]) -> frozenset[str]:
    """The first of them in alphabetical order, so that sets stay small on any input."""
    return names if len(names) <= MOST else frozenset(sorted(names)[:MOST])


def constant(value: Constant) -> Value:
    """The value of a literal."""
    return Value(constants=frozenset({value}))


def named(*names: str) -> Value:
    """The value of a name."""
    return Value(names=frozenset(names))


def union(values: list[Value]) -> Origins:
    """Where any of them comes from."""
    return frozenset(origin for value in values for origin in value.origins)


def combined(left: Value, right: Value, operator: ast.operator) -> Value:
    """What an operator makes of two values: texts are put together, paths joined."""
    a, b = left.only(), right.only()
    origins = left.origins | right.origins
    if isinstance(operator, ast.Add) and isinstance(a, str) and isinstance(b, str) and len(a) + len(b) < LONGEST:
        return constant(a + b).tainted(origins)
    # A path joined with / stays a path.
    names = left.names if isinstance(operator, ast.Div) else frozenset()
    return Value(names=names, origins=origins, prefix=a if isinstance(a, str) else left.prefix)
