"""Opcodes of a pickle, read as CPython's unpickler reads them, with long arguments stepped over.

The table is that of `pickletools`. Its own ``genops`` is not used: it reads every argument into memory, and decodes
the lines of protocol 0 otherwise than the unpickler does (escapes in names, numbers in hexadecimal), so that a pickle
can say one thing to it and another to the loader.
"""

from __future__ import annotations

import codecs
import pickle
import pickletools
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

LINE = 1 << 16
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: "<B",
    pickletools.TAKEN_FROM_ARGUMENT4: "<i",
    pickletools.TAKEN_FROM_ARGUMENT4U: "<I",
    pickletools.TAKEN_FROM_ARGUMENT8U: "<Q",
}
_BY_CODE = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


class Broken(ValueError):
    """The unpickler would stop here with an error."""


@dataclass(frozen=True)
class Blob:
    """A long argument that was stepped over: where it starts in the source, and its bytes."""

    start: int
    size: int


Argument = int | float | str | bytes | bool | tuple[str, str] | Blob | None


@dataclass(frozen=True)
class Op:
    """One opcode: its name, its argument, its offset, and the offset after it."""

    name: str
    argument: Argument
    at: int
    end: int


def opcodes(stream: BinaryIO, size: int, keep: int) -> Iterator[Op]:
    """The opcodes from the stream's position up to and with the first STOP.

    The caller may seek the stream between two opcodes; the next is read from there.

    Args:
        stream: seekable.
        size: bytes of the stream.
        keep: bytes of an argument that are read; of longer ones there is a `Blob`.

    Raises:
        Broken: an unknown opcode, an argument that cannot be read, or the end before STOP.
    """
    while True:
        at = stream.tell()
        code = stream.read(1)
        if not code:
            raise Broken(f"ends at byte {at} without STOP")
        info = _BY_CODE.get(code)
        if info is None:
            raise Broken(f"unknown opcode {code!r} at byte {at}")
        try:
            argument = _argument(info, stream, size, keep)
        except (ValueError, struct.error, OverflowError) as error:
            raise Broken(f"{info.name} at byte {at}: {error}") from error
        yield Op(info.name, argument, at, stream.tell())
        if info.name == "STOP":
            return


def _argument(info: pickletools.OpcodeInfo, stream: BinaryIO, size: int, keep: int) -> Argument:
    if info.arg is None:
        return None
    if info.arg.n == pickletools.UP_TO_NEWLINE:
        return _LINES[info.name](stream)
    layout = _LENGTHS.get(info.arg.n)
    if layout is None:
        return _fixed(info.arg, stream)
    return _counted(info.name, layout, stream, size, keep)


def _fixed(argument: pickletools.ArgumentDescriptor, stream: BinaryIO) -> Argument:
    value = argument.reader(stream)
    if isinstance(value, int | float):
        return value
    raise ValueError("no number")


def _counted(name: str, layout: str, stream: BinaryIO, size: int, keep: int) -> Argument:
    width = struct.calcsize(layout)
    (length,) = struct.unpack(layout, stream.read(width))
    start = stream.tell()
    if length < 0 or start + length > size:
        raise ValueError(f"an argument of {length} bytes, {size - start} are left")
    if length > keep:
        stream.seek(start + length)
        return Blob(start, length)
    data = stream.read(length)
    if name.startswith("LONG"):
        return pickle.decode_long(data) if length <= 1024 else Blob(start, length)
    if "UNICODE" in name:
        return data.decode("utf-8", "surrogatepass")
    return data.decode("latin-1") if "STRING" in name else data


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(LINE)
    if not line.endswith(b"\n"):
        raise ValueError(f"a line that ends nowhere or after more than {LINE} bytes")
    return line[:-1]


def _pair(stream: BinaryIO) -> tuple[str, str]:
    return _line(stream).decode("utf-8"), _line(stream).decode("utf-8")


def _quoted(stream: BinaryIO) -> str:
    data = _line(stream)
    if len(data) < 2 or data[:1] != data[-1:] or data[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    return codecs.escape_decode(data[1:-1])[0].decode("latin-1")


def _integer(stream: BinaryIO) -> int | bool:
    data = _line(stream)
    return data == b"01" if data in (b"00", b"01") else _lenient(data)


def _long(stream: BinaryIO) -> int:
    return _lenient(_line(stream).removesuffix(b"L"))


def _lenient(data: bytes) -> int:
    """The C unpickler takes more forms than `int`; the value does not matter here, going on does."""
    try:
        return int(data, 0)
    except ValueError:
        return 0


_LINES: Mapping[str, Callable[[BinaryIO], Argument]] = {
    "GLOBAL": _pair,
    "INST": _pair,
    "STRING": _quoted,
    "UNICODE": lambda stream: _line(stream).decode("raw-unicode-escape"),
    "INT": _integer,
    "LONG": _long,
    "FLOAT": lambda stream: float(_line(stream)),
    "GET": lambda stream: int(_line(stream)),
    "PUT": lambda stream: int(_line(stream)),
    "PERSID": lambda stream: _line(stream).decode("ascii"),
}
