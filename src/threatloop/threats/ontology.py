"""What the graph is made of: kinds of nodes, typed relations between them, and the evidence behind each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a node is."""

    THREAT = "threat"
    TACTIC = "tactic"
    TECHNIQUE = "technique"
    VULNERABILITY = "vulnerability"
    PACKAGE = "package"
    REPOSITORY = "repository"
    STAGE = "stage"
    ASSET = "asset"
    MITIGATION = "mitigation"
    INCIDENT = "incident"
    MEASUREMENT = "measurement"


class Relation(StrEnum):
    """What a directed edge says."""

    USES = "uses"
    TARGETS = "targets"
    OCCURS_IN = "occurs-in"
    EXPLOITS = "exploits"
    AFFECTS = "affects"
    DEPENDS_ON = "depends-on"
    MITIGATED_BY = "mitigated-by"
    EVIDENCE_OF = "evidence-of"
    PRECEDES = "precedes"
    ENABLES = "enables"
    AMPLIFIES = "amplifies"


class Stage(StrEnum):
    """The stages of a system's lifecycle, in their order."""

    DATA_PREPARATION = "data preparation"
    PRE_TRAINING = "pre-training"
    TRAINING = "training"
    FEDERATED_TRAINING = "federated training"
    FINE_TUNING = "fine-tuning"
    HARDENING = "hardening"
    SYSTEM_DEVELOPMENT = "system development"
    DEPLOYMENT = "deployment"
    TEST_TIME = "test time"
    INFERENCE = "inference"


class Evidence(StrEnum):
    """How well an edge is supported, the strongest first."""

    MEASURED = "measured"
    REPORTED = "reported"
    PUBLISHED = "published"
    EXTRACTED = "extracted"
    ASSERTED = "asserted"


_MEANINGS = {
    Evidence.MEASURED: "an audit measured it, with an interval",
    Evidence.REPORTED: "seen in an incident or a case study",
    Evidence.PUBLISHED: "stated by an advisory, a release of a knowledge base or a paper",
    Evidence.EXTRACTED: "taken from a document, with its passage, and accepted by a reviewer",
    Evidence.ASSERTED: "stated by the authors of the catalogue",
}


def meaning(level: Evidence) -> str:
    """What this level of evidence stands on, in words."""
    return _MEANINGS[level]


_ACTORS = frozenset({Kind.THREAT, Kind.TECHNIQUE})
_ALLOWED: Mapping[Relation, tuple[frozenset[Kind], frozenset[Kind]]] = {
    Relation.USES: (_ACTORS | {Kind.INCIDENT}, frozenset({Kind.TECHNIQUE, Kind.TACTIC})),
    Relation.TARGETS: (_ACTORS | {Kind.INCIDENT}, frozenset({Kind.ASSET, Kind.REPOSITORY, Kind.PACKAGE})),
    Relation.OCCURS_IN: (_ACTORS | {Kind.VULNERABILITY, Kind.INCIDENT, Kind.MITIGATION}, frozenset({Kind.STAGE})),
    Relation.EXPLOITS: (_ACTORS | {Kind.INCIDENT}, frozenset({Kind.VULNERABILITY})),
    Relation.AFFECTS: (frozenset({Kind.VULNERABILITY}), frozenset({Kind.PACKAGE, Kind.REPOSITORY, Kind.ASSET})),
    Relation.DEPENDS_ON: (
        frozenset({Kind.REPOSITORY, Kind.PACKAGE, Kind.ASSET}),
        frozenset({Kind.PACKAGE, Kind.REPOSITORY}),
    ),
    Relation.MITIGATED_BY: (_ACTORS | {Kind.VULNERABILITY}, frozenset({Kind.MITIGATION})),
    Relation.EVIDENCE_OF: (
        frozenset({Kind.MEASUREMENT, Kind.INCIDENT}),
        _ACTORS | {Kind.VULNERABILITY, Kind.MITIGATION},
    ),
    Relation.PRECEDES: (_ACTORS | {Kind.TACTIC, Kind.STAGE}, _ACTORS | {Kind.TACTIC, Kind.STAGE}),
    Relation.ENABLES: (_ACTORS | {Kind.VULNERABILITY}, _ACTORS),
    Relation.AMPLIFIES: (_ACTORS | {Kind.MITIGATION}, _ACTORS),
}


def allowed(source: Kind, relation: Relation, target: Kind) -> bool:
    """Whether the ontology has edges of this relation between these kinds."""
    sources, targets = _ALLOWED[relation]
    return source in sources and target in targets


def ends(relation: Relation) -> tuple[frozenset[Kind], frozenset[Kind]]:
    """The kinds that a relation may start from, and those it may lead to."""
    return _ALLOWED[relation]


Attribute = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """One thing in the graph.

    Attributes:
        id: unique in the graph: an outside id as it is written there (``AML.T0020``, ``CVE-2024-1234``), or
            ``kind:name`` for what has none (``threat:backdoor``, ``package:pypi/torch``, ``stage:inference``).
        kind: what it is.
        name: a short title.
        text: what a reader or a search needs, plain text; untrusted where it was imported.
        attributes: further facts; values are texts, numbers, booleans or tuples of texts.
    """

    id: str
    kind: Kind
    name: str
    text: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Effect:
    """A measured size: the mean, its 95 % interval, and the seeds behind it."""

    value: float
    low: float
    high: float
    n: int
    unit: str = ""


@dataclass(frozen=True)
class Edge:
    """One directed statement, and what it stands on.

    Attributes:
        source: id of the node it starts from.
        relation: what it says.
        target: id of the node it leads to.
        provenance: where it comes from: a file with its version, a reference, a run, a document with its passage.
        evidence: how well it is supported.
        effect: of measured edges, how large.
        attributes: further facts, as of `Node`.
    """

    source: str
    relation: Relation
    target: str
    provenance: str
    evidence: Evidence
    effect: Effect | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def stage_id(stage: Stage) -> str:
    return f"stage:{stage.value}"


def package_id(ecosystem: str, name: str) -> str:
    """Of a package, ``package:ecosystem/name``, lower case, with the separators of PyPI's names made one."""
    normal = name.lower()
    if ecosystem.lower() == "pypi":
        normal = "-".join(part for part in normal.replace("_", "-").replace(".", "-").split("-") if part)
    return f"package:{ecosystem.lower()}/{normal}"
