"""From what a spec says about its data to a reader."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from threatloop.core.errors import InputError
from threatloop.data.behaviours import Behaviours
from threatloop.data.chat import Chats
from threatloop.data.embedded import Embedded
from threatloop.data.image_files import ImageFiles
from threatloop.data.medmnist import MedMnist
from threatloop.data.npz import Npz
from threatloop.data.source import Loaded, Source, refuse
from threatloop.data.table import Csv, Parquet
from threatloop.data.text import Text

__all__ = ["READERS", "Loaded", "Source", "SourceField", "parse_source"]

READERS: Mapping[str, type[Source]] = {
    reader.key: reader for reader in (Embedded, Npz, MedMnist, ImageFiles, Csv, Parquet, Text, Chats, Behaviours)
}
"""Readers by the field that names them."""
SHORT: Mapping[str, Mapping[str, str]] = {
    "digits": {"embedded": "digits"},
    "breast_cancer": {"embedded": "breast_cancer"},
    "text": {"text": "stdlib"},
    "standin": {"chat": "standin"},
    "brief": {"chat": "brief"},
    "preferences": {"chat": "preferences"},
}
"""Sources that one word names."""
BY_SUFFIX = {".npz": "npz", ".zip": "images", ".csv": "csv", ".parquet": "parquet", ".jsonl": "chat"}


def parse_source(value: Any) -> Source:
    """The reader for a name (``digits``, ``medmnist:NAME``) or a mapping (``{npz: PATH}``, ``{csv: PATH, target: …}``).

    Raises:
        InputError, Problems: unknown names and keys, with the nearest match; values that are not allowed.
    """
    if isinstance(value, Source):
        return value
    fields = _from_name(value) if isinstance(value, str) else value
    if not isinstance(fields, Mapping):
        raise InputError(f"data: expected a name or a mapping, not {type(value).__name__}; {_choices()}")
    named = [key for key in fields if key in READERS]
    if len(named) != 1:
        raise InputError(_unnamed([str(key) for key in fields], named))
    reader = READERS[named[0]]
    try:
        return reader.model_validate(dict(fields))
    except ValidationError as error:
        lines = [_line(reader, dict(problem)) for problem in error.errors()]
    refuse("data", lines)
    raise AssertionError("a validation error lists at least one problem")


def catalogue_rows() -> list[dict[str, Any]]:
    """One row per kind of source, for the command line: how to name it, its options, and what it reads."""
    rows = []
    for key, reader in READERS.items():
        words = [word for word, meant in SHORT.items() if key in meant]
        options = [name for name in reader.model_fields if name != key]
        about = (reader.__doc__ or "").strip().splitlines()[0].replace("``", "")
        rows.append({"name": " or ".join(words) or f"{{{key}: …}}", "options": options, "reads": about})
    return rows


def _from_name(name: str) -> Mapping[str, str]:
    if name in SHORT:
        return SHORT[name]
    key, colon, rest = name.partition(":")
    if colon and key == "medmnist":
        return {"medmnist": rest}
    for suffix, reader in BY_SUFFIX.items():
        if name.lower().endswith(suffix):
            extra = ", target: COLUMN" if reader in ("csv", "parquet") else ""
            raise InputError(f"data: {name!r} looks like a file; write {{{reader}: {name}{extra}}}")
    raise InputError(f"data: unknown data set {name!r}; {_hint(name, [*SHORT, 'medmnist:'])}{_choices()}")


def _unnamed(keys: list[str], named: list[str]) -> str:
    if len(named) > 1:
        return f"data: {' and '.join(named)} each name a source; give one"
    hint = next(filter(None, (_hint(key, list(READERS)) for key in keys)), "")
    return f"data: none of the keys {', '.join(keys) or '(none)'} names a source; {hint}{_choices()}"


def _line(reader: type[Source], problem: dict[str, Any]) -> str:
    at = ".".join(str(part) for part in problem["loc"]) or reader.key
    if problem["type"] == "extra_forbidden":
        names = list(reader.model_fields)
        return f"unknown key {at!r} for {reader.key}; {_hint(at, names)}allowed: {', '.join(sorted(names))}"
    if problem["type"] == "missing":
        return f"{reader.key} needs {at!r}"
    return f"{at}: {problem['msg'].removeprefix('Value error, ')} (found {str(problem['input'])[:80]!r})"


def _hint(word: str, names: list[str]) -> str:
    near = get_close_matches(word, names, 1, 0.6)
    return f"did you mean {near[0]!r}? " if near else ""


def _choices() -> str:
    return f"names: {', '.join(SHORT)}, medmnist:NAME; or one of the keys {', '.join(READERS)}"


def _for_pydantic(value: Any) -> Source:
    try:
        return parse_source(value)
    except InputError as error:
        raise ValueError(str(error)) from None


AnySource = Embedded | Npz | MedMnist | ImageFiles | Csv | Parquet | Text | Chats | Behaviours
SourceField = Annotated[AnySource, BeforeValidator(_for_pydantic, json_schema_input_type=str | AnySource)]
"""For a field of a spec model: takes what ``parse_source`` takes, and has a JSON Schema."""
