"""A budget that the spec varies: its arms, and the series that the report draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from threatloop.analysis.summary import summarise
from threatloop.core.errors import Problems
from threatloop.report.build import build
from threatloop.report.plots import sweep_plots
from threatloop.runs.folder import read_run_folder

SWEPT = {"theft": {"attack": tiny.THEFT, "sweep": [20, 80]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sweep")
    assert tiny.run(tiny.spec(scenarios=SWEPT, seeds=2), place).record.errors == ()
    return place / "out"


def test_every_budget_is_measured_with_its_own_baseline(folder: Path) -> None:
    rows = [row for row in tiny.table(folder) if row["metric"] == "fidelity"]
    asked = {row["arm"]: row["queries"] for row in rows}
    assert asked["sweep:20"] == 20
    assert asked["sweep:80"] == 80
    assert asked["sweep-baseline:20"] == asked["sweep-baseline:80"] == 0


def test_the_series_hold_every_budget_and_the_attacks_own(folder: Path) -> None:
    read = read_run_folder(folder)
    (sweep,) = summarise(read.record, read.rows).sweeps
    assert sweep.swept == "queries"
    assert {name: [point.at for point in points] for name, points in sweep.series.items()} == {
        "attack": [20, 40, 80],
        "baseline": [20, 40, 80],
    }
    values: dict[str, list[float]] = {row["arm"]: [] for row in tiny.table(folder)}
    for row in tiny.table(folder):
        if row["metric"] == "fidelity":
            values[row["arm"]].append(row["value"])
    means = [sum(values[arm]) / 2 for arm in ("sweep:20", "attack", "sweep:80")]
    assert [point.value.mean for point in sweep.series["attack"]] == pytest.approx(means)


def test_the_report_draws_it_and_the_json_holds_it(folder: Path) -> None:
    html = build(folder).read_text(encoding="utf-8")
    assert "against queries" in html
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [point["at"] for point in written["sweeps"][0]["series"]["attack"]] == [20, 40, 80]


def test_a_baseline_without_that_budget_is_drawn_at_all_of_them(tmp_path: Path) -> None:
    attack = {"name": "fgsm", "records": 16, "epsilon": 0.1}
    written = tiny.spec(scenarios={"evasion": {"attack": attack, "sweep": [0.05, 0.5]}}, seeds=2)
    assert tiny.run(written, tmp_path).record.errors == ()
    read = read_run_folder(tmp_path / "out")
    (sweep,) = summarise(read.record, read.rows).sweeps
    assert [point.at for point in sweep.series["attack"]] == [0.05, 0.1, 0.5]
    assert [point.at for point in sweep.series["baseline"]] == [0.05, 0.1, 0.5]
    (mean,) = {point.value.mean for point in sweep.series["baseline"]}
    clean = [r["value"] for r in tiny.table(tmp_path / "out") if (r["arm"], r["metric"]) == ("baseline", "evasion")]
    assert mean == pytest.approx(sum(clean) / 2)
    (plot,) = sweep_plots([sweep], {"evasion": "rate"})
    assert [len(line.dots) for line in plot.lines] == [3, 3]
    assert plot.x_ticks[0].label == "0"


def test_what_cannot_be_varied_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="sweep: no step here has a budget"):
        tiny.plan(tiny.spec(scenarios={"x": {"attack": "loss_threshold", "sweep": [1]}}), tmp_path)
    with pytest.raises(Problems, match="sweep: queries: input should be greater than or equal to 1"):
        tiny.plan(tiny.spec(scenarios={"x": {"attack": tiny.THEFT, "sweep": [0]}}), tmp_path)


def test_shared_trainings_are_counted(tmp_path: Path) -> None:
    scenarios = {"a": {"attack": "lira"}, "b": {"attack": {"name": "lira", "online": False}}}
    trained, asked = tiny.plan(tiny.spec(scenarios=scenarios), tmp_path).trainings()
    one, _ = tiny.plan(tiny.spec(scenarios={"a": scenarios["a"]}), tmp_path).trainings()
    assert trained == one  # the second probe adds no model
    assert asked > trained
