"""Sets of defences as the run names them: the defences that occur, and which of them exclude each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from threatloop.core.measurement import RunRecord
from threatloop.numerics.arrays import Floats

EXHAUSTIVE: Final = 4096
"""Sets up to which all are looked at."""
Bools = npt.NDArray[np.bool_]
Members = frozenset[int]
"""Positions in `Universe.elements`."""


@dataclass(frozen=True)
class Element:
    """One defence with its parameters.

    Attributes:
        label: its name, with parameters where the run has it with several.
        name: in the catalogue.
        written: as JSON, as the run writes it.
    """

    label: str
    name: str
    written: str

    @property
    def spec(self) -> str | dict[str, Any]:
        """As a spec names it."""
        found: dict[str, Any] = json.loads(self.written)
        return found if len(found) > 1 else str(found["name"])


@dataclass(frozen=True)
class Universe:
    """The defences of a run.

    Attributes:
        elements: in the order in which the run first names them.
        conditions: name → set; the target as it is has the empty name and set.
        exclusive: pairs of positions that cannot stand together.
    """

    elements: tuple[Element, ...]
    conditions: Mapping[str, Members]
    exclusive: frozenset[tuple[int, int]]

    @property
    def largest(self) -> int:
        """Size of the largest measured set."""
        return max(map(len, self.conditions.values()), default=0)

    def admissible(self, members: Members) -> bool:
        """Whether these defences can stand together."""
        return not any(pair in self.exclusive for pair in combinations(sorted(members), 2))

    def label(self, members: Members) -> str:
        """``a + b``, in the order in which the run names them."""
        return " + ".join(self.elements[i].label for i in sorted(members)) or "no defence"

    def count(self, most: int) -> int:
        """How many sets of up to so many defences there are, exclusions left aside."""
        return sum(comb(len(self.elements), k) for k in range(most + 1))

    def all_sets(self, most: int) -> Iterator[Members]:
        """Every admissible set of up to so many defences, the small ones first."""
        for k in range(most + 1):
            for found in combinations(range(len(self.elements)), k):
                if self.admissible(frozenset(found)):
                    yield frozenset(found)

    def incidence(self, sets: Sequence[Members]) -> Floats:
        """(sets, defences): 1.0 where the defence is in the set."""
        found = np.zeros((len(sets), len(self.elements)))
        for row, members in enumerate(sets):
            found[row, sorted(members)] = 1.0
        return found


def universe(record: RunRecord, exclusions: Mapping[str, Collection[str]]) -> Universe:
    """The defences of a run.

    Args:
        exclusions: by catalogue name, the names that it cannot be combined with; either side may name the other.
    """
    written = {name: [_written(one) for one in found] for name, found in record.conditions.items()}
    texts = list(dict.fromkeys(text for found in written.values() for text in found))
    names = [str(json.loads(text)["name"]) for text in texts]
    times = Counter(names)
    elements = tuple(
        Element(name if times[name] == 1 else _with_parameters(text), name, text)
        for name, text in zip(names, texts, strict=True)
    )
    conditions = {"": frozenset[int]()}
    conditions |= {name: frozenset(texts.index(text) for text in found) for name, found in written.items()}
    return Universe(elements, conditions, frozenset(_exclusive(names, exclusions)))


def _written(defence: Mapping[str, Any]) -> str:
    return json.dumps(dict(defence), sort_keys=True, ensure_ascii=False)


def _with_parameters(text: str) -> str:
    found = json.loads(text)
    name = found.pop("name")
    return f"{name}({', '.join(f'{key}={value}' for key, value in found.items())})" if found else str(name)


def _exclusive(names: Sequence[str], exclusions: Mapping[str, Collection[str]]) -> Iterable[tuple[int, int]]:
    for i, j in combinations(range(len(names)), 2):
        a, b = names[i], names[j]
        # The same defence with two parameters cannot stand twice in a lifecycle.
        if a == b or b in exclusions.get(a, ()) or a in exclusions.get(b, ()):
            yield i, j
