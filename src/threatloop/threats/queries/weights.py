"""How plausible one edge is as a step of a path, from what it stands on.

A step's plausibility p lies in (0, 1), a path's is the product of its steps', and a path's cost the sum of −ln p:

- measured, the 95 % interval above zero: ``.80 + .15 · low / value``, so from .80 where the interval nearly touches zero
  to .95 where it is narrow; effects of other metrics become comparable, since only how sure the sign is counts;
- otherwise by level of evidence: reported .70, published .60, extracted .50, asserted .40;
- measured, the interval around zero: .40, as if it were asserted only;
- measured, the interval at or below zero: .10;
- ``enables`` and ``amplifies`` edges that nothing measured supports, between two threats for which a measurement says
  *no effect* or *weakens*: .10, so that refuted is worse than unknown.

The numbers order the levels; they are no probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Effect, Evidence, Kind, Relation

BY_LEVEL: Final[Mapping[Evidence, float]] = {
    Evidence.REPORTED: 0.70,
    Evidence.PUBLISHED: 0.60,
    Evidence.EXTRACTED: 0.50,
    Evidence.ASSERTED: 0.40,
}
SURE, SURER = 0.80, 0.15
UNRESOLVED: Final = 0.40
REFUTED: Final = 0.10
_REFUTABLE: Final = frozenset({Relation.ENABLES, Relation.AMPLIFIES})
_AGAINST: Final = frozenset({"no effect", "weakens"})

Pair = tuple[str, str]


def refuted_pairs(graph: ThreatGraph) -> frozenset[Pair]:
    """The pairs of threats (A, B) for which a measurement node says that A has no effect on B, or weakens it."""
    return frozenset(
        (a, b)
        for node in graph.nodes(Kind.MEASUREMENT)
        if node.attributes.get("verdict") in _AGAINST
        for a in _names(node.attributes.get("of"))
        for b in _names(node.attributes.get("on"))
    )


def plausibility(edge: Edge, refuted: frozenset[Pair] = frozenset()) -> float:
    """How plausible an edge is as a step, in (0, 1); the module says by which formula."""
    if edge.evidence is Evidence.MEASURED:
        return UNRESOLVED if edge.effect is None else of_effect(edge.effect)
    if edge.relation in _REFUTABLE and (edge.source, edge.target) in refuted:
        return REFUTED
    return BY_LEVEL[edge.evidence]


def of_effect(effect: Effect) -> float:
    """Of a measured edge."""
    if effect.high <= 0:
        return REFUTED
    if effect.low <= 0 or effect.value <= 0:
        return UNRESOLVED
    return SURE + SURER * min(effect.low / effect.value, 1.0)


def costs(graph: ThreatGraph) -> Callable[[Edge], float]:
    """The function from an edge of this graph to its cost −ln p."""
    refuted = refuted_pairs(graph)
    return lambda edge: -math.log(plausibility(edge, refuted))


def _names(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
