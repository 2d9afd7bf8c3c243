"""Evasions in whole audits: every arm is judged at its own radius."""

from __future__ import annotations

from pathlib import Path

import tiny


def test_an_audit_sweeps_the_radius_and_checks_the_whole_range(tmp_path: Path) -> None:
    attack = {"name": "pgd", "steps": 20, "records": 40, "epsilon": 0.05}
    target = {**tiny.DIGITS, "recipe": {"epochs": 15, "batch_size": 64}}
    scenarios = {"evasion": {"attack": attack, "sweep": [0.01, 0.2]}}
    finished = tiny.run(tiny.spec({"digits": target}, scenarios), tmp_path)
    rows = {row["arm"]: row for row in tiny.table(finished.out) if row["metric"] == "evasion"}
    values = [rows[arm]["value"] for arm in ("baseline", "sweep:0.01", "attack", "sweep:0.2", "unbounded")]
    assert values == sorted(values)
    assert values[0] < 0.3
    assert values[-1] == 1.0
    assert values[1] < values[2]
    assert rows["unbounded"]["n"] == 32
    checks = {notice.what: notice.passed for notice in finished.record.self_checks}
    assert checks["pgd: wins without a bound"]
    assert checks["pgd: loss falls with steps"]
    assert checks["pgd: gradients not mostly zero"]


def test_a_clone_serves_as_well_as_its_gradients_go_and_so_does_a_surrogate(tmp_path: Path) -> None:
    target = {**tiny.DIGITS, "recipe": {"epochs": 15, "batch_size": 64}, "access": ["labels"]}
    attack = {"name": "transfer", "answers": "hard", "queries": 300, "steps": 30, "epsilon": 0.15, "records": 60}
    finished = tiny.run(tiny.spec({"digits": target}, {"transfer": {"attack": attack}}), tmp_path)
    rows = {row["arm"]: row for row in tiny.table(finished.out) if row["metric"] == "evasion"}
    # The victim errs on a few records as they are; most of the rest is fooled, with the victim's answers or without.
    assert rows["attack"]["value"] > 0.4
    assert 0.3 < rows["baseline"]["value"] < rows["attack"]["value"] + 0.1
