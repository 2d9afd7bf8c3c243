"""Which threats of a graph an audit has measured, which it could, and which nothing here can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from threatloop.core.step import Direction
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node, Stage
from threatloop.threats.queries.stats import cells_of


class State(StrEnum):
    """What is known of a threat."""

    MEASURED = "measured"
    MEASURABLE = "measurable"
    NOT_MEASURABLE = "not measurable"


@dataclass(frozen=True)
class Covered:
    """One threat.

    Attributes:
        cells: its pairs of direction and stage.
        by: the attacks that measured it, or that would.
        why: what is missing, empty where it was measured.
    """

    threat: Node
    state: State
    cells: tuple[tuple[str, str], ...]
    by: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Coverage:
    """All threats of a graph, each in exactly one state.

    Attributes:
        threats: in the graph's order.
        unplaced: attacks that were measured and that no threat names.
    """

    threats: tuple[Covered, ...]
    unplaced: tuple[str, ...]

    def counts(self) -> dict[State, int]:
        """Threats by state."""
        found = Counter(one.state for one in self.threats)
        return {state: found[state] for state in State}

    def table(self) -> dict[tuple[str, str], dict[State, int]]:
        """Threats by state in every cell of direction × stage that is named by the ontology, and in others in use.

        A threat in several stages counts in each.
        """
        cells = [(direction.value, stage.value) for direction in Direction for stage in Stage]
        found: dict[tuple[str, str], dict[State, int]] = {cell: dict.fromkeys(State, 0) for cell in cells}
        for one in self.threats:
            for cell in one.cells:
                found.setdefault(cell, dict.fromkeys(State, 0))[one.state] += 1
        return found


def coverage(
    graph: ThreatGraph, measured_attacks: Collection[str], failed: Mapping[str, str] | None = None
) -> Coverage:
    """Place every threat.

    Args:
        graph: threats name their attacks in ``measured_by``, and the reason where none does in ``not_measurable``.
        measured_attacks: catalogue names of the attacks with a figure that holds.
        failed: by attack, why it was tried and has none.
    """
    measured, reasons = frozenset(measured_attacks), failed or {}
    threats = tuple(_place(node, measured, reasons) for node in graph.nodes(Kind.THREAT))
    named = {attack for one in graph.nodes(Kind.THREAT) for attack in _attacks(one)}
    return Coverage(threats, tuple(sorted(measured - named)))


def _place(node: Node, measured: frozenset[str], failed: Mapping[str, str]) -> Covered:
    attacks = _attacks(node)
    if done := tuple(attack for attack in attacks if attack in measured):
        return Covered(node, State.MEASURED, cells_of(node), done, "")
    if attacks:
        tried = [f"{attack}: {failed[attack]}" for attack in attacks if attack in failed]
        return Covered(node, State.MEASURABLE, cells_of(node), attacks, "; ".join(tried) or "not in this run")
    why = str(node.attributes.get("not_measurable") or "no attack of the catalogue measures it")
    return Covered(node, State.NOT_MEASURABLE, cells_of(node), (), why)


def _attacks(node: Node) -> tuple[str, ...]:
    found = node.attributes.get("measured_by", ())
    return found if isinstance(found, tuple) else ()
