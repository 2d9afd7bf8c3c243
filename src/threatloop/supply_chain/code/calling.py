"""What a call gives back, and what it writes where."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Final

from threatloop.supply_chain.code import knowledge
from threatloop.supply_chain.code.facts import Call
from threatloop.supply_chain.code.values import (
    NOWHERE,
    OUTSIDE,
    UNKNOWN,
    Origin,
    Origins,
    Value,
    few,
    named,
)

_PARTIAL: Final = frozenset({"functools.partial", "functools.partialmethod"})
_DICT: Final = frozenset({"builtins.dict"})
_OPEN: Final = frozenset({"builtins.open", "io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open"})
_PATHS: Final = frozenset({"pathlib.Path", "os.path.join", "builtins.str", "os.fspath", "os.path.abspath",
                           "os.path.expanduser", "pathlib.PurePath", "os.path.realpath"})  # fmt: skip
_ATTRIBUTE: Final = frozenset({"builtins.getattr"})
_MODULE: Final = frozenset({"builtins.__import__", "importlib.import_module"})
_GETENV: Final = frozenset({"os.getenv", "os.environ.get"})
_READERS: Final = ("read_csv", "read_json", "read_parquet", "read_sql", "read_excel", "read_sql_query", "open",
                   "load_from_disk", "glob", "listdir", "execute", "read_text", "from_json", "from_csv")  # fmt: skip
_COLLECTED: Final = ("feedback", "uploads", "user_upload", "uploaded", "user_submitted", "submissions", "scraped",
                     "crawl", "thumbs_up", "user_ratings", "conversations_log")  # fmt: skip
_WEB: Final = ("http://", "https://", "ftp://")

Places = dict[str, Origins]


def outcome(call: Call, places: Places, returns: dict[str, Origins]) -> Value:
    """What the call may return.

    Args:
        call: just read.
        places: what was written to which path, by its text; what this call writes is added.
        returns: origins of the results of local functions.
    """
    _note_writes(call, places)
    names = call.callee.names
    if names & _PARTIAL and call.args:
        return replace(call.args[0], items=(*call.args[0].items, *call.keywords.items()))
    if names & _DICT and not call.args and not call.open:
        return Value(origins=call.origins, items=tuple(call.keywords.items()))
    if names & _PATHS and call.args:
        return _path(call)
    if names & _OPEN or any(name.endswith(".open") for name in names):
        return _opened(call)
    if names & _GETENV:
        return UNKNOWN
    if names & _ATTRIBUTE and len(call.args) > 1 and isinstance(text := call.args[1].only(), str):
        return Value(names=frozenset(f"{name}.{text}" for name in call.args[0].names), origins=call.origins)
    if names & _MODULE and isinstance(text := call.first().only(), str):
        return named(text)
    if names == {"transformers.pipeline"}:
        return _pipeline(call)
    return Value(names=few(frozenset(f"{name}()" for name in names)), origins=_origins(call, returns))


def _pipeline(call: Call) -> Value:
    task = (call.argument(0, "task") or UNKNOWN).only()
    texts = not isinstance(task, str) or task in knowledge.TEXT_TASKS
    return named("transformers.pipeline(texts)" if texts else "transformers.pipeline(scores)")


def _path(call: Call) -> Value:
    first = call.args[0]
    if len(call.args) == 1:
        return replace(first, items=(), names=first.names | call.callee.names)
    texts = first.texts()
    begin = texts[0] if len(texts) == 1 else ""
    return Value(names=call.callee.names, origins=call.origins, prefix=begin + "/" if begin else "")


def _opened(call: Call) -> Value:
    """A file object that remembers its path; of a path's own ``open`` the receiver."""
    node = call.node.args[0] if call.node.args else None
    if node is None and isinstance(call.node.func, ast.Attribute):
        node = call.node.func.value
    origins = call.origins | call.callee.origins | _collected(call)
    names = few(frozenset(f"{name}()" for name in call.callee.names))
    return Value(names=names, origins=origins, place="" if node is None else ast.unparse(node))


def _origins(call: Call, returns: dict[str, Origins]) -> Origins:
    kept = call.origins | call.callee.origins
    found: Origins | None = None
    for name in call.callee.names or ("?",):
        effect = _effect(call, name, kept)
        if effect is not None:
            found = (found or NOWHERE) | effect.gives | (kept if effect.keeps else NOWHERE)
            if Origin.MODEL_TEXT in effect.gives and kept & OUTSIDE:
                found |= {Origin.UNTRUSTED_PROMPT}
        elif (own := name.replace("()", "")) in returns:
            found = (found or NOWHERE) | returns[own] | kept
    if found is not None:
        return found
    return kept | _collected(call)


def _effect(call: Call, name: str, kept: Origins) -> knowledge.Effect | None:
    last = name.rpartition(".")[2]
    if last == "decode" and Origin.PREDICTION in kept:
        return knowledge.SAID
    if last.startswith("read_") and any(text.startswith(_WEB) for text in call.first().texts()):
        return knowledge.DOWNLOADED
    return knowledge.effect_of(name)


def _collected(call: Call) -> Origins:
    """Reading from a place whose name says that users filled it."""
    if not any(name.rpartition(".")[2] in _READERS for name in call.callee.names):
        return NOWHERE
    texts = " ".join(text.lower() for value in call.args[:2] for text in value.texts())
    return frozenset({Origin.COLLECTED}) if any(word in texts for word in _COLLECTED) else NOWHERE


def _note_writes(call: Call, places: Places) -> None:
    """Remember what is written to a path: through a file object, by a path's own method, or by a download."""
    func = call.node.func
    last = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    place = ""
    if last in {"write", "writelines"}:
        place = call.callee.place
    elif last == "copyfileobj" and len(call.args) > 1:
        place = call.args[1].place
    elif last in {"write_bytes", "write_text"} and isinstance(func, ast.Attribute):
        place = ast.unparse(func.value)
    if place and call.origins:
        places[place] = places.get(place, NOWHERE) | call.origins
    _note_downloads(call, last, places)


def _note_downloads(call: Call, last: str, places: Places) -> None:
    for name in (*call.callee.names, f"?.{last}"):
        if name not in knowledge.WRITES:
            continue
        position, keywords = knowledge.WRITES[name]
        node = next((k.value for k in call.node.keywords if k.arg in keywords), None)
        if node is None and position < len(call.node.args):
            node = call.node.args[position]
        if node is not None:
            places[ast.unparse(node)] = frozenset({Origin.DOWNLOAD})
