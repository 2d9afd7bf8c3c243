"""Geometry of the small plots. The templates draw them as SVG, so the report needs no script and no library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from threatloop.analysis.estimates import UNIT_BOUNDS, Estimate
from threatloop.analysis.sweeps import Point, Sweep
from threatloop.core.measurement import ATTACK, BASELINE
from threatloop.numerics.undefined import Undefined

Floats = npt.NDArray[np.float64]

WIDTH: Final = 330.0
HEIGHT: Final = 270.0
LEGEND: Final = 20.0
"""Room above the box, where a name never covers a line."""
MARGIN: Final = (14.0, 12.0, 44.0, 52.0)
"""Top, right, bottom, left."""
LOGARITHMIC: Final = frozenset({"roc"})
_GRID_POINTS: Final = 80
_DEEPEST_DECADE: Final = 4
BAND: Final = (10.0, 90.0)
"""Percentiles over seeds that the band spans."""
_DRAWN_ARMS: Final = (ATTACK, BASELINE)


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve over seeds: its name, seeds, the curve and the band around it as SVG path data, and measured points."""

    name: str
    seeds: int
    median: str
    band: str
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Plot:
    """One chart in a box of WIDTH × HEIGHT."""

    target: str
    scenario: str
    metric: str
    curve: str
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    chance: str
    shows: str = "Line: median over seeds; band: 10th to 90th percentile"


@dataclass(frozen=True)
class Range:
    """A value with its interval and its baseline on one short axis; positions in percent."""

    low: float
    high: float
    mean: float
    baseline: float | None


@dataclass(frozen=True)
class Axis:
    """From values to positions in the box, and the marks along it."""

    low: float
    high: float
    logarithmic: bool
    start: float
    length: float

    def at(self, values: Floats) -> Floats:
        low, high, shown = self.low, self.high, np.clip(values, self.low, self.high)
        if self.logarithmic:
            low, high, shown = math.log10(low), math.log10(high), np.log10(shown)
        placed: Floats = self.start + (shown - low) / (high - low) * self.length
        return placed

    def ticks(self) -> tuple[Tick, ...]:
        if self.logarithmic:
            marks = [10.0**d for d in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)]
        else:
            marks = [float(mark) for mark in np.linspace(self.low, self.high, 5)]
        return tuple(Tick(float(self.at(np.array(mark))), f"{mark:.3g}") for mark in marks)


def plots(curves: pa.Table) -> list[Plot]:
    """One plot per target, scenario, step, metric and curve: attack and baseline arms of the first lap."""
    charts: dict[tuple[Any, ...], dict[str, dict[int, list[tuple[float, float]]]]] = {}
    for row in curves.to_pylist():
        if row["lap"] == 1 and row["arm"] in _DRAWN_ARMS and _drawable(row["x"]) and _drawable(row["y"]):
            key = tuple(row[k] for k in ("target", "scenario", "step", "metric", "curve", "x_name", "y_name"))
            seeds = charts.setdefault(key, {}).setdefault(row["arm"], {})
            seeds.setdefault(row["seed"], []).append((row["x"], row["y"]))
    return [_plot(key, arms) for key, arms in sorted(charts.items())]


def sweep_plots(sweeps: Iterable[Sweep], units: Mapping[str, str]) -> list[Plot]:
    """One plot per sweep: mean and 95 % interval over seeds at every budget, joined by straight lines."""
    return [_sweep_plot(sweep, units.get(sweep.metric, "")) for sweep in sweeps if any(sweep.series.values())]


def _sweep_plot(sweep: Sweep, unit: str) -> Plot:
    series = {name: _band(points) for name, points in sweep.series.items()}
    budgets = np.concatenate([band[:, 0] for band in series.values()])
    heights = np.concatenate([band[:, 1:].ravel() for band in series.values()])
    ends = UNIT_BOUNDS.get(unit) or (min(float(heights.min()), 0.0), float(heights.max()) or 1.0)
    x, y = line_axis(0.0, float(budgets.max()), 0), line_axis(*ends, 1)
    lines = tuple(_sweep_line(name, sweep.series[name], band, x, y) for name, band in series.items())
    shows = "Points: mean over seeds; band: 95 % interval"
    name = f"against {sweep.swept}"
    return Plot(
        sweep.target, sweep.scenario, sweep.metric, name, sweep.swept, unit, x.ticks(), y.ticks(), lines, "", shows
    )


