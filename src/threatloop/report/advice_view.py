"""The recommendation as the page shows it: table, plot, spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from threatloop.analysis.recommendation.advice import Advice, Option
from threatloop.analysis.recommendation.advise import advise
from threatloop.analysis.recommendation.spec import as_yaml
from threatloop.core.catalogue import exclusions
from threatloop.core.errors import InputError
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import advice_words as words
from threatloop.report.plots import Axis, Tick, line_axis
from threatloop.runs.folder import RunFolder

DIRECTIONS = ("D→D", "D→M", "M→M", "M→D")


@dataclass(frozen=True)
class Dot:
    """One set in the plot.

    Attributes:
        number: in the table; 0 without one.
        kind: ``chosen``, ``front``, ``plain`` (no defence) or ``cloud``.
    """

    x: float
    y: float
    number: int
    kind: str
    label: str


@dataclass(frozen=True)
class ParetoPlot:
    """Mean risk against accuracy, in the box of the other plots."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    floor: float


@dataclass(frozen=True)
class OptionRow:
    """One set in the table."""

    number: int
    label: str
    chosen: bool
    risks: tuple[str, ...]
    accuracy: str
    cost: str
    delay: str
    seen: str


@dataclass(frozen=True)
class AdvicePanel:
    """The recommendation for one target, or why there is none."""

    target: str
    why: str
    headline: str = ""
    details: tuple[str, ...] = ()
    rows: tuple[OptionRow, ...] = ()
    more: int = 0
    unresolved: bool = False
    trust: tuple[str, ...] = ()
    scope: str = ""
    plot: ParetoPlot | None = None
    spec: str = ""


def advise_all(folder: RunFolder) -> dict[str, Advice | Undefined]:
    """The advice on every target; empty where the run tried no sets of defences."""
    record = folder.record
    if not record.conditions:
        return {}
    names = {str(one["name"]) for found in record.conditions.values() for one in found}
    excluded, found = exclusions(names), dict[str, Advice | Undefined]()
    for target in record.targets:
        try:
            found[target] = advise(record, folder.rows, target, excluded)
        except InputError as error:
            found[target] = Undefined(str(error).removeprefix(f"target {target}: "))
    return found


def panels(record: RunRecord, found: Mapping[str, Advice | Undefined]) -> tuple[AdvicePanel, ...]:
    """One panel per target."""
    return tuple(
        AdvicePanel(target, one.reason) if isinstance(one, Undefined) else _panel(record, one)
        for target, one in found.items()
    )


def _panel(record: RunRecord, advice: Advice) -> AdvicePanel:
    listed = list(advice.front)
    if all(option.label != advice.undefended.label for option in listed):
        listed.append(advice.undefended)
    return AdvicePanel(
        advice.target,
        "",
        words.headline(advice),
        tuple(words.details(advice)) if advice.chosen.spec else (),
        tuple(_row(i, option, option is advice.chosen) for i, option in enumerate(listed, 1)),
        advice.size - len(advice.front),
        any(option.unresolved for option in listed),
        tuple(words.trust(one) for one in advice.validations),
        words.scope(advice),
        _plot(advice, listed),
        as_yaml(record, advice) if advice.chosen.spec else "",
    )


def _row(number: int, option: Option, chosen: bool) -> OptionRow:
    return OptionRow(
        number,
        option.label,
        chosen,
        tuple(words.risk(option, direction) for direction in DIRECTIONS),
        words.full(option.accuracy, 3),
        words.short(option.cost, 2, "×"),
        words.short(option.delay, 1, "×"),
        "measured" if option.measured else "predicted",
    )


def _plot(advice: Advice, listed: list[Option]) -> ParetoPlot | None:
    points = [(_accuracy(option), _mean_risk(option)) for option in listed]
    known = [point for point in (*points, *advice.cloud) if np.isfinite(point).all()]
    if not known:
        return None
    floor = advice.limits.floor
    left, right = min(min(p[0] for p in known), floor), max(max(p[0] for p in known), floor)
    left = math.floor(10 * left) / 10
    steps = max(math.ceil(10 * (right - left) - 1e-9), 1)
    x = line_axis(left, left + steps / 10, 0)
    y = line_axis(0.0, max(math.ceil(5 * max(p[1] for p in known) - 1e-9), 1) / 5, 1)
    dots = [_dot(point, 0, "cloud", "", x, y) for point in advice.cloud]
    for i, (option, point) in enumerate(zip(listed, points, strict=True), 1):
        if np.isfinite(point).all():
            kind = "chosen" if option is advice.chosen else "front" if option.spec else "plain"
            dots.append(_dot(point, i, kind, option.label, x, y))
    return ParetoPlot(tuple(dots), x.ticks(), y.ticks(), float(x.at(np.array(floor))))


def _dot(point: tuple[float, float], number: int, kind: str, label: str, x: Axis, y: Axis) -> Dot:
    across, up = (float(axis.at(np.array(value))) for axis, value in zip((x, y), point, strict=True))
    return Dot(round(across, 1), round(up, 1), number, kind, label)


def _accuracy(option: Option) -> float:
    return float("nan") if isinstance(option.accuracy.value, Undefined) else option.accuracy.value


def _mean_risk(option: Option) -> float:
    known = [found.value for found in option.risk.values() if not isinstance(found.value, Undefined)]
    return float(np.mean(known)) if known else float("nan")
