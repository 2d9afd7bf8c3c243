"""What commands print fits 100 columns, and says each thing once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop.analysis.summary import summarise
from threatloop.cli.results import results_table
from threatloop.core.catalogue import ATTACKS
from threatloop.runs.folder import read_run_folder


def _printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_plan_tells_a_reason_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target: dict[str, Any] = {"data": "breast_cancer", "model": {"name": "mlp"}}
    marks = {f"mark-{i}": {"attack": "watermark_removal"} for i in range(3)}
    written = {"version": 1, "name": "p", "seeds": 1, "targets": {"table": target}}
    others = {"warp": {"attack": "wanet"}, "loss": {"attack": "loss_threshold"}}
    spec = tiny.save({**written, "scenarios": {**marks, **others}}, tmp_path)
    assert tiny.command_line(monkeypatch, "plan", spec, "--store", str(tmp_path / "store")) == 0
    lines = _printed(capsys)
    assert max(map(len, lines)) <= 100
    told = [i for i, line in enumerate(lines) if line.startswith("not assessed")]
    assert [lines[i] for i in told] == [
        "not assessed on table: works on image records; table holds tabular records",
    ]
    assert lines[told[0] + 1].strip() == "watermark_removal ×3, wanet"
    assert any("trained for" in line for line in lines)
    assert any(line.startswith("p: 1 seed") and "seeds" not in line for line in lines)


def test_the_catalogue_says_what_each_attack_assumes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command_line(monkeypatch, "catalogue") == 0
    lines = _printed(capsys)
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("      assumes: ") for line in lines) == len(ATTACKS.names())
    assert not any(line != line.rstrip() for line in lines)


def test_results_stand_under_direction_and_metric(tmp_path: Path) -> None:
    assert tiny.run(tiny.spec(), tmp_path).record.errors == ()
    folder = read_run_folder(tmp_path / "out")
    summary = summarise(folder.record, folder.rows)
    table = results_table(folder.record, summary)
    cells = [str(cell) for cell in table.columns[0].cells]
    groups = {f"[bold]{f.direction} {f.metric}[/]" for f in summary.figures if f.headline}
    assert groups == {cell for cell in cells if cell.startswith("[bold]")}
    assert table.row_count == len(groups) + sum(figure.headline for figure in summary.figures)


def test_names_that_look_like_markup_are_printed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {**tiny.spec({"table": tiny.TABLE}, {"theft": {"attack": tiny.THEFT}}, 1), "name": "[/red] mine"}
    spec, store = tiny.save(written, tmp_path), ("--store", tmp_path / "store")
    assert tiny.command_line(monkeypatch, "plan", spec, *store) == 0
    out = ("--out", tmp_path / "[bold]", "--backend", "inline")
    assert tiny.command_line(monkeypatch, "audit", spec, *store, *out) == 0
    assert tiny.command_line(monkeypatch, "report", tmp_path / "[bold]") == 0
    printed = capsys.readouterr().out
    assert printed.count("[/red] mine: 1 seed") == 2
    assert printed.replace("\n", "").count("[bold]/report.html") == 2