def _band(points: Sequence[Point]) -> Floats:
    """(points, 4): budget, mean, lower and upper end; the ends are the mean where no interval is computed."""
    rows = []
    for point in points:
        mean, inside = point.value.mean, point.value.interval
        assert not isinstance(mean, Undefined)
        low, high = (mean, mean) if isinstance(inside, Undefined) else (inside.low, inside.high)
        rows.append((point.at, mean, low, high))
    return np.array(rows, dtype=np.float64)


def _sweep_line(name: str, points: Sequence[Point], band: Floats, x: Axis, y: Axis) -> Line:
    across, means = x.at(band[:, 0]), y.at(band[:, 1])
    area = f"{_path(across, y.at(band[:, 3]))}L{_path(across[::-1], y.at(band[::-1, 2]))[1:]}Z"
    dots = tuple((round(float(a), 1), round(float(b), 1)) for a, b in zip(across, means, strict=True))
    return Line(name, max(point.value.n for point in points), _path(across, means), area, dots)


def line_axis(low: float, high: float, which: int) -> Axis:
    """A linear axis of the box: across (0) or upwards (1)."""
    top, right, bottom, left = MARGIN
    start, length = (left, WIDTH - left - right) if which == 0 else (HEIGHT - bottom, top + bottom - HEIGHT)
    return Axis(low, high if high > low else low + 1.0, False, start, length)


def value_range(found: Estimate, baseline: float | Undefined, unit: str, worst: float | None) -> Range | None:
    """Where a figure lies between the ends of its unit, or between baseline and worst case where the unit has none."""
    if isinstance(found.mean, Undefined):
        return None
    low, high = (found.mean,) * 2
    if not isinstance(found.interval, Undefined):
        low, high = found.interval.low, found.interval.high
    usual = None if isinstance(baseline, Undefined) else baseline
    ends = UNIT_BOUNDS.get(unit)
    if ends is None:
        known = [end for end in (low, high, usual, worst) if end is not None]
        pad = (max(known) - min(known)) * 0.08 or 1.0
        ends = min(known) - pad, max(known) + pad
    scale = [_percent(value, ends) for value in (low, high, found.mean)]
    return Range(scale[0], scale[1], scale[2], None if usual is None else _percent(usual, ends))


def _percent(value: float, ends: tuple[float, float]) -> float:
    return 100 * min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)


def _drawable(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _plot(key: tuple[Any, ...], arms: dict[str, dict[int, list[tuple[float, float]]]]) -> Plot:
    target, scenario, _, metric, curve, x_name, y_name = key
    points = np.array([p for seeds in arms.values() for one in seeds.values() for p in one], dtype=np.float64)
    log = curve in LOGARITHMIC
    x, y = (_axis(points[:, i], log, i) for i in (0, 1))
    drawn = tuple(_line(arm, arms[arm].values(), x, y) for arm in _DRAWN_ARMS if arm in arms)
    ends = np.array([max(x.low, y.low), min(x.high, y.high)])
    chance = _path(x.at(ends), y.at(ends)) if log else ""
    return Plot(target, scenario, metric, curve, x_name, y_name, x.ticks(), y.ticks(), drawn, chance)


def _axis(values: Floats, log: bool, which: int) -> Axis:
    if not log:
        return line_axis(float(values.min(initial=0.0)), float(values.max(initial=1.0)), which)
    smallest = float(values[values > 0].min(initial=1.0))
    decades = min(max(math.ceil(-math.log10(smallest)), 1), _DEEPEST_DECADE)
    return replace(line_axis(0.0, 1.0, which), low=10.0**-decades, logarithmic=True)


def _line(name: str, seeds: Iterable[Sequence[tuple[float, float]]], x: Axis, y: Axis) -> Line:
    grid = np.geomspace(x.low, x.high, _GRID_POINTS) if x.logarithmic else np.linspace(x.low, x.high, _GRID_POINTS)
    runs = [np.array(sorted(points), dtype=np.float64) for points in seeds]
    heights = np.stack([np.interp(grid, run[:, 0], run[:, 1]) for run in runs])
    low, high = np.percentile(heights, BAND, axis=0)
    across = x.at(grid)
    band = f"{_path(across, y.at(high))}L{_path(across[::-1], y.at(low)[::-1])[1:]}Z"
    return Line(name, len(runs), _path(across, y.at(np.median(heights, axis=0))), band)


def _path(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
