"""CycloneDX 1.6: a bill of materials with models (ML-BOM), and what is known of their weaknesses (VEX).

ECMA-424, 1st edition, 2024. Components, the graph and vulnerabilities are written by cyclonedx-python-lib; it has no
model cards yet, so these are added to its JSON, in the fields of the same schema.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threatloop.core.errors import InputError
from threatloop.core.unseen import visible
from threatloop.supply_chain.dependencies.components import Component as Package
from threatloop.supply_chain.dependencies.components import purl
from threatloop.supply_chain.model_facts import SUFFIXES, ModelFacts, model_facts
from threatloop.supply_chain.outputs.machine import dumped
from threatloop.supply_chain.outputs.view import View, file_of
from threatloop.supply_chain.result import Accepted, Finding, Severity

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.vulnerability import Vulnerability, VulnerabilityAnalysis


def as_cyclonedx(view: View) -> str:
    """The text of the bill of materials, as JSON.

    Raises:
        InputError: cyclonedx-python-lib is not installed.
    """
    try:
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError:
        raise InputError(
            "--format cyclonedx needs cyclonedx-python-lib: pip install 'threatloop[scan]', or choose another format"
        ) from None
    models = {str(path): model_facts(path) for path in view.scan.models if path.suffix.lower() in SUFFIXES}
    content: dict[str, Any] = json.loads(JsonV1Dot6(_bom(view, models)).output_as_string())
    for component in content.get("components", ()):
        facts = models.get(component.get("bom-ref", "").removeprefix("model:"))
        if component.get("type") == "machine-learning-model" and facts is not None:
            component["modelCard"] = _card(facts)
    return dumped(content)


def _bom(view: View, models: Mapping[str, ModelFacts]) -> Bom:
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository

    root = Component(name=_root_name(view), type=ComponentType.APPLICATION, bom_ref="root")
    tool = Component(name="threatloop", version=view.version, type=ComponentType.APPLICATION, bom_ref="threatloop")
    left_out = [
        Property(name="threatloop:not-assessed", value=visible(f"{one.place}: {one.reason}")) for one in view.left_out
    ]
    bom = Bom(
        metadata=BomMetaData(component=root, tools=ToolRepository(components=[tool]), timestamp=view.started),
        properties=left_out,
    )
    packages = {one.purl: _package(one) for one in view.scan.components}
    parts = {path: _model(path, facts) for path, facts in models.items()}
    bom.components.update([*packages.values(), *parts.values()])
    _graph(bom, root, packages, list(parts.values()), view.scan.components)
    bom.vulnerabilities.update(_vulnerabilities(view, root, packages, parts))
    return bom


def _root_name(view: View) -> str:
    names = [root.resolve().name or str(root) for root in view.scan.roots]
    return visible(", ".join(names) or "environment")


def _package(one: Package) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    # The hashes of a lock file are of several files of one release; only a single one is the component's.
    hashes = [h.removeprefix("sha256:") for h in one.hashes if h.startswith("sha256:")]
    return Component(
        name=visible(one.name),
        version=visible(one.version) or None,
        type=ComponentType.LIBRARY,
        purl=PackageURL.from_string(one.purl),
        bom_ref=one.purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashes[0])]
        if len(hashes) == 1 and len(hashes[0]) == 64
        else [],
        properties=[Property(name="threatloop:declared-in", value=visible(str(place))) for place in one.places],
    )


def _model(path: str, facts: ModelFacts) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    notes = {"base-model": facts.base, "license": facts.license}
    return Component(
        name=visible(path),
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{path}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=facts.sha256)] if facts.sha256 else [],
        properties=[
            Property(name=f"threatloop:{name}", value=visible(value)) for name, value in notes.items() if value
        ],
    )


def _card(facts: ModelFacts) -> dict[str, Any]:
    """A model card with what is known, and nothing that is not."""
    known = {"task": facts.task, "architectureFamily": facts.family, "modelArchitecture": facts.architecture}
    parameters: dict[str, Any] = {key: visible(value) for key, value in known.items() if value}
    if facts.datasets:
        parameters["datasets"] = [{"type": "dataset", "name": visible(name)} for name in facts.datasets]
    return {"modelParameters": parameters} if parameters else {}


def _graph(
    bom: Bom, root: Component, packages: Mapping[str, Component], models: list[Component], known: Sequence[Package]
) -> None:
    """The root needs the models and what is not known to be indirect."""
    from cyclonedx.model.dependency import Dependency

    tops = [packages[one.purl] for one in known if one.direct is not False]
    graph = [Dependency(root.bom_ref, (Dependency(one.bom_ref) for one in (*tops, *models)))]
    for one in known:
        below = (Dependency(packages[url].bom_ref) for url in one.needs if url in packages)
        graph.append(Dependency(packages[one.purl].bom_ref, below))
    bom.dependencies.update(graph)


def _vulnerabilities(
    view: View, root: Component, packages: Mapping[str, Component], models: Mapping[str, Component]
) -> list[Vulnerability]:
    """Advisories one by one; findings without one as the scanner's own, together where rule, part and state agree."""
    groups: defaultdict[tuple[Any, ...], list[Finding]] = defaultdict(list)
    pairs = [(one, None) for one in view.findings] + [(one.finding, one) for one in view.accepted]
    by_place = {(one.place, one.shown): packages[purl(one)] for one in view.scan.dependencies}
    for finding, accepted in pairs:
        package = by_place.get((finding.place, finding.subject))
        part = package or models.get(file_of(finding.place)) or root
        groups[(finding.identifiers or (finding.rule,), part.bom_ref.value, accepted and _key(accepted))].append(
            finding
        )
    states = {_key(one): one for one in view.accepted}
    return [
        _vulnerability(number, ids, part, findings, states[state] if state else None)
        for number, ((ids, part, state), findings) in enumerate(sorted(groups.items(), key=str))
    ]


