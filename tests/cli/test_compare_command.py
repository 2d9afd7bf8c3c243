"""``threatloop compare``: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from defended import at_risk, record, row
from threatloop import api
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, write_run_folder


def _write(path: Path, risk: float, **changes: Any) -> Path:
    rows = [row("infer", seed, at_risk(risk * (1 + (seed * 5 % 7) / 20))) for seed in range(12)]
    rows += [row("evade", seed, at_risk(0.3 + (seed * 7 % 5) / 300 * risk)) for seed in range(12)]
    write_run_folder(path, record(12, **changes), rows, CURVES_SCHEMA.empty_table(), RECORDS_SCHEMA.empty_table())
    return path


def test_worse_is_printed_first_and_fails_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = _write(tmp_path / "a", 0.2, run="before"), _write(tmp_path / "b", 0.5, run="after")
    assert tiny.command_line(monkeypatch, "compare", str(a), str(b)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    readings = [line for line in lines if "digits/" in line]
    assert "▲ worse" in readings[0]
    assert "digits/infer" in readings[0]
    assert tiny.command_line(monkeypatch, "compare", str(a), str(b), "--fail-on-worse") == 3
    assert tiny.command_line(monkeypatch, "compare", str(b), str(a), "--fail-on-worse") == 0
    capsys.readouterr()
    assert tiny.command_line(monkeypatch, "compare", str(a), str(b), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["changes"][0]["reading"] == "worse"
    assert found["changes"][0]["key"]["scenario"] == "infer"
    assert api.compare(a, b).changes[0].reading == "worse"


def test_runs_that_cannot_be_compared_are_refused_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (
        _write(tmp_path / "a", 0.2),
        _write(tmp_path / "b", 0.5, threatloop="9.9", targets={"digits": {"records": 3}}),
    )
    assert tiny.command_line(monkeypatch, "compare", str(a), str(b)) == 2
    said = capsys.readouterr().err
    assert f"{a} and {b} cannot be compared: 2 problems" in said
    assert "threatloop: 0.1.0 and 9.9" in said
    assert "the data differ in records: 1797 and 3" in said
    assert tiny.command_line(monkeypatch, "compare", str(a), str(tmp_path / "none")) == 2
