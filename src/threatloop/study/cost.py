"""What a study spent, read from its run folder."""

from __future__ import annotations

from dataclasses import dataclass

from threatloop.analysis.matrix import Interaction, resolved_share, tally
from threatloop.core.measurement import RunRecord
from threatloop.core.study_note import StageCost
from threatloop.numerics.undefined import Undefined


@dataclass(frozen=True)
class Spent:
    """The whole of a study.

    Attributes:
        cells: that were assessed.
        executed, cached, cpu_seconds: of both stages in this call; what lay in the store before cost nothing.
        models_trained, models_requested: of the whole plan, wherever they come from.
        screened, fresh: of the cells that were assessed, seeds screened and fresh seeds tested, summed over cells.
        per_cpu_hour: cells per hour of the processors; undefined where part of the work lay in the store already.
        resolved: share of the assessed cells.
        words: how many cells came to what.
    """

    cells: int
    executed: int
    cached: int
    cpu_seconds: float | Undefined
    seconds: float
    models_trained: int
    models_requested: int
    screened: int
    fresh: int
    per_cpu_hour: float | Undefined
    resolved: float | Undefined
    words: dict[str, int]


def cost_of(record: RunRecord) -> StageCost:
    """What the call that wrote this record spent."""
    tasks = record.tasks
    return StageCost(
        executed=tasks.get("executed", 0),
        cached=tasks.get("cached", 0),
        failed=tasks.get("failed", 0),
        models_trained=tasks.get("models_trained", 0),
        models_requested=tasks.get("models_requested", 0),
        cpu_seconds=record.cpu_seconds,
        seconds=record.seconds,
    )


def spent(record: RunRecord, cells: tuple[Interaction, ...]) -> Spent:
    """Both stages together."""
    second, first = cost_of(record), record.study.screening if record.study else None
    stages = [second] if first is None else [first, second]
    assessed = [one for one in cells if one.verdict != "not assessed"]
    times = [one.cpu_seconds for one in stages if one.cpu_seconds is not None]
    processor: float | Undefined = sum(times)
    if len(times) < len(stages):
        processor = Undefined("the workers ran elsewhere")
    # The second stage always finds the first in the store; what the first found was computed by an earlier call.
    before = stages[0].cached
    rate = _rate(len(assessed), processor, before > stages[0].executed)
    return Spent(
        cells=len(assessed),
        executed=sum(one.executed for one in stages),
        cached=before,
        cpu_seconds=processor,
        seconds=sum(one.seconds for one in stages),
        models_trained=second.models_trained,
        models_requested=second.models_requested,
        screened=sum(one.screened for one in assessed),
        fresh=sum(one.tested for one in assessed if one.planned),
        per_cpu_hour=rate,
        resolved=resolved_share(cells),
        words=tally(cells),
    )


def _rate(cells: int, processor: float | Undefined, mostly_cached: bool) -> float | Undefined:
    if mostly_cached:
        return Undefined("most of the screening lay in the store already")
    return processor if isinstance(processor, Undefined) else 3600 * cells / processor
