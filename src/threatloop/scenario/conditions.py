"""Conditions: named sets of defences under which the scenarios are repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from threatloop.core.catalogue import DEFENCES
from threatloop.core.defence import Defence
from threatloop.core.protection import Protection


@dataclass(frozen=True)
class Condition:
    """A set of defences that is tried, beside those that a target has anyway.

    Attributes:
        name: in the spec; empty for the target as it is.
        defences: in the order in which they are named.
    """

    name: str = ""
    defences: tuple[Defence, ...] = ()

    def written(self) -> list[dict[str, Any]]:
        """The set as plain values: catalogue names and parameters."""
        return [{"name": name_of(one), **one.model_dump(mode="json", exclude_defaults=True)} for one in self.defences]


def name_of(defence: Defence) -> str:
    """The catalogue's name of a defence."""
    return DEFENCES.name_of(type(defence))


def set_problems(defences: Sequence[Defence], at: str) -> list[str]:
    """What is wrong with defences together: what a data owner does, what is there twice, what excludes another."""
    names = [name_of(defence) for defence in defences]
    problems = [
        f"{at}[{i}]: {names[i]} is what a data owner does; name it as a scenario's `protection`"
        for i, defence in enumerate(defences)
        if isinstance(defence, Protection)
    ]
    problems += [f"{at}: names {name} more than once; keep one" for name in sorted(set(names)) if names.count(name) > 1]
    pairs = [(a, b) for a, one in zip(names, defences, strict=True) for b in one.info.excludes if b in names]
    seen = {tuple(sorted(pair)) for pair in pairs}
    return problems + [f"{at}: {a} and {b} exclude each other; keep one" for a, b in sorted(seen)]
