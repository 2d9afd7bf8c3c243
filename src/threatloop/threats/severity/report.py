"""Ranking, concentration and propagation of one graph together, and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.severity.concentration import Concentration, concentration
from threatloop.threats.severity.estimate import Missing
from threatloop.threats.severity.propagation import Propagation, histories_of, propagation
from threatloop.threats.severity.ranking import EXPLAINED, Ranking, rank


@dataclass(frozen=True)
class RankReport:
    """What ``threatloop threats rank`` tells.

    Attributes:
        concentration: or why there is none.
        skipped: what was not read, and why.
    """

    ranking: Ranking
    concentration: Concentration | str
    propagation: Propagation
    skipped: tuple[str, ...]


def report(graph: ThreatGraph, skipped: tuple[str, ...] = (), seed: int = 0, explained: int = EXPLAINED) -> RankReport:
    """All of it for one graph.

    Raises:
        InputError: there is nothing to rank, or networkx is not installed.
    """
    ranking = rank(graph, seed, explained)
    try:
        found: Concentration | str = concentration(graph, seed)
    except InputError as error:
        found = str(error)
    return RankReport(ranking, found, propagation(histories_of(graph), seed), skipped)


def as_json(found: RankReport) -> str:
    """One JSON object; a figure that was not computed is ``{"not_computed": reason}``, an end that is infinite null."""
    plain = _plain(found)
    if isinstance(found.concentration, str):
        plain["concentration"] = {"not_computed": found.concentration}
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Missing):
        return {"not_computed": value.because}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
