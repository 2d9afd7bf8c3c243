"""The header of a safetensors file: its size, its JSON, and what its tensors claim of the bytes behind it.

Specification: https://github.com/huggingface/safetensors, section Format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from threatloop.supply_chain.model_files.formats.strict_json import Duplicates, loads
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import NotUnderstood, Source, Unreadable

_BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "C128": 128, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_FIELDS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class _Span:
    name: str
    start: int
    end: int


def scan_safetensors(source: Source, job: Job) -> None:
    """Check the header.

    Raises:
        Unreadable: no header can be read.
        NotUnderstood: a dtype that is not known.
    """
    length = int.from_bytes(source.exactly(0, 8), "little")
    if length > job.limits.header:
        title = f"a header of {length} bytes, the format allows {job.limits.header}"
        job.notes.found("malformed-header", source.place, title, subject="header size")
        raise Unreadable(title)
    try:
        duplicates = Duplicates()
        header = loads(source.exactly(8, length).decode("utf-8"), duplicates)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Unreadable(f"its header is no UTF-8 JSON: {error}") from error
    if not isinstance(header, dict):
        raise Unreadable("its header is no object")
    problems = [f"the name {name!r} stands there twice" for name in duplicates.names]
    problems += _metadata(header.pop("__metadata__", {}))
    spans: list[_Span] = []
    unknown: list[str] = []
    for name, tensor in header.items():
        problems += _tensor(name, tensor, source.size - 8 - length, spans, unknown)
    problems += _layout(spans, source.size - 8 - length)
    if problems:
        title = f"its header contradicts itself or the file: {problems[0]}"
        job.notes.found("malformed-header", source.place, title, detail="\n".join(problems[:8]))
    if unknown:
        raise NotUnderstood(f"dtypes that are not known here: {', '.join(sorted(set(unknown))[:8])}")


def _metadata(value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        yield "its metadata is no object"
    elif not all(isinstance(text, str) for text in value.values()):
        yield "its metadata holds something other than texts"


def _tensor(name: str, tensor: Any, room: int, spans: list[_Span], unknown: list[str]) -> Iterator[str]:
    if not isinstance(tensor, dict) or set(tensor) != _FIELDS:
        yield f"{name!r} does not have exactly dtype, shape and data_offsets"
        return
    shape, offsets, dtype = tensor["shape"], tensor["data_offsets"], tensor["dtype"]
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2 or not isinstance(dtype, str):
        yield f"{name!r} has a shape, offsets or a dtype of the wrong kind"
        return
    start, end = offsets
    if not start <= end <= room:
        yield f"{name!r} lies at {start}:{end} of {room} bytes"
        return
    spans.append(_Span(name, start, end))
    if dtype not in _BITS:
        unknown.append(dtype)
    elif math.prod(shape) * _BITS[dtype] != 8 * (end - start):
        yield f"{name!r} has {end - start} bytes, which is not {dtype} of shape {shape[:8]}"


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _layout(spans: list[_Span], room: int) -> Iterator[str]:
    at = 0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start < at:
            yield f"{span.name!r} overlaps the tensor before it"
        elif span.start > at:
            yield f"{span.start - at} bytes before {span.name!r} belong to no tensor"
        at = max(at, span.end)
    if at < room:
        yield f"{room - at} bytes at the end belong to no tensor"
