"""A release of MITRE ATLAS in the graph.

A technique *uses* the tactic that it serves, a sub-technique the technique that it refines, and tactics *precede* each
other in the order of the matrix. In a case study, a step's technique *precedes* the next one's, and the study is
*evidence of* each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.atlas_schema import CaseStudy, Entry, Release, plain, read_release
from threatloop.threats.importers.imported import Imported
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation


def read_atlas(path: Path) -> Imported:
    """The nodes and edges of a release file, with provenance ``ATLAS 5.6.0``.

    Raises:
        InputError, Problems: as `read_release`.
    """
    return from_release(read_release(path))


def from_release(release: Release) -> Imported:
    """The nodes and edges of a release."""
    nodes = (*_tactics(release), *_techniques(release), *_mitigations(release), *_studies(release))
    return Imported(provenance(release), nodes, (*_stated(release), *_seen(release)))


def provenance(release: Release) -> str:
    return f"ATLAS {release.version}"


def unknown_ids(graph: ThreatGraph, release: Release) -> tuple[str, ...]:
    """ATLAS ids that the graph names and the release does not have, one line each, with who names them."""
    known = release.ids
    named: defaultdict[str, set[str]] = defaultdict(set)
    for node in graph.nodes():
        ids = node.attributes.get("atlas", ())
        for id_ in (node.id, *(ids if isinstance(ids, tuple) else ())):
            if id_.startswith("AML.") and id_ not in known:
                named[id_].add(node.id)
    for id_, by in named.items():
        by |= {edge.source for edge in graph.into(id_)}
        by.discard(id_)
    return tuple(
        f"{id_}: is unknown to {provenance(release)}" + (f"; named by {_first(by)}" if by else "")
        for id_, by in sorted(named.items())
    )


def _first(names: set[str], most: int = 3) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _dated(release: Release, one: Entry) -> dict[str, Attribute]:
    return {"release": release.version, "modified": one.modified_date}


def _tactics(release: Release) -> Iterator[Node]:
    for place, one in enumerate(release.tactics, 1):
        facts = {**_dated(release, one), "order": place}
        yield Node(one.id, Kind.TACTIC, one.name, one.text, facts)


def _techniques(release: Release) -> Iterator[Node]:
    names = {one.id: one.name for one in release.techniques}
    for one in release.techniques:
        facts = {**_dated(release, one), "maturity": one.maturity}
        if one.parent is not None:
            facts["parent"] = one.parent
        title = one.name if one.parent is None else f"{names[one.parent]}: {one.name}"
        yield Node(one.id, Kind.TECHNIQUE, title, one.text, facts)


def _mitigations(release: Release) -> Iterator[Node]:
    for one in release.mitigations:
        facts = {**_dated(release, one), "category": one.category}
        yield Node(one.id, Kind.MITIGATION, one.name, one.text, facts)


def _studies(release: Release) -> Iterator[Node]:
    for one in release.case_studies:
        facts: dict[str, Attribute] = {
            "release": release.version,
            "type": one.kind,
            "date": one.date,
            "target": plain(one.target),
            "actor": plain(one.actor),
            "steps": tuple(step.technique for step in one.procedure),
        }
        yield Node(one.id, Kind.INCIDENT, one.name, plain(one.summary), facts)


def _stated(release: Release) -> Iterator[Edge]:
    said = (provenance(release), Evidence.PUBLISHED)
    for before, after in pairwise(release.tactics):
        yield Edge(before.id, Relation.PRECEDES, after.id, *said, attributes={"order": "of the matrix"})
    for one in release.techniques:
        for tactic in one.tactics:
            yield Edge(one.id, Relation.USES, tactic, *said)
        if one.parent is not None:
            yield Edge(one.id, Relation.USES, one.parent, *said, attributes={"refines": True})
    for mitigation in release.mitigations:
        for use in mitigation.techniques:
            yield Edge(use.id, Relation.MITIGATED_BY, mitigation.id, *said, attributes={"use": plain(use.use)})


def _seen(release: Release) -> Iterator[Edge]:
    for study in release.case_studies:
        source = f"{provenance(release)}, {study.id}"
        for before, after in _consecutive(study):
            yield Edge(before, Relation.PRECEDES, after, source, Evidence.REPORTED)
        for technique, places in _places(study).items():
            facts: dict[str, Attribute] = {"steps": tuple(str(place) for place in places)}
            yield Edge(study.id, Relation.EVIDENCE_OF, technique, source, Evidence.REPORTED, attributes=facts)


def _consecutive(study: CaseStudy) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(study.procedure):
        if before.technique != after.technique:
            yield before.technique, after.technique


def _places(study: CaseStudy) -> dict[str, list[int]]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, step in enumerate(study.procedure, 1):
        places[step.technique].append(place)
    return places
