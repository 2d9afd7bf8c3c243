"""YAML of strangers as texts, lists and mappings: no tags, no aliases, bounded depth and size.

PyYAML's own composers recurse in C, and a few thousand open brackets end the whole process; libyaml's events do not.
Scalars stay as they are written, so that version 1.10 never becomes 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

MAX_DEPTH = 60
MAX_NODES = 2_000_000

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # PyYAML was built without libyaml: the same events, some ten times slower
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class PlainYamlError(ValueError):
    """The text is no YAML of the kind that is read here. ``line`` counts from 1."""

    def __init__(self, reason: str, line: int) -> None:
        self.reason, self.line = reason, line
        super().__init__(f"line {line}: {reason}")


class Text(str):
    """A scalar, and the line on which it starts, from 1."""

    __slots__ = ("line",)
    line: int


def load(data: bytes | str) -> Any:
    """The only document in a text, of ``str``, ``list``, ``dict`` with ``str`` keys, and ``None`` for empty scalars.

    Raises:
        PlainYamlError: not YAML, several documents, an alias, a repeated key, or beyond MAX_DEPTH or MAX_NODES.
    """
    return _Reader(data, places=False).document()


def load_with_lines(data: bytes | str) -> Any:
    """As `load`, with each scalar a `Text` that knows its line."""
    return _Reader(data, places=True).document()


class _Reader:
    def __init__(self, data: bytes | str, *, places: bool) -> None:
        self._places = places
        self._events = self._guarded(data)

    def _guarded(self, data: bytes | str) -> Iterator[Any]:
        depth = 0
        try:
            for count, event in enumerate(yaml.parse(data, Loader=_Loader)):
                if isinstance(event, yaml.CollectionStartEvent):
                    depth += 1
                elif isinstance(event, yaml.CollectionEndEvent):
                    depth -= 1
                if depth > MAX_DEPTH:
                    raise _error(event, f"nested deeper than {MAX_DEPTH} levels")
                if count > MAX_NODES:
                    raise _error(event, f"more than {MAX_NODES:,} parts")
                if isinstance(event, yaml.AliasEvent):
                    raise _error(event, "uses an alias (*name); write the value out")
                yield event
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reason = " ".join(str(error.problem or error.context).split())
            raise PlainYamlError(f"not YAML: {reason}", mark.line + 1 if mark else 1) from None
        except (yaml.YAMLError, UnicodeError) as error:
            raise PlainYamlError(f"not YAML: {' '.join(str(error).split())[:160]}", 1) from None

    def document(self) -> Any:
        found = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _error(event, "holds several documents; one is expected")
                found = self._node(next(self._events))
        return found

    def _node(self, event: Any) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self._items())
        return self._mapping()

    def _scalar(self, event: Any) -> str | None:
        if event.style is None and event.value in _NULL and not event.tag:
            return None
        if not self._places:
            return str(event.value)
        text = Text(event.value)
        text.line = event.start_mark.line + 1
        return text

    def _items(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event)

    def _mapping(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise _error(event, "a key of a mapping is no plain text")
            if event.value in found:
                raise _error(event, f"the key {event.value[:60]!r} is there twice")
            key = self._scalar(event)
            found[event.value if key is None else key] = self._node(next(self._events))
        return found


def _error(event: Any, reason: str) -> PlainYamlError:
    return PlainYamlError(reason, event.start_mark.line + 1)
