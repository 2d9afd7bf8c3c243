"""Small writers of model formats, so that tests can write headers that no library would."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx(nodes: Sequence[tuple[str, str]] = (("Relu", ""),), tensors: bytes = b"", body: bytes = b"") -> bytes:
    """A ModelProto with nodes of (operation, domain), and encoded initializers."""
    written = b"".join(
        field(1, field(1, "x") + field(2, "y") + field(4, operation) + (field(7, domain) if domain else b""))
        for operation, domain in nodes
    )
    graph = written + field(2, "graph") + tensors + body
    return field(1, 8) + field(2, "test") + field(7, graph) + field(8, field(2, 17))


def onnx_external(name: str, **entries: str) -> bytes:
    """An initializer whose data lie in another file."""
    told = b"".join(field(13, field(1, key) + field(2, value)) for key, value in entries.items())
    return field(5, field(1, 4) + field(2, 1) + field(8, name) + told + field(14, 1))


def graph_def(operations: Sequence[str], in_function: Sequence[str] = ()) -> bytes:
    """A TensorFlow GraphDef."""
    nodes = b"".join(field(1, field(1, f"n{place}") + field(2, name)) for place, name in enumerate(operations))
    inner = b"".join(field(3, field(1, f"f{place}") + field(2, name)) for place, name in enumerate(in_function))
    return nodes + (field(2, field(1, field(1, field(1, "f")) + inner)) if inner else b"")


def saved_model(operations: Sequence[str], in_function: Sequence[str] = ()) -> bytes:
    """A TensorFlow SavedModel."""
    return field(1, 1) + field(2, field(1, field(1, "")) + field(2, graph_def(operations, in_function)))


def gguf(
    texts: Sequence[tuple[str, str]] = (),
    tensors: Sequence[tuple[str, Sequence[int], int, int]] = (("w", (4,), 0, 0),),
    data: int = 32,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A GGUF file of version 3: texts of the metadata; tensors as name, shape, type, offset; zeros as data."""
    entries = b"".join(_string(key) + struct.pack("<I", 8) + _string(value) for key, value in texts)
    described = b"".join(
        _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        for name, shape, kind, offset in tensors
    )
    number, number_texts = counts or (len(tensors), len(texts))
    head = b"GGUF" + struct.pack("<IQQ", 3, number, number_texts) + entries + described
    return head + b"\0" * (-len(head) % 32 + data)


def _string(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def safetensors(header: object, data: int, raw: bytes | None = None) -> bytes:
    """A safetensors file with this header, or these bytes in its place, and zeros as data."""
    text = json.dumps(header).encode() if raw is None else raw
    return struct.pack("<Q", len(text)) + text + b"\0" * data
