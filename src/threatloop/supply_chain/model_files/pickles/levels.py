"""What a global is in its place: its grade, and for a nested load whether what it loads is looked into."""

from __future__ import annotations

from collections.abc import Iterable

from threatloop.supply_chain.model_files.pickles.known import Grade, grade
from threatloop.supply_chain.model_files.pickles.machine import HEADS
from threatloop.supply_chain.model_files.pickles.opcodes import Blob
from threatloop.supply_chain.model_files.pickles.values import Box, Name, Value, called
from threatloop.supply_chain.model_files.pickles.walk import Use, Walk

_NESTED = Name("torch.storage", "_load_from_bytes")
_ENCODE = Name("_codecs", "encode")


def level(name: Name, uses: Iterable[Use]) -> Grade:
    """The grade of a global in these uses of it."""
    if name == _NESTED and all(_looked_into(use.given) for use in uses if use.call):
        return Grade.KNOWN
    return grade(name)


def levels(walks: Iterable[Walk]) -> dict[Name, Grade]:
    """The grade of every global of some pickles, those of their object arrays included."""
    uses = [use for walk in walks for use in walk.everything]
    return {name: level(name, [use for use in uses if use.name == name]) for name in {use.name for use in uses}}


def _looked_into(given: Value) -> bool:
    """Whether the arguments of a nested load are bytes that are scanned as a file of their own."""
    first = given.items[0] if isinstance(given, Box) and len(given.items) == 1 else None
    if called(first) == _ENCODE and not isinstance(first, Name | Box):
        arguments = getattr(first, "arguments", None)
        first = arguments.items[0] if isinstance(arguments, Box) and arguments.items else None
        return isinstance(first, str) and first.startswith(("\x80", "PK"))
    return isinstance(first, Blob) or (isinstance(first, bytes) and first.startswith(HEADS))
