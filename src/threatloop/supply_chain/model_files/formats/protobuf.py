"""The wire format of protocol buffers, read without their schema and without copying what is large.

Specification: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from threatloop.supply_chain.model_files.source import Source, Unreadable

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ONNX = {1: False, 5: False, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), True)}
"""Whether the fields of a ModelProto have a body."""
_SCALARS = {_FIXED64: 8, _FIXED32: 4}


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, its number value where it is a varint, its bytes where it has a length."""

    number: int
    value: int
    body: Source | None


def fields(message: Source) -> Iterator[Field]:
    """The fields of a message in their order.

    Raises:
        Unreadable: no protocol buffer, or cut off.
    """
    at = 0
    while at < message.size:
        start = at
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise Unreadable(f"no protocol buffer: field 0 at byte {start}")
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield Field(number, value, None)
        elif wire == _BYTES:
            length, at = _varint(message, at)
            if length > message.size - at:
                raise Unreadable(f"truncated: field {number} of {length} bytes, {message.size - at} are left")
            yield Field(number, 0, message.part(at, length))
            at += length
        elif wire in _SCALARS:
            yield Field(number, int.from_bytes(message.exactly(at, _SCALARS[wire]), "little"), None)
            at += _SCALARS[wire]
        else:
            raise Unreadable(f"no protocol buffer: wire type {wire} at byte {start}")


def text(body: Source | None, limit: int = 4096) -> str:
    """A string field, cut at the limit."""
    return "" if body is None else body.read(0, limit).decode("utf-8", "replace")


def inside(body: Source | None, number: int) -> Iterator[Source]:
    """The messages, strings or bytes of this number in a message."""
    if body is not None:
        for field in fields(body):
            if field.number == number and field.body is not None:
                yield field.body


def _varint(message: Source, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message.read(at, 10)):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise Unreadable(f"no protocol buffer: no number at byte {at}")


def _numbers(source: Source, most: int = 64) -> list[tuple[int, bool, int]] | None:
    """Number, whether it has a body, and value of the first fields; nothing where it is no message."""
    found = []
    try:
        for field in fields(source):
            found.append((field.number, field.body is not None, field.value))
            if len(found) == most:
                break
    except Unreadable:
        return found if len(found) > 3 else None
    return found


def looks_like_onnx(source: Source) -> bool:
    """A ModelProto: an IR version first, a graph, and none but its fields."""
    if source.read(0, 1) != b"\x08":
        return False
    found = _numbers(source)
    return bool(
        found
        and 0 < found[0][2] < 100
        and any(number in (7, 8) for number, *_ in found)
        and all(_ONNX.get(number) is has_body for number, has_body, _ in found)
    )


def looks_like_saved_model(source: Source) -> bool:
    """A SavedModel: schema version 1, then graphs."""
    if source.read(0, 3) != b"\x08\x01\x12":
        return False
    found = _numbers(source)
    return bool(found) and all(number in (1, 2) for number, *_ in found or [])


def looks_like_graph(source: Source) -> bool:
    """A GraphDef: nodes with a name and an operation."""
    if source.read(0, 1) != b"\x0a":
        return False
    try:
        first = next(fields(source)).body
        names = {field.number: text(field.body) for field in fields(first) if field.body} if first else {}
    except (Unreadable, StopIteration):
        return False
    return bool(names.get(1) and names.get(2, " ").isidentifier())
