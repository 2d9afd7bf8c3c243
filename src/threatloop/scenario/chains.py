"""What a sequence of resolved steps must be, beyond each step for itself."""

from __future__ import annotations

from typing import Any

from threatloop.core.attack import Probe, composition_problems
from threatloop.core.catalogue import METRICS, nearest
from threatloop.core.step import Direction, Step

Steps = tuple[Step[Any], ...]


def chain_problems(steps: Steps, laps: int) -> list[str]:
    """Everything wrong with these steps together: composition, shape, laps, metrics that do not exist."""
    problems = composition_problems(steps)
    if not problems:
        problems += _unsupported(steps)
    if laps == 2 and steps and not _closes(steps):
        problems.append("laps: 2 needs a chain that starts from data and ends by recovering data")
    return problems + _metric_problems(steps)


def _unsupported(steps: Steps) -> list[str]:
    """Shapes that compose, and whose arms and grading are not defined yet."""
    directions = [step.info.direction for step in steps]
    problems = [
        f"composes, but is not supported yet: {directions.count(d)} {d} steps in one chain; keep one, or write one "
        "scenario for each"
        for d in (Direction.DATA_TO_MODEL, Direction.MODEL_TO_MODEL)
        if directions.count(d) > 1
    ]
    problems += [
        f"composes, but cannot be graded: step {i} ({type(step).__name__}) needs a victim whose records it has skewed; "
        "run it alone"
        for i, step in enumerate(steps, start=1)
        if step.info.victim == "skewed" and len(steps) > 1
    ]
    problems += [
        f"composes, but cannot be graded: step {i} ({type(step).__name__}) asks for what stands in front of the served "
        "victim, and a stolen clone has nothing in front; run it before, or alone"
        for i, step in enumerate(steps, start=1)
        if step.info.victim == "prompted" and Direction.MODEL_TO_MODEL in directions[: i - 1]
    ]
    late = [i for i, d in enumerate(directions, start=1) if d is Direction.DATA_TO_DATA and i > 1]
    return problems + [
        f"composes, but is not supported yet: step {i} ({type(steps[i - 1]).__name__}, D→D) stands behind another "
        "step; a D→D step can only be the first"
        for i in late
    ]


def _closes(steps: Steps) -> bool:
    first, last = steps[0].info.direction, steps[-1].info.direction
    return first.source == "D" and last is Direction.MODEL_TO_DATA and not isinstance(steps[-1], Probe)


def _metric_problems(steps: Steps) -> list[str]:
    known = METRICS.names()
    names = [(type(step).__name__, metric) for step in steps for metric in step.info.metrics]
    return [f"{attack} names the unknown metric {m!r}{nearest(m, known)}" for attack, m in names if m not in known]
