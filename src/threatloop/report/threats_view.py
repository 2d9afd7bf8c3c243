"""The threats behind an audit's figures, and which threats of the catalogue the audit covers. Nothing here is HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threatloop.analysis.summary import Summary
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.threats.catalogue import by_attack, catalogue_graph, threat
from threatloop.threats.exporters.heat_map import HeatMap, heat_map
from threatloop.threats.queries.coverage import Coverage, coverage
from threatloop.threats.threat import Threat


@dataclass(frozen=True)
class ThreatsView:
    """What the report says of threats.

    Attributes:
        by_attack: the threats that each attack of the run measures.
        coverage: of the shipped catalogue by this run.
        map: the same by direction and lifecycle stage.
        techniques: ATLAS ids of every threat, by its id in the graph.
    """

    by_attack: Mapping[str, tuple[Threat, ...]]
    coverage: Coverage
    map: HeatMap
    techniques: Mapping[str, tuple[str, ...]]

    def ids(self, attack: str) -> tuple[str, ...]:
        """Ids of the threats that an attack measures; none for baselines, controls and attacks of third parties."""
        return tuple(one.node for one in self.by_attack.get(attack, ()))


def threats_view(record: RunRecord, summary: Summary) -> ThreatsView:
    """Place every threat of the catalogue by what this run measured.

    An attack counts as having measured its threats where a headline figure of it was computed and is not suspect.
    """
    measured, failed = _holding(summary)
    missing = {name: "has no headline figure" for name in record.attacks if name not in measured}
    found = coverage(catalogue_graph(), measured, missing | failed)
    links = {name: by_attack(name) for name in sorted({*record.attacks, *(one.attack for one in summary.figures)})}
    techniques = {one.threat.id: threat(one.threat.id).techniques for one in found.threats}
    return ThreatsView(links, found, heat_map(found), techniques)


def _holding(summary: Summary) -> tuple[set[str], dict[str, str]]:
    measured, failed = set[str](), dict[str, str]()
    for one in summary.figures:
        if not one.headline:
            continue
        if isinstance(one.value.mean, Undefined):
            why = one.missing[0][0] if one.missing else one.value.mean.reason
            failed[one.attack] = f"not computed, because {why}"
        elif one.suspect:
            failed[one.attack] = f"attack suspect: {one.suspect[0]}"
        else:
            measured.add(one.attack)
    return measured, {name: why for name, why in failed.items() if name not in measured}


def threats_json(view: ThreatsView) -> list[dict[str, Any]]:
    """Every threat of the catalogue, for ``report.json``."""
    return [
        {
            "id": one.threat.id,
            "name": one.threat.name,
            "atlas": list(view.techniques[one.threat.id]),
            "direction": one.threat.attributes["direction"],
            "stages": [stage for _, stage in one.cells],
            "state": one.state.value,
            "by": list(one.by),
            "why": one.why,
        }
        for one in view.coverage.threats
    ]
