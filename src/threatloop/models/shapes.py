"""What goes into a network and what comes out, per kind of record. A table, so that nothing else asks for the kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from threatloop.core.schema import Schema
from threatloop.modality.text import SCORES
from threatloop.models.language.codecs import ByteCodec

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Shapes:
    encoded: Callable[[Any], Shape]
    answers: Callable[[Any], Shape]
    statistics: Callable[[Any], Shape | None]
    logits: Callable[[Any], Shape] | None = None


def _width(schema: Any) -> int:
    return sum(len(c.categories) if c.kind == "categorical" else 1 for c in schema.columns)


_BY_KIND = {
    "image": _Shapes(
        lambda s: (s.channels, s.height, s.width), lambda s: (len(s.classes),), lambda s: (s.channels, 1, 1)
    ),
    "tabular": _Shapes(lambda s: (_width(s),), lambda s: (len(s.classes),), lambda s: (_width(s),)),
    "text": _Shapes(
        lambda s: (s.width,), lambda s: (s.width, SCORES), lambda _: None, lambda s: (s.width, ByteCodec.size)
    ),
}


def input_shape(schema: Schema) -> Shape:
    """Shape of one encoded record: (channels, height, width) or (width,)."""
    return _BY_KIND[schema.kind].encoded(schema)


def answer_shape(schema: Schema) -> Shape:
    """Shape of a service's answer to one record: (classes,), or (width, `SCORES`) for text."""
    return _BY_KIND[schema.kind].answers(schema)


def logits_shape(schema: Schema) -> Shape:
    """Shape of what a network computes from one encoded record: (classes,), or (width, bytes) for text."""
    found = _BY_KIND[schema.kind]
    return (found.logits or found.answers)(schema)


def statistics_shape(schema: Schema) -> Shape | None:
    """Shape in which mean and std broadcast against one encoded record; None where records are not normalised."""
    return _BY_KIND[schema.kind].statistics(schema)


def normalises(schema: Schema) -> bool:
    """Whether encoded records are numbers from which a mean is subtracted."""
    return statistics_shape(schema) is not None
