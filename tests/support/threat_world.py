"""A small graph with every kind and relation, and texts that attack whoever shows them."""

from __future__ import annotations

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Effect, Evidence, Kind, Node, Relation, Stage, stage_id

HOSTILE = "</script><script>alert(1)</script> ]]> <!-- &amp; \x01\x00\u202e\ufffe =cmd()|' /C calc'!A1"
FORMULA = "=HYPERLINK(1)"


def small_graph() -> ThreatGraph:
    """A new one with each call."""
    attributes: dict[str, Attribute] = {
        "direction": "M→D",
        "stages": (Stage.TRAINING.value, Stage.INFERENCE.value),
        "measured_by": ("lira", "rmia"),
        "year": 2017,
        "score": 0.5,
        "shipped": True,
        "nothing": (),
        "note": HOSTILE,
    }
    nodes = [
        Node("threat:membership-inference", Kind.THREAT, "Membership inference", "Was it a member?", attributes),
        Node("threat:hostile", Kind.THREAT, HOSTILE, HOSTILE, {"direction": "none", "not_measurable": HOSTILE}),
        Node("AML.TA0010", Kind.TACTIC, "Exfiltration"),
        Node("AML.T0024", Kind.TECHNIQUE, "Exfiltration via AI Inference API"),
        Node("AML.T0024.000", Kind.TECHNIQUE, "Infer Training Data Membership", FORMULA),
        Node("CVE-2024-1234", Kind.VULNERABILITY, FORMULA, "", {"aliases": ("GHSA-abcd-2345-wxyz", "CWE-502", "-")}),
        Node("package:pypi/torch", Kind.PACKAGE, "torch", "@SUM(1)"),
        Node("repository:org/name", Kind.REPOSITORY, "org/name"),
        Node("asset:training data", Kind.ASSET, "training data"),
        Node("AML.M0002", Kind.MITIGATION, "Passive AI Output Obfuscation"),
        Node("AML.CS0000", Kind.INCIDENT, "An incident", "line\r\nline\rline"),
        Node("measurement:r1", Kind.MEASUREMENT, "AUC of lira", "0.61"),
        *(Node(stage_id(stage), Kind.STAGE, stage.value) for stage in Stage),
    ]
    return ThreatGraph(nodes, _edges())


def _edges() -> list[Edge]:
    threat, technique = "threat:membership-inference", "AML.T0024.000"
    effect = Effect(-0.11, -0.2, -0.02, 12, "AUC")
    seen = [
        (threat, Relation.USES, technique, "ATLAS 5.6.0", Evidence.ASSERTED),
        (technique, Relation.USES, "AML.TA0010", "ATLAS 5.6.0", Evidence.PUBLISHED),
        (threat, Relation.OCCURS_IN, stage_id(Stage.INFERENCE), "catalogue", Evidence.ASSERTED),
        (threat, Relation.TARGETS, "asset:training data", HOSTILE, Evidence.EXTRACTED),
        (threat, Relation.EXPLOITS, "CVE-2024-1234", "catalogue", Evidence.ASSERTED),
        ("CVE-2024-1234", Relation.AFFECTS, "package:pypi/torch", "OSV", Evidence.PUBLISHED),
        ("repository:org/name", Relation.DEPENDS_ON, "package:pypi/torch", "SBOM", Evidence.PUBLISHED),
        (technique, Relation.MITIGATED_BY, "AML.M0002", "ATLAS 5.6.0", Evidence.PUBLISHED),
        ("AML.CS0000", Relation.EVIDENCE_OF, technique, "ATLAS 5.6.0", Evidence.REPORTED),
        ("measurement:r1", Relation.EVIDENCE_OF, threat, "run r1", Evidence.MEASURED),
        (stage_id(Stage.TRAINING), Relation.PRECEDES, stage_id(Stage.INFERENCE), "catalogue", Evidence.ASSERTED),
        ("threat:hostile", Relation.ENABLES, threat, "paper", Evidence.PUBLISHED),
    ]
    measured = [
        Edge("threat:hostile", Relation.ENABLES, threat, "run r1", Evidence.MEASURED, effect, {"metric": FORMULA}),
        Edge("threat:hostile", Relation.AMPLIFIES, threat, "run r1", Evidence.MEASURED, Effect(0.1, 0.05, 0.15, 12)),
    ]
    return [Edge(*parts) for parts in seen] + measured
