"""Numbers as printed, and the geometry of curves, against values worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from threatloop.analysis.estimates import Estimate
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.plots import HEIGHT, MARGIN, WIDTH, plots, value_range
from threatloop.runs.folder import CURVES_SCHEMA

TOP, RIGHT, BOTTOM, LEFT = MARGIN


def _table(curve: str, seeds: dict[int, list[tuple[float, float]]]) -> pa.Table:
    place = {"target": "t", "scenario": "s", "arm": "attack", "step": 1, "lap": 1, "metric": "m", "curve": curve}
    rows = [
        place | {"x_name": "FPR", "y_name": "TPR", "seed": seed, "x": x, "y": y}
        for seed, points in seeds.items()
        for x, y in points
    ]
    return pa.Table.from_pylist(rows, schema=CURVES_SCHEMA)


def _points(path: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([float(n) for n in re.findall(r"-?[\d.]+", path)]).reshape(-1, 2)


def test_a_roc_is_drawn_on_logarithmic_axes_with_its_median_over_seeds() -> None:
    lines = {seed: [(0.0, 0.0), (0.01, h), (1.0, 1.0)] for seed, h in enumerate((0.1, 0.2, 0.9))}
    plot = plots(_table("roc", lines))[0]
    assert [tick.label for tick in plot.x_ticks] == ["0.01", "0.1", "1"]
    drawn = _points(plot.lines[0].median)
    # Left edge: FPR .01, where the middle seed has TPR .2, on a y axis of one decade from .1 to 1.
    across = HEIGHT - BOTTOM - np.log10(0.2 / 0.1) * (HEIGHT - TOP - BOTTOM)
    np.testing.assert_allclose(drawn[0], [LEFT, across], atol=0.1)
    np.testing.assert_allclose(drawn[-1], [WIDTH - RIGHT, TOP], atol=0.1)
    band = _points(plot.lines[0].band)
    assert band[0][1] < drawn[0][1] <= band[-1][1]
    assert plot.lines[0].seeds == 3


def test_other_curves_have_linear_axes_and_points_that_are_not_numbers_are_left_out() -> None:
    plot = plots(_table("loss", {0: [(0.0, 2.0), (1.0, float("nan")), (4.0, 0.0)]}))[0]
    assert [tick.label for tick in plot.x_ticks] == ["0", "1", "2", "3", "4"]
    drawn = _points(plot.lines[0].median)
    middle = drawn[len(drawn) // 2]
    assert middle[0] == pytest.approx((LEFT + WIDTH - RIGHT) / 2, rel=0.02)
    assert middle[1] == pytest.approx((TOP + HEIGHT - BOTTOM) / 2, rel=0.02)
    assert plot.chance == ""


def test_a_range_places_value_interval_and_baseline() -> None:
    found = value_range(Estimate(0.6, Interval(0.5, 0.75, 0.95, "t"), 12), 0.25, "rate", 1.0)
    assert found is not None
    assert (found.low, found.mean, found.high, found.baseline) == pytest.approx((50, 60, 75, 25))
    missing = Undefined("no seed has a value")
    assert value_range(Estimate(missing, missing, 0), 0.25, "rate", 1.0) is None


@pytest.mark.parametrize(
    ("mean", "low", "high", "unit", "shown"),
    [
        (0.84217, 0.8361, 0.8483, "rate", "0.842 [0.836, 0.848]"),
        (0.84217, 0.74, 0.94, "rate", "0.84 [0.74, 0.94]"),
        (27.04, 26.83, 27.22, "dB", "27.0 [26.8, 27.2]"),
        (-0.0001, -0.009, 0.009, "ratio", "0.000 [−0.009, 0.009]"),
        (7.512, 3.0, 12.0, "z", "7.5 [3.0, 12.0]"),
        (1234567.0, 1.1e6, 1.3e6, "", "1.23e+06 [1.1e+06, 1.3e+06]"),
    ],
)
def test_figures_have_the_digits_that_their_interval_supports(
    mean: float, low: float, high: float, unit: str, shown: str
) -> None:
    assert numbers.with_interval(Estimate(mean, Interval(low, high, 0.95, "t"), 12), unit) == shown


def test_what_is_undefined_is_said_and_not_numbered() -> None:
    gap = Undefined("too few non-members")
    assert numbers.with_interval(Estimate(gap, gap, 0)) == "not computed, because too few non-members"
    assert numbers.difference(gap) == "not computed, because too few non-members"
    assert numbers.probability(gap) == "–"
    assert numbers.probability(0.0002) == "< 0.001"
    assert [numbers.duration(s) for s in (9.6, 171.2, 7380)] == ["10 s", "2 min 51 s", "2 h 3 min"]
