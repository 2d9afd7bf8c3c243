"""How many records the victim gets wrong once they are moved within a ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.algorithms.evasion import Evasion
from threatloop.algorithms.grading import predicted, rate
from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import ONE_ANSWER, Case, Graded, Metric, MetricInfo, Reading
from threatloop.modality.space import SLACK, Space
from threatloop.numerics.figures import Interval
from threatloop.numerics.medians import median_interval

Hits = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
GALLERY = 40
POINTS = 101
"""Radii on the curve of robust accuracy."""
MOST_ASKED = 1000
"""More records of the source that tell a victim with one answer from one that an attack failed to fool."""


class EvasionSuccess(Metric):
    """Share of attacked records that the victim gets wrong, in the ball of the attack's ε.

    A record counts as wrong where the victim errs on it as it is, or errs on an adversarial example that is valid and
    lies within ε; both are checked here, on the records that came back. The baseline is the clean error.

    Readings:
        ``evasion``: the share.
        ``evasion.robust_accuracy``: 1 minus the share.
        ``evasion.success_on_correct``: the share of those that the victim gets right as they are; undefined where it
            gives one class to everything, before and after.
        ``evasion.median_distance``: median distance of the valid examples that fool the victim, in units of ε, of
            records that it gets right as they are; with its distribution-free interval.
        ``evasion.valid``: share of the changed records that are valid, within ε or not.
    Curve (attacks that seek the nearest example): ``robust_accuracy`` against ``epsilon``. Records, one entry per
    attacked record: ``evasion.wrong``, ``evasion.clean_wrong``, ``evasion.distance`` (0 where unchanged),
    ``evasion.valid``. Gallery (images): ``original``, ``adversarial``, ``difference`` (grey is none, stretched).

    Raises:
        TypeError: the graded attack is no evasion (a mistake in the catalogue).
        NotAssessable: no record was attacked, or records have no single class.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Evasion: error under attack",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "source", "victim"}),
        meaning="Share of attacked records that the model gets wrong after a valid change within the attack's radius; "
        "without an attack this is its error rate.",
    )

    def grade(self, case: Case) -> Graded:
        attack = case.attack
        if not isinstance(attack, Evasion):
            raise TypeError(f"{type(attack).__name__} makes no adversarial examples")
        judged = _judge(attack, case)
        wrong = judged.wrong_within(attack.radius(judged.space))
        readings = (
            rate("evasion", wrong, "no record was attacked"),
            rate("evasion.robust_accuracy", ~wrong, "no record was attacked"),
            _on_correct(wrong[~judged.clean], judged.constant),
            judged.median(),
            rate("evasion.valid", judged.valid[judged.distance > 0], "no record was changed"),
        )
        columns = {"wrong": wrong, "clean_wrong": judged.clean, "distance": judged.distance, "valid": judged.valid}
        records = {f"evasion.{name}": column for name, column in columns.items()}
        curves = {"robust_accuracy": judged.curve()} if attack.minimises else {}
        return Graded(readings, curves, records, _gallery(judged, case))


@dataclass(frozen=True)
class _Judged:
    """What the judge found per attacked record: errors before and after, validity, distance in units of ε.

    ``constant``: the victim answered one class to all of them, before and after, and to other records of the source.
    """

    space: Space
    clean: Hits
    fooled: Hits
    valid: Hits
    distance: Floats
    constant: bool

    def wrong_within(self, radius: float) -> Hits:
        """Records that the victim gets wrong within this radius."""
        return self.clean | (self.fooled & self.valid & (self.distance <= radius * (1 + SLACK)))

    def needed(self) -> Floats:
        """Smallest known ε at which the victim errs: 0 where it errs anyway, infinite where it never did."""
        return np.where(self.clean, 0.0, np.where(self.fooled & self.valid, self.distance, np.inf))

    def median(self) -> Reading:
        name, nothing = "evasion.median_distance", "no valid example fools the victim"
        found = self.distance[~self.clean & self.fooled & self.valid]
        if not len(found):
            return Reading(name, None, 0, undefined=nothing)
        between = median_interval(found)
        ends = (between.low, between.high) if isinstance(between, Interval) else (None, None)
        return Reading(name, float(np.median(found)), len(found), *ends)

    def curve(self) -> dict[str, npt.NDArray[Any]]:
        needed = self.needed()
        finite = needed[np.isfinite(needed)]
        radii = np.linspace(0.0, float(finite.max()) if len(finite) else 1.0, POINTS)
        return {"epsilon": radii, "robust_accuracy": (needed[None] > radii[:, None]).mean(axis=1)}


def _judge(attack: Evasion, case: Case) -> _Judged:
    source, outcome, victim = case.get("source", Dataset), case.get("outcome", Dataset), case.get("victim", Model)
    n = min(attack.records, len(source))
    if n == 0:
        raise NotAssessable("there are no records to attack")
    if len(outcome) != len(source):
        raise NotAssessable(f"{len(outcome)} records came back of {len(source)}: they cannot be matched")
    before, after = (data.take(slice(0, n)) for data in (source, outcome))
    space, kind = attack.space(source), modality.of(source.schema)
    origin, moved = (np.asarray(kind.encode(np.asarray(data.x), data.schema)) for data in (before, after))
    answers = [predicted(victim, data, case) for data in (before, after)]
    constant = len(np.unique(answers)) == 1
    if constant and len(source) > n:
        others = predicted(victim, source.take(slice(n, n + MOST_ASKED)), case)
        constant = bool((others == answers[0][0]).all())
    return _Judged(
        space,
        answers[0] != before.y,
        answers[1] != before.y,
        space.valid(moved, origin),
        space.distance(moved, origin, attack.norm),
        constant,
    )


def _on_correct(wrong: Hits, constant: bool) -> Reading:
    name = "evasion.success_on_correct"
    if constant:
        return Reading(name, None, 0, undefined=ONE_ANSWER)
    return rate(name, wrong, "the victim gets no attacked record right")


def _gallery(judged: _Judged, case: Case) -> dict[str, npt.NDArray[np.float32]]:
    """Fooled records side by side with what they were; empty where records are no images."""
    source, outcome = case.get("source", Dataset), case.get("outcome", Dataset)
    rows = np.flatnonzero(judged.fooled & judged.valid & ~judged.clean)[:GALLERY]
    if not len(rows):
        return {}
    kind = modality.of(source.schema)
    try:
        original, adversarial = (kind.watermark_view(d.x[rows], d.schema) for d in (source, outcome))
    except NotAssessable:
        return {}
    change = adversarial - original
    largest = np.abs(change).max(axis=(1, 2, 3), keepdims=True)
    difference = (0.5 + 0.5 * change / np.maximum(largest, 1e-12)).astype(np.float32)
    return {"original": original, "adversarial": adversarial, "difference": difference}
