"""Fidelity against queries: every value of the sweep is an arm, each with its own matched baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny

SWEPT = [50, 100, 200]


@pytest.mark.parametrize("name", ["knockoff", "active_theft"])
def test_a_sweep_over_queries_has_a_row_and_a_baseline_at_every_value(tmp_path: Path, name: str) -> None:
    attack = {"name": name, "queries": 30, "steps": 5}
    written = tiny.spec(
        scenarios={"curve": {"attack": attack, "sweep": SWEPT}, "alone": {"attack": attack | {"queries": 100}}}
    )
    finished = tiny.run(written, tmp_path)
    assert finished.record.errors == ()
    rows = [row for row in tiny.table(finished.out) if row["metric"] == "fidelity"]
    curve = {row["arm"]: row for row in rows if row["scenario"] == "curve"}
    expected = {"attack", "baseline"} | {f"{arm}:{n}" for arm in ("sweep", "sweep-baseline") for n in SWEPT}
    assert set(curve) == expected
    for n in SWEPT:
        assert curve[f"sweep:{n}"]["queries"] == n
        assert curve[f"sweep-baseline:{n}"]["queries"] == 0
    alone = {row["arm"]: row for row in rows if row["scenario"] == "alone"}
    assert curve["sweep:100"]["value"] == alone["attack"]["value"]
    assert curve["sweep-baseline:100"]["value"] == alone["baseline"]["value"]