def _key(accepted: Accepted) -> tuple[str, str, str, str]:
    return accepted.state, accepted.justification, accepted.reason, accepted.by


def _vulnerability(
    number: int, ids: Sequence[str], part: str, findings: Sequence[Finding], accepted: Accepted | None
) -> Vulnerability:
    from cyclonedx.model.vulnerability import (
        BomTarget,
        Vulnerability,
        VulnerabilityRating,
        VulnerabilityReference,
        VulnerabilitySeverity,
        VulnerabilitySource,
    )

    worst = min(findings, key=lambda one: one.severity.rank)
    source = VulnerabilitySource(name="OSV" if worst.identifiers else "threatloop")
    severity = VulnerabilitySeverity(worst.severity.value if worst.severity is not Severity.UNKNOWN else "unknown")
    places = "\n".join(f"{one.place}: {one.subject} {one.detail}".strip() for one in findings)
    return Vulnerability(
        bom_ref=f"vulnerability:{number}",
        id=visible(ids[0]),
        source=source,
        references=[VulnerabilityReference(id=visible(one), source=source) for one in ids[1:]],
        ratings=[VulnerabilityRating(source=source, severity=severity)],
        description=visible(worst.title),
        detail=visible(places),
        recommendation=visible(worst.fix) or None,
        analysis=_analysis(accepted),
        affects=[BomTarget(ref=part)],
    )


def _analysis(accepted: Accepted | None) -> VulnerabilityAnalysis:
    """Open findings are in triage; what is accepted has the state of the baseline, and its reason as detail."""
    from cyclonedx.model.impact_analysis import ImpactAnalysisJustification, ImpactAnalysisResponse, ImpactAnalysisState
    from cyclonedx.model.vulnerability import VulnerabilityAnalysis

    if accepted is None:
        return VulnerabilityAnalysis(state=ImpactAnalysisState.IN_TRIAGE)
    taken = accepted.state == "exploitable"
    more = [f"by {accepted.by}"] * bool(accepted.by) + [f"until {accepted.expires}"] * bool(accepted.expires)
    return VulnerabilityAnalysis(
        state=ImpactAnalysisState(accepted.state),
        justification=ImpactAnalysisJustification(accepted.justification) if accepted.justification else None,
        responses=[ImpactAnalysisResponse.WILL_NOT_FIX] if taken else [],
        detail=visible("; ".join([accepted.reason, *more])),
    )
