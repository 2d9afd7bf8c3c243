"""What a long report shows at once and what it folds away, by direction."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from threatloop.analysis.summary import DIRECTIONS
from threatloop.core.measurement import RunRecord
from threatloop.report.words import DIRECTION_WORDS

T = TypeVar("T")

CHAINS: Final = "Chains"


@dataclass(frozen=True)
class Fold(Generic[T]):
    """Items of one direction, or of chains, which have several.

    Attributes:
        shown: what is seen at once.
        folded: the rest.
    """

    title: str
    shown: tuple[T, ...]
    folded: tuple[T, ...]


def direction_of(record: RunRecord, scenario: str) -> str:
    """The direction of a scenario of one attack; empty for a chain, or where the run does not say."""
    attacks = record.scenarios.get(scenario, {}).get("attacks", ())
    return str(record.attacks.get(attacks[0], {}).get("direction", "")) if len(attacks) == 1 else ""


def folds(
    items: Iterable[T], direction: Callable[[T], str], kind: Callable[[T], Hashable], most: int, first: int
) -> tuple[Fold[T], ...]:
    """Items by direction, in the usual order, chains last.

    Args:
        direction: of an item; empty for a chain.
        kind: of an item; where there are many, the first one of each kind is seen.
        most: up to so many items in all, nothing is folded.
        first: items per direction that are seen at most where there are more.
    """
    all_of = list(items)
    found = []
    for name in (*DIRECTIONS, ""):
        group = [item for item in all_of if direction(item) == name]
        if not group:
            continue
        kinds = {kind(item): i for i, item in reversed(list(enumerate(group)))}
        seen = range(len(group)) if len(all_of) <= most else sorted(kinds.values())[:first]
        title = f"{name} · {DIRECTION_WORDS[name]}" if name else CHAINS
        shown, folded = (tuple(x for i, x in enumerate(group) if (i in seen) is wanted) for wanted in (True, False))
        found.append(Fold(title, shown, folded))
    return tuple(found)
