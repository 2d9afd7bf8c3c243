"""Following the pickles of a source: one, the next behind it, and the arrays that joblib writes between opcodes."""

from __future__ import annotations

import io

from threatloop.supply_chain.model_files.limits import Limits
from threatloop.supply_chain.model_files.pickles.machine import Machine
from threatloop.supply_chain.model_files.pickles.opcodes import Broken, Op, opcodes
from threatloop.supply_chain.model_files.pickles.torch_legacy import is_legacy
from threatloop.supply_chain.model_files.pickles.values import Box, Made, Value, called
from threatloop.supply_chain.model_files.pickles.walk import Walk
from threatloop.supply_chain.model_files.source import Source

_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_ITEM = {"b": 1, "i": 1, "u": 1, "f": 1, "c": 1, "S": 1, "a": 1, "V": 1, "U": 4, "M": 1, "m": 1, "?": 1}


def follow(source: Source, at: int, limits: Limits, depth: int = 0) -> Walk:
    """Follow the pickle that starts at an offset, to its STOP or to where an unpickler would fail.

    Offsets in what is returned are those of the source.
    """
    walk = Walk(at, at)
    machine = Machine(walk)
    stream = source.stream(at)
    try:
        for count, op in enumerate(opcodes(stream, source.size, limits.argument)):
            if count >= limits.opcodes:
                raise Broken(f"followed for {limits.opcodes} opcodes only")
            machine.step(op)
            walk.end = op.end
            if op.name == "BUILD":
                _step_over_array(source, stream, machine, op, limits, depth)
    except (Broken, UnicodeError) as error:
        walk.broken = str(error)
    return walk


def follow_all(source: Source, at: int, limits: Limits) -> list[Walk]:
    """The pickle at an offset, and those that follow it without a gap, until the source ends or one is broken.

    What is no pickle behind a whole one is left to the caller: the last walk's ``end`` says where it starts.
    """
    walks: list[Walk] = []
    while at < source.size and len(walks) < limits.pickles:
        walk = follow(source, at, limits)
        if walks and walk.broken and not walk.uses:
            break
        walks.append(walk)
        if walk.broken or is_legacy(walks):
            break
        at = walk.end
    return walks


def _step_over_array(
    source: Source, stream: io.BufferedReader, machine: Machine, op: Op, limits: Limits, depth: int
) -> None:
    """Behind a joblib wrapper the array's bytes lie in the stream, or, of objects, a pickle of its own."""
    made = machine.stack[-1]
    name = called(made)
    if name is None or (name.module, name.name) != _WRAPPER or not isinstance(made, Made):
        return
    if not isinstance(made.state, Box):
        raise Broken(f"byte {op.at}: an array wrapper without a state")
    start = op.end
    count, width = _shape(made.state.get("shape")), _width(made.state.get("dtype"))
    if width is None:
        _nested(source, stream, machine, start, limits, depth)
        return
    if made.state.get("numpy_array_alignment_bytes") is not None:
        start += 1 + (source.read(start, 1) or b"\0")[0]
    end = start + count * width
    if end > source.size:
        raise Broken(f"byte {op.at}: an array of {count * width} bytes, {source.size - start} are left")
    machine.walk.raw.append((op.end, end))
    machine.walk.end = end
    stream.seek(end)


def _nested(
    source: Source, stream: io.BufferedReader, machine: Machine, start: int, limits: Limits, depth: int
) -> None:
    if depth >= limits.depth:
        raise Broken(f"byte {start}: object arrays nested more than {limits.depth} deep")
    inner = follow(source, start, limits, depth + 1)
    machine.walk.inner.append(inner)
    machine.walk.raw.append((start, inner.end))
    if inner.broken:
        raise Broken(inner.broken)
    machine.walk.end = inner.end
    stream.seek(inner.end)


def _shape(value: Value) -> int:
    if not isinstance(value, Box):
        raise Broken("an array wrapper without a shape")
    count = 1
    for item in value.items:
        if not isinstance(item, int) or item < 0:
            raise Broken("an array wrapper of no real shape")
        count *= item
    return count


def _width(value: Value) -> int | None:
    """Bytes of one element of a pickled dtype; nothing of objects."""
    if not isinstance(value, Made) or not isinstance(value.arguments, Box) or not value.arguments.items:
        raise Broken("an array wrapper of an unknown dtype")
    code = value.arguments.items[0]
    if not isinstance(code, str) or not code:
        raise Broken("an array wrapper of an unknown dtype")
    if code == "O" or code.startswith("O"):
        return None
    digits = code[1:]
    if code[0] not in _ITEM or not digits.isdigit():
        raise Broken(f"an array wrapper of dtype {code!r}")
    if code[0] == "V" and isinstance(value.state, Box) and _holds_objects(value.state):
        return None
    return int(digits) * _ITEM[code[0]]


def _holds_objects(state: Box) -> bool:
    """Whether a structured dtype has NPY_ITEM_HASOBJECT among its flags, the last of its state."""
    flags = state.items[7] if len(state.items) > 7 else 0
    return isinstance(flags, int) and bool(flags & 1)
