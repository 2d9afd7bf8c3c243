"""How plausible one edge is as a step of a path, from what it stands on.

A step's plausibility p lies in (0, 1), a path's is the product of its steps', and a path's cost the sum of −ln p:

- measured, the 95 % interval above zero: ``.80 + .15 · low / value``, from .80 where it nearly touches zero to .95
  where it is narrow; it is the sureness of the sign that counts, so that figures of all metrics compare;
- otherwise by level of evidence: reported .70, published .60, extracted .50, asserted .40;
- measured, the interval around zero or no effect stated: .40, as if it were asserted only;
- measured, the interval at or below zero: .10;
- ``enables`` and ``amplifies`` edges that are not measured, between two threats for which a measurement says *no
  effect* or *weakens*: .10, so that refuted is worse than unknown.

The numbers order the levels; they are no probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from threatloop.threats.ontology import Evidence, Node, Relation
from threatloop.threats.queries.columns import LEVELS, RELATIONS, Columns, Floats

BY_LEVEL: Final[Mapping[Evidence, float]] = {
    Evidence.MEASURED: 0.40,
    Evidence.REPORTED: 0.70,
    Evidence.PUBLISHED: 0.60,
    Evidence.EXTRACTED: 0.50,
    Evidence.ASSERTED: 0.40,
}
SURE, SURER = 0.80, 0.15
REFUTED: Final = 0.10
_REFUTABLE: Final = (Relation.ENABLES, Relation.AMPLIFIES)
_AGAINST: Final = frozenset({"no effect", "weakens"})

Pair = tuple[str, str]


def plausibilities(columns: Columns) -> Floats:
    """Shape (m,), in (0, 1): how plausible each edge is as a step; the module says by which formula."""
    found = np.array([BY_LEVEL[level] for level in LEVELS])[columns.levels]
    measured = columns.levels == LEVELS.index(Evidence.MEASURED)
    value, low, high = np.nan_to_num(columns.effects, nan=0.0).T
    stated = measured & np.isfinite(columns.effects[:, 0])
    above = stated & (low > 0) & (value > 0)
    found[above] = SURE + SURER * np.minimum(low[above] / value[above], 1.0)
    found[stated & (high <= 0)] = REFUTED
    found[~measured & _contradicted(columns)] = REFUTED
    return found


def refuted_pairs(measurements: Iterable[Node]) -> frozenset[Pair]:
    """The pairs of threats (A, B) for which a measurement node says that A has no effect on B, or weakens it."""
    return frozenset(
        (a, b)
        for node in measurements
        if node.attributes.get("verdict") in _AGAINST
        for a in _names(node.attributes.get("of"))
        for b in _names(node.attributes.get("on"))
    )


def _contradicted(columns: Columns) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Shape (m,): edges that say what a measurement denies."""
    place = {id_: i for i, id_ in enumerate(columns.ids)}
    pairs = [(place[a], place[b]) for a, b in refuted_pairs(columns.measurements) if a in place and b in place]
    n = len(columns.ids)
    refuted = np.array([a * n + b for a, b in pairs], dtype=np.int64)
    relations = [RELATIONS.index(one) for one in _REFUTABLE]
    return np.isin(columns.relations, relations) & np.isin(columns.sources * n + columns.targets, refuted)


def _names(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
