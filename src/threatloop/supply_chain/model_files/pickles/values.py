"""What stands on the stack while a pickle is followed without running it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from threatloop.supply_chain.model_files.pickles.opcodes import Blob

KEPT = 64


@dataclass(frozen=True)
class Name:
    """A global: what ``module.name`` resolves to when the pickle is loaded."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Made:
    """What calling something with these arguments returns; ``state`` is what BUILD then sets."""

    function: Value
    arguments: Value
    state: Value = None


@dataclass(eq=False)
class Box:
    """A list, a tuple, a dictionary or a set; of long ones the first `KEPT` items.

    A dictionary's items are key, value, key, value.
    """

    kind: str
    items: list[Value] = field(default_factory=list)

    def add(self, values: list[Value]) -> None:
        room = KEPT - len(self.items)
        if room > 0:
            self.items.extend(values[:room])

    def get(self, key: str) -> Value:
        """Of a dictionary, the last value of a key; nothing where there is none."""
        pairs = list(zip(self.items[::2], self.items[1::2], strict=False))
        return next((value for name, value in reversed(pairs) if name == key), None)


@dataclass(frozen=True)
class Other:
    """Something whose value is not known here."""

    what: str


Value = Union[None, bool, int, float, str, bytes, Blob, Name, Made, Box, Other]  # noqa: UP007


def called(value: Value) -> Name | None:
    """The global behind a value: itself, or what made it."""
    for _ in range(KEPT):
        if not isinstance(value, Made):
            break
        value = value.function
    return value if isinstance(value, Name) else None


def render(value: Value, depth: int = 3) -> str:
    """A value as a short text."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, Blob):
        return f"<{value.size} bytes>"
    if isinstance(value, Other):
        return f"<{value.what}>"
    if isinstance(value, Box | Made) and depth == 0:
        return "…"
    if isinstance(value, Box):
        inner = ", ".join(render(item, depth - 1) for item in value.items[:6])
        return f"({inner})" if value.kind == "tuple" else f"{value.kind}({inner})"
    if isinstance(value, Made):
        arguments = render(value.arguments, depth - 1)
        return f"{render(value.function, depth - 1)}{arguments if arguments.startswith('(') else f'({arguments})'}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
