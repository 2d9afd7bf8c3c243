"""The incident data set of the `genai-incidents` package (CC BY 4.0) in the graph.

Its records map incidents to ATLAS techniques and CVE ids, some by hand and many by rules (``quality_tier``). So an edge
of a curated or reviewed record is *reported*, one of an automatic record only *asserted*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from threatloop.core.errors import InputError
from threatloop.threats.importers.imported import Imported
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation

PACKAGE: Final = "genai-incidents"
_CHECKED: Final = frozenset({"curated", "reviewed"})

IncidentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,60}$")]
CveId = Annotated[str, StringConstraints(pattern=r"^CVE-\d{4}-\d{4,}$")]
AtlasId = Annotated[str, StringConstraints(pattern=r"^AML\.[A-Z]+\d{4}(\.\d{3})?$")]


class Incident(BaseModel):
    """One record, without the mappings that are not used here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: IncidentId
    title: str
    description: str = ""
    date: str = ""
    severity: str = ""
    attack_vector: str = ""
    mitre_atlas: tuple[AtlasId, ...] = ()
    cve_ids: tuple[CveId, ...] = ()
    primary_reference: str = ""
    affected: str = ""
    quality_tier: str = ""
    status: str = ""


def read_incidents() -> Imported:
    """The installed data set.

    Raises:
        InputError: the package is not installed, or its data have another form.
    """
    try:
        import genai_incidents
    except ImportError:
        raise InputError(f"incidents need the {PACKAGE} package; pip install 'threatloop[threats]'") from None
    records = genai_incidents.load_incidents()
    return from_records(records, f"{PACKAGE} {metadata.version(PACKAGE)}")


def from_records(records: Sequence[Mapping[str, Any]], source: str) -> Imported:
    """Nodes and edges of records; retracted ones, and those that are not understood, are left out and told.

    Edges go to techniques and tactics of ATLAS, which must be in the graph that they go to, and to vulnerabilities,
    which come with them.
    """
    incidents: list[Incident] = []
    left_out: list[str] = []
    for place, record in enumerate(records):
        try:
            incidents.append(Incident.model_validate(record))
        except ValidationError as error:
            worst = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, worst["loc"]))
            left_out.append(f"{source}: record {place}: {field}: {worst['msg']}")
    standing = [one for one in incidents if one.status != "retracted"]
    if gone := len(incidents) - len(standing):
        left_out.append(f"{source}: {gone} incidents left out, because they were retracted")
    vulnerabilities = {cve: Node(cve, Kind.VULNERABILITY, cve, attributes={"stub": True}) for cve in _cves(standing)}
    nodes = (*map(_node, standing), *vulnerabilities.values())
    edges = tuple(edge for one in standing for edge in _edges(one, source))
    return Imported(source, nodes, edges, tuple(shortened(left_out)))


def _cves(incidents: Sequence[Incident]) -> Iterator[str]:
    return (cve for one in incidents for cve in one.cve_ids)


def _node(one: Incident) -> Node:
    facts = {
        "date": one.date,
        "severity": one.severity,
        "attack_vector": one.attack_vector,
        "affected": one.affected,
        "reference": one.primary_reference,
        "quality": one.quality_tier,
        "status": one.status,
    }
    kept = {name: value for name, value in facts.items() if value}
    return Node(one.id, Kind.INCIDENT, one.title, one.description, kept)


def _edges(one: Incident, source: str) -> Iterator[Edge]:
    evidence = Evidence.REPORTED if one.quality_tier in _CHECKED else Evidence.ASSERTED
    for id_ in dict.fromkeys(one.mitre_atlas):
        relation = Relation.USES if id_.startswith("AML.TA") else Relation.EVIDENCE_OF
        yield Edge(one.id, relation, id_, source, evidence)
    for cve in dict.fromkeys(one.cve_ids):
        yield Edge(one.id, Relation.EXPLOITS, cve, source, evidence)
