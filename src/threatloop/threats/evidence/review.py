"""What a reviewer accepts becomes nodes and edges, each with the passage it stands on; nothing else gets in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from threatloop.core.digests import digest_json
from threatloop.core.errors import Problems
from threatloop.threats.evidence.proposals import Proposal
from threatloop.threats.evidence.queue import Queue
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation

LONGEST_SLUG = 60


def chosen(
    queue: Queue, accept: Iterable[str], reject: Iterable[str], everything: bool = False
) -> tuple[list[Proposal], list[str]]:
    """The proposals to accept, and the ids to reject.

    Args:
        accept, reject: ids, or beginnings that only one open proposal has.
        everything: accept all open proposals that are not rejected.

    Raises:
        Problems: ids that are unknown, ambiguous, decided already, or both accepted and rejected; all at once.
    """
    problems = list[str]()
    no = [_id(queue, one, problems) for one in reject]
    yes = [_id(queue, one, problems) for one in accept]
    if everything:
        yes += [one.id for one in queue.open if one.id not in no]
    problems += [f"{id_}: is both accepted and rejected" for id_ in dict.fromkeys(yes) if id_ and id_ in no]
    if problems:
        raise Problems("proposals", problems)
    return [queue.proposals[id_] for id_ in dict.fromkeys(yes)], list(dict.fromkeys(no))


def enter(graph: ThreatGraph, proposals: Iterable[Proposal], *, as_new: bool = False) -> None:
    """Add accepted proposals to a graph, with evidence level ``extracted``. Nodes that are there stay as they are.

    The document becomes an incident that *uses* the technique. Where a model named a threat, the threat it is most like
    in the graph - or a new one - *uses* the technique too, and the document is *evidence of* it.

    Args:
        graph: is changed.
        proposals: that a reviewer accepted.
        as_new: name a new threat even where one that is alike is there.
    """
    for one in proposals:
        nodes, edges = entries(one, graph, as_new=as_new)
        graph.extend([node for node in nodes if _lacks(graph, node)], edges)


def entries(proposal: Proposal, graph: ThreatGraph, *, as_new: bool = False) -> tuple[Sequence[Node], Sequence[Edge]]:
    """Nodes and edges of one accepted proposal."""
    source, technique = proposal.document, proposal.technique
    document = Node(
        f"incident:document/{source.digest[:16]}",
        Kind.INCIDENT,
        source.title,
        f"A document that was read for evidence: {source.file}",
        {"document": source.digest, "file": source.file},
    )
    nodes = [document, Node(technique.technique, Kind.TECHNIQUE, technique.name)]
    edges = [_edge(document.id, Relation.USES, technique.technique, proposal)]
    if proposal.name:
        threat = _threat(proposal, graph, as_new)
        nodes.append(threat)
        edges.append(_edge(threat.id, Relation.USES, technique.technique, proposal))
        edges.append(_edge(document.id, Relation.EVIDENCE_OF, threat.id, proposal))
    return nodes, edges


def provenance(proposal: Proposal) -> str:
    """Document, digest, place and passage, in one line."""
    place = f"characters {proposal.passage.start}-{proposal.passage.end}"
    words = " ".join(proposal.passage.text.split())
    return f"{proposal.document.title} (document {proposal.document.digest}, {place}): “{words}”"


def _lacks(graph: ThreatGraph, node: Node) -> bool:
    """Whether the graph has no such node, or only a stub that another one named."""
    return node.id not in graph or bool(graph.node(node.id).attributes.get("stub"))


def _edge(source: str, relation: Relation, target: str, proposal: Proposal) -> Edge:
    about: Mapping[str, Attribute] = {
        "passage": proposal.passage.text,
        "start": proposal.passage.start,
        "end": proposal.passage.end,
        "document": proposal.document.digest,
        "proposed_by": proposal.by,
        "score": round(proposal.technique.score, 4),
    }
    return Edge(source, relation, target, provenance(proposal), Evidence.EXTRACTED, None, about)


def _threat(proposal: Proposal, graph: ThreatGraph, as_new: bool) -> Node:
    alike = [one.id for one in proposal.similar if one.id in graph and graph.node(one.id).kind is Kind.THREAT]
    if alike and not as_new:
        return graph.node(alike[0])
    id_ = f"threat:{_slug(proposal.name)}"
    if as_new and id_ in graph:
        id_ += f"-{digest_json([proposal.name, proposal.summary])[:6]}"
    return Node(id_, Kind.THREAT, proposal.name, proposal.summary, {"source": "extracted"})


def _slug(name: str) -> str:
    """Lower-case letters and digits with hyphens between; a digest where the name has none of them."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", letters))[:LONGEST_SLUG].strip("-")
    return slug or digest_json(name)[:10]


def _id(queue: Queue, said: str, problems: list[str]) -> str:
    """The whole id of what was said; a problem where there is none."""
    found = [id_ for id_ in queue.proposals if id_.startswith(said)] if len(said) >= 4 else []
    if len(found) != 1:
        why = "fits several proposals" if found else "no proposal has this id; `threatloop threats review` lists them"
        problems.append(f"{said}: {why}")
        return ""
    if (decision := queue.decisions.get(found[0])) is not None:
        problems.append(f"{found[0]}: was {decision} already")
        return ""
    return found[0]
