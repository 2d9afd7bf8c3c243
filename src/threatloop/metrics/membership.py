"""How well members are told from non-members."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import DataToModel
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.numerics.intervals import auc_interval, wilson
from threatloop.numerics.roc import Roc, auc, roc_curve, tpr_at_fpr
from threatloop.numerics.undefined import Undefined

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

LOW_RATES = (("tpr_at_1pct", 0.01), ("tpr_at_01pct", 0.001))


class Membership(Metric):
    """AUC of the membership scores and true-positive rates at low false-positive rates.

    Readings: ``membership`` (AUC); ``membership.tpr_at_1pct`` and ``membership.tpr_at_01pct``, undefined below ten
    expected false positives; ``membership.canaries``, the AUC among planted canaries, where there are any;
    ``membership.tuned``, the AUC among those members alone that a model was tuned on and all non-members, where the
    victim is tuned; ``membership.targets``, the AUC among the records that an attack is after, where one is after some;
    ``membership.aimed_classes``, the AUC among untouched records of the classes that a poison before aims at. Curve
    ``roc``; records ``record``, ``member``, ``score``. The engine checks, once a seed, that the split is exchangeable.

    Left out: canaries, which are like no other record and planted more than once; records that the attack touched
    (``case.facts["touched"]``, a list of ids) or made, candidates that the attacker holds himself (no member is among
    them, which he knows), and those that the budget left without a score.
    Targets count as touched: what privacy poisoning gains on them is to be read from ``membership.targets``, and what
    it does to everybody else from ``membership``.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Membership AUC",
        unit="auc",
        worst=1.0,
        margin=0.02,
        needs=frozenset({"candidates", "members"}),
        may_use=frozenset({"canaries", "targets", "tuned_on"}),
        meaning="Chance that a random training record gets a higher membership score than a random other record.",
    )

    def grade(self, case: Case) -> Graded:
        """Grade the evidence of a membership probe.

        Raises:
            InputError: there is not one score per candidate.
            NotAssessable: no record with a score is left.
        """
        candidates, members = case.get("candidates", Dataset), case.get("members", Dataset)
        scores = _scores(case.get("outcome", Evidence), candidates)
        member = np.isin(candidates.ids, members.ids[members.ids >= 0])
        asked = np.isfinite(scores) & (candidates.ids >= 0)
        used = asked & ~np.isin(candidates.ids, [*_touched(case), *_canaries(case)])
        if not used.any():
            raise NotAssessable("no candidate that the attack left untouched has a score")
        found, is_member, ids = scores[used], member[used], candidates.ids[used]
        readings = (
            _area(found, is_member),
            *(_rate(name, alpha, found, is_member) for name, alpha in _rates(case).items()),
            *_among("canaries", case, scores[asked], member[asked], candidates.ids[asked]),
            *_among("targets", case, scores[asked], member[asked], candidates.ids[asked]),
            *_of_tuned(case, found, is_member, ids),
            *_of_aimed(case, found, is_member, candidates.y[used]),
        )
        curve = roc_curve(found, is_member)
        curves = {"roc": {"fpr": curve.fpr, "tpr": curve.tpr}} if isinstance(curve, Roc) else {}
        return Graded(readings, curves, {"record": ids, "member": is_member, "score": found})


def _scores(evidence: Evidence, candidates: Dataset) -> Floats:
    scores = np.asarray(evidence.arrays.get("score", np.empty(0)), np.float64)
    if scores.shape != (len(candidates),):
        raise InputError(f"membership: scores {scores.shape} for {len(candidates)} candidates; need one `score` each")
    return scores


def _rates(case: Case) -> dict[str, float]:
    """The usual false-positive rates and those that the user asks for, by the name of their reading."""
    usual = dict(LOW_RATES)
    asked = [rate for rate in case.facts.get("false_positive_rates", ()) if rate not in usual.values()]
    return {**usual, **{f"tpr_at_{rate * 100:g}pct".replace(".", "_"): rate for rate in asked}}


def _touched(case: Case) -> list[int]:
    touched = case.facts.get("touched")
    return list(touched) if isinstance(touched, (list, tuple)) else []


def _canaries(case: Case) -> list[int]:
    return case.get("canaries", Dataset).ids.tolist() if "canaries" in case.truths else []


def _area(scores: Floats, member: Bools) -> Reading:
    area, interval = auc(scores, member), auc_interval(scores, member)
    if isinstance(area, Undefined) or isinstance(interval, Undefined):
        return Reading("membership", None, len(scores), undefined=str(area))
    return Reading("membership", area, len(scores), interval.low, interval.high)


def _rate(name: str, alpha: float, scores: Floats, member: Bools) -> Reading:
    rate, n = tpr_at_fpr(scores, member, alpha), int(member.sum())
    if isinstance(rate, Undefined):
        return Reading(f"membership.{name}", None, n, undefined=str(rate))
    interval = wilson(round(rate * n), n)
    ends = (None, None) if isinstance(interval, Undefined) else (interval.low, interval.high)
    return Reading(f"membership.{name}", rate, n, *ends)


def _among(which: str, case: Case, scores: Floats, member: Bools, ids: npt.NDArray[np.int64]) -> tuple[Reading, ...]:
    """The AUC among the records of one truth, such as canaries; nothing where the scenario has none."""
    if which not in case.truths:
        return ()
    chosen = np.isin(ids, case.get(which, Dataset).ids)
    return (replace(_area(scores[chosen], member[chosen]), metric=f"membership.{which}"),)


def _of_tuned(case: Case, scores: Floats, member: Bools, ids: npt.NDArray[np.int64]) -> tuple[Reading, ...]:
    """The AUC of members that a tuning saw, against all non-members; nothing where the victim has no such stage."""
    if "tuned_on" not in case.truths:
        return ()
    chosen = ~member | np.isin(ids, case.get("tuned_on", Dataset).ids)
    return (replace(_area(scores[chosen], member[chosen]), metric="membership.tuned"),)


def _of_aimed(case: Case, scores: Floats, member: Bools, y: npt.NDArray[np.int64]) -> tuple[Reading, ...]:
    """The AUC among records of the classes that poisons of this chain aim at; nothing where none aims at any."""
    poisons = [step for step in case.upstream if isinstance(step, DataToModel)]
    aimed = [label for step in poisons for label in step.aimed_classes()]
    if not aimed:
        return ()
    chosen = np.isin(y, aimed)
    return (replace(_area(scores[chosen], member[chosen]), metric="membership.aimed_classes"),)
