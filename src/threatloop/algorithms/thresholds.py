"""Membership by one figure of the answer, with one threshold for all records or one per class."""

from __future__ import annotations

from threatloop.algorithms.calibration import class_thresholds
from threatloop.algorithms.membership import Floats, ask_values
from threatloop.algorithms.shadow_answers import Value, shadow_values, shadows_of
from threatloop.core.assets import Evidence
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service


def threshold_scores(service: Service, bench: Bench, value: Value, calibrated: bool, expectation: int = 1) -> Evidence:
    """Array ``score``, float64 (candidates,): the figure, less its class's threshold where calibrated.

    Cut at 0, calibrated scores are the paper's decisions; ranked, they move all classes' thresholds together.

    Args:
        service: needs scores; charged once per candidate.
        bench: with candidates and, if calibrated, shadows.
        value: the figure of answers on records, (n,); larger is more member-like.
        calibrated: learn one threshold per class from the shadow models.
        expectation: answers averaged per record.

    Raises:
        BudgetExhausted: as in `ask_values`.
    """
    candidates = bench.data(Resource.CANDIDATES)
    shift: Floats | float = 0.0
    if calibrated:
        shadows = shadows_of(bench)
        signals = shadow_values(shadows, candidates, value)
        shift = class_thresholds(signals, shadows.masks, candidates.y, candidates.n_classes)[candidates.y]

    def evidence(values: Floats) -> Evidence:
        return Evidence({"score": values - shift})

    def keep(values: Floats) -> None:
        bench.progress.keep(evidence(values))

    return evidence(ask_values(service, candidates, bench.streams.numpy("order"), keep, value, expectation=expectation))
