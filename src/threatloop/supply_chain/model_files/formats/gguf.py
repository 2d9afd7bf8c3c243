"""GGUF: counts, lengths and offsets of its header, and the chat templates in its metadata.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import NotUnderstood, Source, Unreadable
from threatloop.supply_chain.model_files.templates.check import check_template

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_DIMENSIONS = 8
_BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Elements and bytes of a block, by the number of the tensor type in ggml.h."""


def scan_gguf(source: Source, job: Job) -> None:
    """Read the header; check the templates in it and where the tensors lie.

    Raises:
        Unreadable: cut off, or lengths that cannot be.
        NotUnderstood: a version that is not known.
    """
    version, tensors, entries = struct.unpack("<IQQ", source.exactly(4, 20))
    if version not in (2, 3):
        raise NotUnderstood(f"version {version} of GGUF")
    reader = _Reader(source, 24, job.limits.entries)
    if max(tensors, entries) > min(job.limits.entries, source.size // 8):
        title = f"{tensors} tensors and {entries} entries in {source.size} bytes"
        job.notes.found("malformed-header", source.place, title, subject="counts")
        raise Unreadable(title)
    problems: list[str] = []
    metadata, cut = _metadata(reader, entries, job.limits.text, problems)
    spans = [_tensor(reader, problems) for _ in range(tensors)]
    _judge_layout(spans, metadata, reader.at, source.size, problems)
    if problems:
        title = f"its header contradicts itself or the file: {problems[0]}"
        job.notes.found("malformed-header", source.place, title, detail="\n".join(problems[:8]))
    for key, value in metadata.items():
        if key.startswith("tokenizer.chat_template") and isinstance(value, str):
            check_template(value, source.place, key, job)
            if key in cut:
                job.notes.skip(source.place, f"{key}: only the first {job.limits.text} bytes of the template were read")


class _Reader:
    """Reads on from an offset; ``room`` bounds the elements of all arrays together."""

    def __init__(self, source: Source, at: int, room: int) -> None:
        self.source, self.at, self.room, self.cut = source, at, room, False

    def number(self, layout: str) -> int | float | bool:
        size = struct.calcsize(layout)
        (value,) = struct.unpack(layout, self.source.exactly(self.at, size))
        self.at += size
        return value  # type: ignore[no-any-return]

    def count(self, layout: str = "<Q") -> int:
        return int(self.number(layout))

    def text(self, keep: int) -> str:
        """A string; beyond what is kept only its length is checked, and ``cut`` is set."""
        length = self.count()
        if length > self.source.size - self.at:
            raise Unreadable(f"truncated: a string of {length} bytes at byte {self.at}")
        self.cut = length > keep
        value = self.source.read(self.at, min(length, keep)).decode("utf-8", "replace")
        self.at += length
        return value

    def value(self, kind: int, keep: int, depth: int = 0) -> object:
        if kind == _STRING:
            return self.text(keep)
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind != _ARRAY or depth > 4:
            raise Unreadable(f"a value of type {kind} at byte {self.at}, nested {depth} deep")
        return self._array(keep, depth)

    def _array(self, keep: int, depth: int) -> list[object]:
        kind, length = self.count("<I"), self.count()
        self.room -= length
        if self.room < 0:
            raise Unreadable(f"an array of {length} elements at byte {self.at}: more than are allowed")
        if kind in _SCALARS:
            size = length * struct.calcsize(_SCALARS[kind])
            if size > self.source.size - self.at:
                raise Unreadable(f"truncated: an array of {length} elements at byte {self.at}")
            self.at += size
            return []
        for _ in range(length):
            self.value(kind, 0 if kind == _STRING else keep, depth + 1)
        return []


def _metadata(
    reader: _Reader, entries: int, keep: int, problems: list[str]
) -> tuple[dict[str, object], frozenset[str]]:
    """The values by key, and the keys of texts that were cut."""
    found: dict[str, object] = {}
    cut: set[str] = set()
    for _ in range(entries):
        key = reader.text(1 << 16)
        if key in found:
            problems.append(f"the key {key!r} stands there twice")
        reader.cut = False
        found[key] = reader.value(reader.count("<I"), keep)
        if reader.cut:
            cut.add(key)
    return found, frozenset(cut)


def _tensor(reader: _Reader, problems: list[str]) -> tuple[str, int, int | None]:
    """Name, offset and, where the type is known, bytes of a tensor."""
    name = reader.text(1 << 16)
    dimensions = reader.count("<I")
    if dimensions > _DIMENSIONS:
        raise Unreadable(f"a tensor of {dimensions} dimensions")
    elements = math.prod(reader.count() for _ in range(dimensions))
    kind, offset = reader.count("<I"), reader.count()
    block = _BLOCKS.get(kind)
    if block is None:
        return name, offset, None
    if elements % block[0]:
        problems.append(f"{name!r} has {elements} elements, no multiple of its blocks of {block[0]}")
    return name, offset, elements // block[0] * block[1]


def _judge_layout(
    spans: list[tuple[str, int, int | None]], metadata: dict[str, object], header: int, size: int, problems: list[str]
) -> None:
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        problems.append(f"an alignment of {alignment}")
        alignment = 32
    room = size - -(-header // alignment) * alignment
    if len({name for name, _, _ in spans}) != len(spans):
        problems.append("tensors of the same name")
    end = 0
    for name, offset, length in sorted(spans, key=lambda span: span[1]):
        if offset % alignment:
            problems.append(f"{name!r} starts at {offset}, no multiple of {alignment}")
        if offset + (length or 0) > room:
            problems.append(f"{name!r} ends at {offset + (length or 0)} of {max(room, 0)} bytes")
        if offset < end:
            problems.append(f"{name!r} overlaps the tensor before it")
        end = max(end, offset + (length or 0))
