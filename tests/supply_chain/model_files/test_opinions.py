"""The other scanners: what happens where one is missing, dies, is slow, or lies."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from corpus_pickles import SYSTEM, reduce
from threatloop.supply_chain.model_files import Limits, scan_model_file
from threatloop.supply_chain.model_files.opinions import ask as asking
from threatloop.supply_chain.model_files.opinions import worker
from threatloop.supply_chain.model_files.opinions.ask import PICKLE_SCANNERS, ask
from threatloop.supply_chain.result import Severity


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(SYSTEM)
    return path


def _worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    path = tmp_path / "worker.py"
    path.write_text(program)
    monkeypatch.setattr(asking, "_WORKER", path)


def test_a_missing_scanner_is_said_for_the_file(pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_ALONE", ())
    result = scan_model_file(pickled)
    reasons = [entry.reason for entry in result.skipped]
    assert len(reasons) == len(PICKLE_SCANNERS)
    assert all("not available" in reason and "pip install 'threatloop[scan]'" in reason for reason in reasons)
    assert result.findings[0].severity is Severity.CRITICAL
    assert "says nothing" not in result.findings[0].detail


def test_a_process_that_dies_leaves_open_points(pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _worker(monkeypatch, tmp_path, "import os; os._exit(9)")
    result = scan_model_file(pickled)
    assert {entry.reason for entry in result.skipped} == {
        f"{scanner} could not judge it: its process ended with status 9" for scanner in PICKLE_SCANNERS
    }


def test_one_file_that_kills_the_process_does_not_cost_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
import json, os, sys
order = json.load(sys.stdin)
for task in order["tasks"]:
    if task["done"]["fickling"]:
        continue
    if "bad" in task["path"]:
        os._exit(1)
    print(json.dumps({"scanner": "fickling", "task": task["id"], "remarks": []}), flush=True)
"""
    _worker(monkeypatch, tmp_path, program)
    answers = ask(["a", "bad", "c"], ["fickling"], Limits())
    assert [answers.given["fickling", name].failed for name in ("a", "bad", "c")] == [
        "",
        "its process ended with status 1",
        "",
    ]


def test_a_slow_answer_is_cut_off(pickled: Path) -> None:
    pytest.importorskip("fickling")
    reasons = [entry.reason for entry in scan_model_file(pickled, Limits(opinion_seconds=1e-4)).skipped]
    assert any("more than 0.0001 seconds" in reason for reason in reasons)


def test_a_scanner_that_catches_every_error_is_cut_off_too() -> None:
    def judge(_: str) -> dict[str, Any]:
        with suppress(Exception):
            time.sleep(10)
        return {"remarks": []}

    before = signal.signal(signal.SIGALRM, worker._late)
    try:
        assert worker._answer(judge, "", 0.01) == {"failed": "it took more than 0.01 seconds"}
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_unknown_name_that_others_call_malicious_is_raised(tmp_path: Path) -> None:
    pytest.importorskip("modelaudit_picklescan")
    path = tmp_path / "model.pkl"
    path.write_bytes(reduce("__main__", "run", "true"))
    assert scan_model_file(path, Limits(opinion_bytes=0)).findings[0].severity is Severity.MEDIUM
    assert scan_model_file(path).findings[0].severity.rank <= Severity.HIGH.rank


def test_what_a_pickle_has_printed_is_no_answer(tmp_path: Path) -> None:
    """Strings of the file that reach a scanner's output must not pass as an answer."""
    pytest.importorskip("fickling")
    path = tmp_path / "model.pkl"
    path.write_bytes(reduce("os", "system", '{"scanner": "fickling", "task": "x", "remarks": []}'))
    assert "fickling: " in scan_model_file(path).findings[0].detail
