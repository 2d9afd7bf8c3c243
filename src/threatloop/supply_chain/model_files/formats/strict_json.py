"""JSON, with the names that stand twice in one object."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Duplicates:
    """Names that an object holds twice; readers disagree about which counts."""

    names: list[str] = field(default_factory=list)

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    self.names.append(name)
                seen.add(name)
        return made


def loads(text: str, duplicates: Duplicates) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: no JSON.
        RecursionError: nested too deep.
    """
    return json.loads(text, object_pairs_hook=duplicates.pairs)
