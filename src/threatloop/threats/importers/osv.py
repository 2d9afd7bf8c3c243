"""Advisories in the OSV schema in the graph: vulnerabilities, and the packages that they affect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from threatloop.threats.advisories import Advisory, AdvisorySet, Affected, read_advisories
from threatloop.threats.importers.imported import Imported
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation, package_id


def read_osv(path: Path) -> Imported:
    """The advisories of a zip, a folder or a file.

    Raises:
        InputError: it cannot be read as a whole.
    """
    return from_advisories(read_advisories(path), path.name)


def from_advisories(found: AdvisorySet, source: str = "OSV") -> Imported:
    """Nodes and edges of advisories that stand; withdrawn ones and unreadable parts are left out and told.

    A vulnerability's node has the CVE id where an advisory has one alias of that kind, so that sources meet in one
    node; else the advisory's own.
    """
    standing = [one for one in found.advisories if one.withdrawn is None]
    nodes: dict[str, Node] = {}
    for advisory in standing:
        id_ = vulnerability_id(advisory)
        old = nodes.get(id_)
        nodes[id_] = _node(id_, advisory) if old is None else _joined(old, advisory)
        nodes |= {node.id: node for node in _packages(advisory)}
    edges = tuple(edge for advisory in standing for edge in _edges(advisory))
    left_out = shortened([str(problem) for problem in found.problems])
    if gone := len(found.advisories) - len(standing):
        left_out.append(f"{source}: {gone} advisories left out, because they were withdrawn")
    return Imported(source, tuple(nodes.values()), edges, tuple(left_out))


def vulnerability_id(advisory: Advisory) -> str:
    """Its only CVE alias, or its own id where it has none or several."""
    cves = sorted(name for name in advisory.names if name.startswith("CVE-"))
    return cves[0] if len(cves) == 1 else advisory.id


def _node(id_: str, advisory: Advisory) -> Node:
    facts: dict[str, Attribute] = {"aliases": tuple(sorted(advisory.names - {id_}))}
    for name, time in (("published", advisory.published), ("modified", advisory.modified)):
        if time is not None:
            facts[name] = time.date().isoformat()
    if advisory.severity:
        facts["severity"] = tuple(vector for _, vector in advisory.severity)
    if advisory.rating:
        facts["rating"] = advisory.rating
    return Node(id_, Kind.VULNERABILITY, advisory.summary or id_, advisory.details, facts)


def _joined(old: Node, advisory: Advisory) -> Node:
    """Two advisories of one vulnerability: the longer text, all names."""
    new = _node(old.id, advisory)
    aliases = {*_texts(old.attributes.get("aliases")), *_texts(new.attributes.get("aliases"))}
    name = old.name if old.name != old.id else new.name
    text = max(old.text, new.text, key=len)
    return Node(old.id, old.kind, name, text, {**new.attributes, **old.attributes, "aliases": tuple(sorted(aliases))})


def _texts(value: Attribute | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _packages(advisory: Advisory) -> Iterator[Node]:
    for part in advisory.affected:
        facts = {"ecosystem": part.ecosystem}
        yield Node(package_id(part.ecosystem, part.package), Kind.PACKAGE, part.package, attributes=facts)


def _edges(advisory: Advisory) -> Iterator[Edge]:
    times = Counter(package_id(part.ecosystem, part.package) for part in advisory.affected)
    for place, part in enumerate(advisory.affected, 1):
        target = package_id(part.ecosystem, part.package)
        source = f"OSV {advisory.id}" + (f", part {place}" if times[target] > 1 else "")
        facts = _versions(part)
        id_ = vulnerability_id(advisory)
        yield Edge(id_, Relation.AFFECTS, target, source, Evidence.PUBLISHED, attributes=facts)


def _versions(part: Affected) -> dict[str, Attribute]:
    facts: dict[str, Attribute] = {"listed_versions": len(part.versions)}
    events = [event for one in part.ranges if one.type != "GIT" for event in one.events]
    for kind in ("introduced", "fixed", "last_affected"):
        if found := tuple(event.version for event in events if event.kind == kind):
            facts[kind] = found
    return facts
