"""From the text of a spec to plain values: numbers, text, lists and mappings. Whatever else YAML can say is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from threatloop.core.errors import InputError
from threatloop.scenario.problems import quoted

MAX_DEPTH = 32
MAX_VALUES = 1 << 17
"""More than a spec of the greatest size needs; stops a mapping in which a few lists repeat each other."""
MAX_NUMBER = 1000
"""Characters of a number: reading a longer one takes time that grows with its square."""

Found = tuple[tuple[Any, ...], str]
"""A place in the spec, and what is wrong there."""


class _Refused(yaml.MarkedYAMLError):
    """Sound YAML that has no place in a spec."""


class _Loader(yaml.SafeLoader):
    """YAML without aliases, repeated keys, deep nesting, and conversions that fail."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            _refuse(f"{sign}{event.anchor}: a spec has no anchors and aliases; write the value out", event.start_mark)
        if self.depth == MAX_DEPTH:
            _refuse(_TOO_DEEP, event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        scalar = isinstance(node, yaml.ScalarNode)
        if scalar and node.tag.endswith((":int", ":float")) and len(node.value) > MAX_NUMBER:
            _refuse(f"a number of {len(node.value)} characters; write a smaller one", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            kind = node.tag.rpartition(":")[2]
            shown = quoted(node.value) if scalar else "this"
            _refuse(f"{shown} is no valid {kind}; put it in quotes if it is text", node.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = self.construct_object(key, deep) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in lines:
                _refuse(_twice(name, lines[name]), key.start_mark)
            lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep; a spec needs about 8"


def _twice(key: Any, first: int) -> str:
    return f"the key {quoted(key)} appears twice in one mapping, first in line {first}; keep one"


def _refuse(problem: str, mark: yaml.Mark) -> NoReturn:
    raise _Refused(problem=problem, problem_mark=mark)


def read_content(raw: bytes | str, where: str) -> Any:
    """What YAML or JSON says.

    Args:
        raw: the text; bytes in UTF-8, or in UTF-16 with a byte order mark.
        where: names the text in messages.

    Raises:
        InputError: neither; a repeated key, with its line; anchors or aliases; nesting that is too deep; a date or
            number that is none.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8-sig")
        content = json.loads(text)
    except RecursionError:
        raise InputError(f"{where}: {_TOO_DEEP}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        return _yaml(raw, where)
    except ValueError:
        raise InputError(f"{where}: a number of more than {MAX_NUMBER} characters; write a smaller one") from None
    if repeated := _repeated(text):
        raise InputError(f"{where}: {repeated}")
    return content


def _yaml(raw: bytes | str, where: str) -> Any:
    """Not the first choice for JSON: YAML refuses its tabs and misreads its escapes beyond the 16-bit plane."""
    try:
        # A SafeLoader with fewer abilities.
        return yaml.load(raw, _Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        if isinstance(error, _Refused):
            raise InputError(f"{where}: {place}: {problem}") from None
        raise InputError(f"{where}: not YAML{' at ' * bool(place)}{place}: {problem}") from None


_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}\[\]]')


def _repeated(text: str) -> str:
    """The first repeated key of sound JSON, with its line; empty where there is none."""
    above: list[dict[str, int]] = []
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            above.append({})
        elif word in "}]":
            above.pop()
        elif token[2]:
            key, start = json.loads(token[1]), token.start()
            if key in above[-1]:
                line = text.count("\n", 0, start) + 1
                return f"line {line}: {_twice(key, text.count(chr(10), 0, above[-1][key]) + 1)}"
            above[-1][key] = start
    return ""


def value_problems(content: Any, where: str) -> list[Found]:
    """Values that no part of a spec can hold, wherever they stand: NaN, infinity, dates, keys that are no text, …

    Raises:
        InputError: nested too deep (or in itself), or too many values to look at.
    """
    found = []
    for number, (place, value) in enumerate(_values(content, (), where)):
        if number >= MAX_VALUES:
            raise InputError(f"{where}: more than {MAX_VALUES} values; a spec lists files, not their content")
        if problem := _problem(value):
            found.append((place, problem))
        odd = [key for key in value if not isinstance(key, str) or _unwritable(key)] if isinstance(value, dict) else []
        found += [((*place, key), "this key is no plain text; put it in quotes, or mend it") for key in odd]
    return found


def _values(value: Any, place: tuple[Any, ...], where: str) -> Iterator[Found | tuple[tuple[Any, ...], Any]]:
    if len(place) > MAX_DEPTH:
        raise InputError(f"{where}: {_TOO_DEEP}")
    yield place, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, inner in pairs:
        yield from _values(inner, (*place, key), where)


def _problem(value: Any) -> str:
    if value is None or isinstance(value, (bool, list, tuple, dict)):
        return ""
    if isinstance(value, str):
        return f"{quoted(value)} holds a character that cannot be written to a file" if _unwritable(value) else ""
    if isinstance(value, int):
        return "" if abs(value) <= 1 << 64 else "more than 64 bits; write a smaller number"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"input should be a finite number (got {value})"
    return f"a {type(value).__name__} is none of text, number, list and mapping; put it in quotes if it is text"


def _unwritable(text: str) -> bool:
    """NUL ends a path early; half of a surrogate pair has no encoding."""
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
