"""Artefacts and the bytes they are stored as: arrays as safetensors, tables as Parquet, no format that holds code.

The safetensors layout is written and read here rather than through its library, for two reasons: the writer
streams straight from the arrays' own memory, and the reader can hand out memory-mapped arrays. The tests hold both
directions against the library.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[Any]
Buffer = bytes | bytearray | memoryview
Kind = Literal["arrays", "table"]

SUFFIXES: Final[Mapping[str, str]] = MappingProxyType({"arrays": "safetensors", "table": "parquet"})
_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {"bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16"}
    | {"uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64", "float64": "F64"}
    | {"complex64": "C64"}
)
_DTYPES: Final = MappingProxyType({code: np.dtype(name).newbyteorder("<") for name, code in _CODES.items()})
_ALIGNMENT: Final = 8
_RESERVED: Final = "__metadata__"


@dataclass(frozen=True, eq=False)
class Artefact:
    """What a task yields and the store keeps.

    Attributes:
        arrays: name -> array of any shape (0-d and empty included): bool, integers, float16/32/64, complex64.
        meta: JSON values with string keys and finite numbers; tuples come back as lists.
        tables: name -> `pyarrow.Table`.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Payload:
    """One file to be written: its bytes in pieces (never joined), their number and their blake2b-256."""

    kind: Kind
    name: str
    chunks: tuple[Buffer, ...]
    size: int
    blake2b: str


def blake2b(*chunks: Buffer) -> str:
    """Hex blake2b-256 (64 characters) of the chunks one after the other."""
    state = hashlib.blake2b(digest_size=32)
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()


def encode(artefact: Artefact) -> tuple[Payload, ...]:
    """The files of an artefact: at most one for all arrays, then one per table, by name.

    Raises:
        StoreError: an array's dtype or name, or a table, cannot be stored.
    """
    parts: list[tuple[Kind, str, tuple[Buffer, ...]]] = []
    if artefact.arrays:
        parts.append(("arrays", "", encode_arrays(artefact.arrays)))
    parts += [("table", name, (_encode_table(name, table),)) for name, table in sorted(artefact.tables.items())]
    return tuple(
        Payload(kind, name, chunks, sum(len(chunk) for chunk in chunks), blake2b(*chunks))
        for kind, name, chunks in parts
    )


def encode_arrays(arrays: Mapping[str, Array]) -> tuple[Buffer, ...]:
    """Arrays in the safetensors layout: an 8-byte length, a JSON header, then the raw values, little-endian.

    Wide types come first, so every array starts on a multiple of its item size. Contiguous arrays aren't copied.

    Raises:
        StoreError: a dtype outside the supported ones, or the reserved name ``__metadata__``.
    """
    plain = {name: _little_endian(name, array) for name, array in arrays.items()}
    header: dict[str, Any] = {}
    chunks: list[Buffer] = []
    end = 0
    for name, array in sorted(plain.items(), key=lambda item: (-item[1].itemsize, item[0])):
        start, end = end, end + array.nbytes
        code = _CODES[array.dtype.name]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [start, end]}
        if array.size:
            chunks.append(array.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return (len(text).to_bytes(8, "little") + text, *chunks)


def decode_arrays(buffer: Any) -> dict[str, Array]:
    """Arrays over a buffer in the safetensors layout, without copying; writable where the buffer is.

    Raises:
        ValueError: the bytes aren't in that layout, or an array lies outside of them.
    """
    view = memoryview(buffer)
    base = 8 + int.from_bytes(view[:8], "little")
    if len(view) < 8 or base > len(view):
        raise ValueError("the header is longer than the file")
    header = json.loads(bytes(view[8:base]))
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return {name: _array_at(view, base, entry) for name, entry in header.items() if name != _RESERVED}


def decode_table(buffer: Any) -> pa.Table:
    """The table held by the bytes of a Parquet file.

    Raises:
        ValueError: not a Parquet file (`pyarrow.ArrowInvalid` is a ValueError).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(buffer))


def _array_at(view: memoryview, base: int, entry: Any) -> Array:
    try:
        dtype, shape, (start, end) = _DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        inside = 0 <= start <= end <= len(view) - base and all(size >= 0 for size in shape)
        fits = inside and end - start == math.prod(shape) * dtype.itemsize
    except (KeyError, TypeError) as error:
        raise ValueError(f"a header entry is malformed ({type(error).__name__}: {error})") from error
    if not fits:
        raise ValueError("an array's place does not fit its shape or the file")
    return np.frombuffer(view[base + start : base + end], dtype=dtype).reshape(shape)


def _little_endian(name: str, array: Array) -> Array:
    given = np.asarray(array)
    if name == _RESERVED:
        raise StoreError(f"array name '{_RESERVED}' is reserved by the safetensors format: choose another name")
    if given.dtype.name not in _CODES:
        raise StoreError(
            f"array '{name}' has dtype {given.dtype}, which cannot be stored: "
            f"use one of {', '.join(_CODES)}, or put text into a table"
        )
    return np.asarray(given, dtype=given.dtype.newbyteorder("<"), order="C")


def _encode_table(name: str, table: pa.Table) -> Buffer:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
    except (pa.ArrowException, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"table '{name}' cannot be written as Parquet: {reason}") from error
    return memoryview(sink.getvalue())
