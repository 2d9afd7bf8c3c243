"""What pydantic found wrong with a spec, in the spec's own words: one line each, with the nearest allowed key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from threatloop.core.catalogue import nearest

MAX_SHOWN = 80
_KEY = "[key]"
_EITHER = (("str",), ("dict[str,any]",))
"""Last parts of the places that pydantic gives the two sides of ``str | dict``."""
_LIST, _MAPPING = "needs a list, such as [a, b]", "needs a mapping, such as {key: value}"
_WORDS = {"tuple_type": _LIST, "list_type": _LIST, "dict_type": _MAPPING, "model_type": _MAPPING}


def quoted(value: Any) -> str:
    """A value of the user's for a message: on one line, without control characters, not too long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def spelled(place: tuple[Any, ...]) -> str:
    """A place in the spec with dots; a part that would not show as one word is quoted."""
    return ".".join(_word(part) for part in place)


def _word(part: Any) -> str:
    text = str(part)
    return text if text.isprintable() and len(text) <= MAX_SHOWN else quoted(text)


def line(error: Any, model: type[BaseModel]) -> str:
    """One pydantic error as one line, with the nearest allowed key for an unknown one."""
    tagged = error["loc"]
    error = {**error, "loc": _without_tags(model, tagged)}
    place = spelled(error["loc"])
    if error["type"] == "extra_forbidden":
        allowed = _fields_at(model, tagged[:-1])
        return f"{place}: unknown key{nearest(str(error['loc'][-1]), allowed)}; allowed: {', '.join(allowed)}"
    given = error.get("input")
    shown = f" (got {quoted(given)})" if isinstance(given, (str, int, float, bool)) else ""
    if error["loc"][-1:] == (_KEY,):
        place = spelled((*error["loc"][:-2], quoted(given)))
        return f"{place}: is no name; use up to 64 letters, digits and _ . - after a letter or digit"
    if error["loc"][-1:] in _EITHER:
        place = spelled(error["loc"][:-1])
    message = _plain(error)
    return f"{place + ': ' if error['loc'] else ''}{message[0].lower()}{message[1:]}{shown}"


def _plain(error: Any) -> str:
    """The message in words of YAML rather than of Python."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["loc"][-1:] in _EITHER and error["type"] in ("string_type", "dict_type"):
        return "needs a name or a mapping"
    return _WORDS.get(error["type"], message)


def _fields_at(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """The allowed keys at a place in the model, as far as its annotations tell."""
    found = _models_at(model, place)
    return list(dict.fromkeys(name for one in found for name in one.model_fields))


def _without_tags(model: type[BaseModel], place: tuple[Any, ...]) -> tuple[Any, ...]:
    """A place without the tags by which pydantic tells apart what may stand there; the spec has no such keys."""
    return tuple(part for i, part in enumerate(place) if not _tagged(_models_at(model, place[:i]), part))


def _models_at(model: type[BaseModel], place: tuple[Any, ...]) -> list[type[BaseModel]]:
    """The models that may stand at a place; after a tag just the one that it names."""
    current = [model]
    for part in place:
        if chosen := _tagged(current, part):
            current = chosen
        elif fields := [one.model_fields[part] for one in current if part in one.model_fields]:
            current = list(_inner_models(fields[0].annotation))
    return current


def _tagged(models: list[type[BaseModel]], tag: Any) -> list[type[BaseModel]]:
    """Of several models that one whose tag this is: the single value that one of its fields allows."""
    if len(models) < 2:
        return []
    return [one for one in models if any(get_args(field.annotation) == (tag,) for field in one.model_fields.values())]


def _inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _inner_models(argument)
