"""Which node a user means by an id, a name or a few words of one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from threatloop.core.errors import InputError

SHOWN: Final = 5


def resolve(said: str, names: Mapping[str, str]) -> str:
    """The id that is meant.

    In this order: the id, in any case and with or without ``threat:`` before it; the whole name; all words of the name
    or id of exactly one node.

    Args:
        names: id → name of all nodes.

    Raises:
        InputError: no node, with the nearest ones; or several, with the first of them.
    """
    if said in names:
        return said
    if f"threat:{said}" in names:
        return f"threat:{said}"
    wanted = said.strip().casefold()
    texts = {id_: (id_.casefold(), name.casefold()) for id_, name in names.items()}
    for match in (
        [id_ for id_, (id_text, _) in texts.items() if wanted in (id_text, id_text.removeprefix("threat:"))],
        [id_ for id_, (_, name) in texts.items() if name == wanted],
        _holding(wanted.split(), texts),
    ):
        if len(match) == 1:
            return match[0]
        if match:
            more = f" and {len(match) - SHOWN} more" if len(match) > SHOWN else ""
            listed = ", ".join(f"{id_} ({names[id_]})" for id_ in match[:SHOWN])
            raise InputError(f"{said!r} may be any of {len(match)} nodes: {listed}{more}; give the id")
    raise InputError(f"no node {said!r} in the graph{_nearest(wanted, texts)}; `threatloop threats search` finds nodes")


def _holding(words: list[str], texts: Mapping[str, tuple[str, str]]) -> list[str]:
    if not words:
        return []
    return [id_ for id_, both in texts.items() if all(any(word in text for text in both) for word in words)]


def _nearest(wanted: str, texts: Mapping[str, tuple[str, str]]) -> str:
    by_text = {text: id_ for id_, both in texts.items() for text in (both[1], both[0].removeprefix("threat:"))}
    close = difflib.get_close_matches(wanted, by_text, n=3, cutoff=0.5)
    ids = list(dict.fromkeys(by_text[text] for text in close))
    return f" (did you mean {' or '.join(ids)}?)" if ids else ""
