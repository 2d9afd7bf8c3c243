"""What an audit measured, in the graph: one node per figure, per cell of the interaction matrix and per enablement.

Of these nodes all are *evidence of* their threats, with the verdict as attribute. An edge that says more follows from a
verdict only, never from a mean: *amplifies* of one attack on another gives ``amplifies`` and, within a chain,
``enables``; of a defence, ``amplifies`` from its mitigation; *weakens* of a usable defence gives ``mitigated-by``. *No
effect*, *unresolved* and suspect cells give none. The threats of a pair of attacks are kept as ``of`` and ``on``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.threats.importers.imported import Imported
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.importers.run_schema import (
    About,
    Cell,
    Enablement,
    Estimate,
    Finding,
    Interval,
    Judged,
    NotComputed,
    Run,
)
from threatloop.threats.ontology import Attribute, Edge, Effect, Evidence, Kind, Node, Relation

ThreatsOf = Callable[[str], Sequence[str]]
"""From the name of an attack to the ids of the threats that it measures."""
_ATTACKS: Final = "attack × attack"
HELPS, HINDERS = "amplifies", "weakens"


def from_run(run: Run, threats_of: ThreatsOf) -> Imported:
    """Nodes and edges of a run; attacks without a threat, and what was not assessed, are left out and told.

    Args:
        run: as `run_schema.read_run` returns it.
        threats_of: the threats must be in the graph that the edges go to.
    """
    source = f"run {run.about.run}"
    nodes: list[Node] = []
    edges: list[Edge] = []
    for one in _statements(run, threats_of):
        nodes += [one.node, *one.others]
        edges += one.edges
    unknown = sorted(attack for attack in run.attacks if not threats_of(attack))
    left_out = [f"{source}: {attack}: no threat of the catalogue names this attack" for attack in unknown]
    left_out += [
        f"{source}: {cell.row} → {cell.column} on {cell.target}: not assessed, because {cell.why}"
        for cell in run.report.interactions
        if cell.verdict == "not assessed"
    ]
    return Imported(source, tuple(nodes), tuple(edges), tuple(shortened(left_out)))


@dataclass(frozen=True)
class Measured:
    """Which attacks of a run have a figure that holds.

    Attributes:
        attacks: with at least one headline figure that was computed and is not suspect.
        failed: of the others, why not.
    """

    attacks: frozenset[str]
    failed: Mapping[str, str]


def measured(run: Run) -> Measured:
    """Of every attack of a run, whether it has a figure that holds."""
    attacks, failed = set[str](), dict[str, str]()
    for one in run.report.findings:
        if not one.headline:
            continue
        if isinstance(one.value.mean, NotComputed):
            failed[one.attack] = f"not computed, because {one.value.mean.not_computed}"
        elif one.suspect:
            failed[one.attack] = f"attack suspect: {one.suspect[0]}"
        else:
            attacks.add(one.attack)
    for attack in run.attacks - attacks:
        failed.setdefault(attack, "has no headline figure")
    return Measured(frozenset(attacks), {name: why for name, why in failed.items() if name not in attacks})


@dataclass(frozen=True)
class _Statement:
    """A node of the graph, the edges that follow from it, and nodes at their other ends."""

    node: Node
    edges: tuple[Edge, ...]
    others: tuple[Node, ...] = ()


def _statements(run: Run, threats_of: ThreatsOf) -> Iterator[_Statement]:
    about = run.about
    for finding in run.report.findings:
        if finding.headline:
            yield _of_finding(about, finding, threats_of(finding.attack))
    for cell in run.report.interactions:
        if cell.verdict != "not assessed":
            yield _of_cell(about, cell, threats_of)
    for gift in run.report.enablements:
        yield _of_enablement(about, gift, threats_of)


def _of_finding(about: About, one: Finding, threats: Sequence[str]) -> _Statement:
    place = "/".join(filter(None, (one.target, one.scenario, str(one.step), one.metric, one.gate)))
    effect = _effect(one.effect, about.unit(one.metric))
    facts = _facts(about, one.attack, one.metric, one.effect, one.suspect)
    facts |= _numbers("figure", one.value)
    if one.defences:
        facts["defences"] = one.defences
    name = f"{one.metric} of {one.attack} on {one.target} ({one.scenario}, step {one.step})"
    node = Node(f"measurement:{about.run}/{place}", Kind.MEASUREMENT, name, attributes=facts)
    return _Statement(node, tuple(_evidence(node, threats, effect, _source(about, place))))


def _of_cell(about: About, one: Cell, threats_of: ThreatsOf) -> _Statement:
    place = f"{one.target}/{one.row} → {one.column}"
    harmed, source = threats_of(one.attack), _source(about, place)
    effect = _effect(one.effect, one.unit)
    facts = _facts(about, one.attack, one.metric, one.effect, one.suspect)
    facts |= {"verdict": one.verdict, "why": one.why, "family": one.family, "usable": one.usable}
    sure = effect is not None and not one.suspect
    if one.family == _ATTACKS:
        first = threats_of(about.attack(one.scenario, 1))
        facts |= {"of": tuple(first), "on": tuple(harmed)}
        links = _links(first, Relation.AMPLIFIES, harmed) if sure and one.verdict == HELPS else ()
        others: tuple[Node, ...] = ()
    else:
        others = (_mitigation(about, one.condition),)
        links = _of_defence(one, others[0].id, harmed) if sure else ()
        effect = _turned(effect) if one.verdict == HINDERS else effect
    node = Node(f"measurement:{about.run}/{place}", Kind.MEASUREMENT, place, attributes=facts)
    ends = (*harmed, *(other.id for other in others))
    edges = (*_evidence(node, ends, effect, source), *_measured_edges(links, effect, source))
    return _Statement(node, edges, others)


Link = tuple[str, Relation, str]


def _of_defence(one: Cell, mitigation: str, harmed: Sequence[str]) -> tuple[Link, ...]:
    if one.verdict == HELPS:
        return _links((mitigation,), Relation.AMPLIFIES, harmed)
    if one.verdict == HINDERS and one.usable:
        return _links(harmed, Relation.MITIGATED_BY, (mitigation,))
    return ()


def _of_enablement(about: About, one: Enablement, threats_of: ThreatsOf) -> _Statement:
    gates = " and ".join(filter(None, (one.gate_on, one.gate_off)))
    place = f"{one.target}/{one.scenario}/step {one.removed} → {one.step}" + (f" ({gates})" if gates else "")
    first, harmed = threats_of(about.attack(one.scenario, one.removed)), threats_of(one.attack)
    facts = _facts(about, one.attack, one.metric, one.effect, ())
    facts |= {"of": tuple(first), "on": tuple(harmed), "gate_determined": one.gate_determined}
    effect = _effect(one.effect, about.unit(one.metric))
    helps = isinstance(one.effect, Judged) and one.effect.verdict == HELPS
    if effect is not None and helps and effect.value < 0:
        effect = _turned(effect)
    source = _source(about, place)
    links = _links(first, Relation.ENABLES, harmed) if helps and effect is not None else ()
    node = Node(f"measurement:{about.run}/{place}", Kind.MEASUREMENT, place, attributes=facts)
    edges = (*_evidence(node, harmed, effect, source), *_measured_edges(links, effect, source))
    return _Statement(node, edges)


def _source(about: About, place: str) -> str:
    return f"run {about.run}: {place}"


def _facts(
    about: About, attack: str, metric: str, effect: Judged | NotComputed, suspect: Sequence[str]
) -> dict[str, Attribute]:
    facts: dict[str, Attribute] = {"run": about.run, "attack": attack, "metric": metric}
    if isinstance(effect, NotComputed):
        facts["not_computed"] = effect.not_computed
    else:
        facts |= {"verdict": effect.verdict, "why": effect.why} | _numbers("effect", effect)
    if suspect:
        facts["suspect"] = tuple(suspect)
    return facts


def _numbers(name: str, estimate: Estimate) -> dict[str, Attribute]:
    if isinstance(estimate.mean, NotComputed):
        return {f"{name}_not_computed": estimate.mean.not_computed}
    found: dict[str, Attribute] = {name: estimate.mean, f"{name}_seeds": estimate.n}
    if isinstance(estimate.interval, Interval):
        found |= {f"{name}_low": estimate.interval.low, f"{name}_high": estimate.interval.high}
    return found


def _effect(found: Judged | NotComputed, unit: str) -> Effect | None:
    if isinstance(found, NotComputed) or isinstance(found.mean, NotComputed) or isinstance(found.interval, NotComputed):
        return None
    return Effect(found.mean, found.interval.low, found.interval.high, found.n, unit)


def _turned(effect: Effect | None) -> Effect | None:
    """The same difference seen from the other side."""
    if effect is None:
        return None
    return Effect(-effect.value, -effect.high, -effect.low, effect.n, effect.unit)


def _evidence(node: Node, ends: Sequence[str], effect: Effect | None, source: str) -> Iterator[Edge]:
    facts: dict[str, Attribute] = {"verdict": node.attributes.get("verdict", "not computed")}
    for end in ends:
        yield Edge(node.id, Relation.EVIDENCE_OF, end, source, Evidence.MEASURED, effect, facts)


def _links(sources: Sequence[str], relation: Relation, targets: Sequence[str]) -> tuple[Link, ...]:
    return tuple((a, relation, b) for a in sources for b in targets if a != b)


def _measured_edges(links: Sequence[Link], effect: Effect | None, source: str) -> Iterator[Edge]:
    for start, relation, end in links:
        yield Edge(start, relation, end, source, Evidence.MEASURED, effect)


def _mitigation(about: About, condition: str) -> Node:
    """The defence of a condition, as the catalogue names it, or the whole set where it has several."""
    names = tuple(one.name for one in about.conditions.get(condition, ())) or (condition,)
    id_ = names[0] if len(names) == 1 else condition
    return Node(f"mitigation:{id_}", Kind.MITIGATION, " and ".join(names).replace("_", " "), attributes={"stub": True})
