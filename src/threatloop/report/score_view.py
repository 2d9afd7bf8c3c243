"""The composite score in words and figures, for the page and for the terminal alike."""

from __future__ import annotations

from dataclasses import dataclass

from threatloop.analysis.estimates import Estimate
from threatloop.analysis.score import DirectionScore, Score
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers

UNIT = "rate"


@dataclass(frozen=True)
class ScoreRow:
    """One direction as shown."""

    direction: str
    risk: str
    attack: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ScorePanel:
    """The score of one target.

    Attributes:
        shown: the range, such as ``0.62 [0.55, 0.70] to 1``.
        low, mean, high, top: on a bar, in percent: the interval of the assessed score, and the end of the range.
        caveats: what keeps the figure from being read alone.
    """

    target: str
    shown: str
    low: float
    mean: float
    high: float
    top: float
    rows: tuple[ScoreRow, ...]
    caveats: tuple[str, ...]


def panels(record: RunRecord, scores: tuple[Score, ...]) -> tuple[ScorePanel, ...]:
    """One panel per target."""
    return tuple(_panel(record, score) for score in scores)


def shown(score: Score) -> str:
    """The score as a range: over what was assessed, and with what was not at its worst case."""
    if isinstance(score.assessed.mean, Undefined):
        return "not computed to 1.00: no direction was assessed"
    first = _number(score.assessed)
    return f"{first} to {numbers.number(_mean(score.at_worst), 2)}" if score.missing else first


def caveats(score: Score) -> tuple[str, ...]:
    """What must be said beside the figure."""
    found = []
    if score.missing:
        found.append(f"{', '.join(score.missing)} not assessed: the upper end takes the worst case there")
    if score.reporting and not score.apart:
        found.append("one seed: the worst attacks are chosen and reported on the same one, which flatters attackers")
    if suspects := [one.direction for one in score.directions if one.suspect]:
        found.append(f"{', '.join(suspects)}: a self-check failed, so this is a lower bound")
    if stopped := [one.direction for one in score.directions if one.refused]:
        found.append(f"{', '.join(stopped)}: the ingest gate refused the data, so this is the honest victim")
    return tuple(found)


def _panel(record: RunRecord, score: Score) -> ScorePanel:
    mean, interval = score.assessed.mean, score.assessed.interval
    at = 0.0 if isinstance(mean, Undefined) else mean
    low, high = (at, at) if isinstance(interval, Undefined) else (interval.low, interval.high)
    rows = tuple(_row(record, one) for one in score.directions)
    top = _mean(score.at_worst)
    return ScorePanel(
        score.target, shown(score), 100 * low, 100 * at, 100 * high, 100 * max(top, high), rows, caveats(score)
    )


def _row(record: RunRecord, one: DirectionScore) -> ScoreRow:
    if isinstance(one.risk.mean, Undefined):
        return ScoreRow(one.direction, "not assessed", "", (one.why,))
    title = str(record.attacks.get(one.attack, {}).get("title", one.attack))
    notes = [f"the worst of {one.assessed}" if one.assessed > 1 else "the only attack"]
    if one.chain:
        gift = f", enabled by step {', '.join(map(str, one.enabled_by))}" if one.enabled_by else ""
        notes.append(f"step {one.step} of the chain “{one.scenario}”{gift}")
        if one.alone is not None:
            notes.append(f"the worst attack alone reaches {_number(one.alone)}")
    notes += ["lower bound: a self-check failed"] * one.suspect
    notes += ["the gate refused the data: honest victim"] * one.refused
    return ScoreRow(one.direction, _number(one.risk), title, tuple(notes))


def _number(found: Estimate) -> str:
    if isinstance(found.mean, Undefined):
        return str(found.mean)
    if isinstance(found.interval, Undefined):
        return f"{numbers.number(found.mean, 2)} {numbers.ONE_SEED if found.n == 1 else ''}".rstrip()
    return f"{numbers.number(found.mean, 2)} {numbers.interval(found.interval, 2)}"


def _mean(found: Estimate) -> float:
    return 0.0 if isinstance(found.mean, Undefined) else found.mean
