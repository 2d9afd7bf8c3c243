"""The audit as a command: its exit status, what it prints, and what an interrupt or a kill leaves behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import tiny
from threatloop.core.catalogue import ATTACKS

BROKEN = {**tiny.SCENARIOS, "broken": {"attack": "exploding"}}


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the tiny spec is finished."""
    folder = tmp_path_factory.mktemp("cached")
    tiny.run(tiny.spec(), folder)
    return folder / "store"


@pytest.fixture
def world(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a filled store, in which the command runs."""
    shutil.copytree(cached, tmp_path / ".threatloop" / "store")
    monkeypatch.setattr(ATTACKS, "enabled", {"exploding": "third_party:Exploding"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def audit(monkeypatch: pytest.MonkeyPatch, folder: Path, written: dict[str, Any], *arguments: str) -> int:
    return tiny.command_line(monkeypatch, "audit", tiny.save(written, folder), "--backend", "inline", *arguments)


@pytest.mark.parametrize(
    ("scenarios", "arguments", "status"),
    [
        (tiny.SCENARIOS, [], 0),
        (BROKEN, [], 1),
        (tiny.SCENARIOS, ["--fail-on", "errors > 0"], 0),
        (BROKEN, ["--fail-on", "errors > 0"], 3),
        # One seed is too few for a verdict, so the gate fails closed unless the user allows that.
        (tiny.SCENARIOS, ["--fail-on", "membership > 0.99"], 3),
        (tiny.SCENARIOS, ["--fail-on", "membership > 0.99", "--allow-unresolved"], 0),
        (BROKEN, ["--fail-on", "membership > 0.99", "--allow-unresolved"], 1),
        (BROKEN, ["--fail-on", "membershp > 0.99"], 2),
    ],
)
def test_exit_status(
    scenarios: dict[str, Any], arguments: list[str], status: int, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit(monkeypatch, world, tiny.spec(scenarios=scenarios), *arguments) == status
    assert (world / "threatloop-run" / "report.html").exists() == (status != 2)


def test_what_is_printed(world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(monkeypatch, world, tiny.spec(scenarios=BROKEN)) == 1
    said = capsys.readouterr().out
    for part in ("theft", "membership", "errors", "exploding", "tasks executed", "train accuracy", "report.html"):
        assert part in said
    assert max(map(len, said.splitlines())) <= 100


def test_json_is_one_object(world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(monkeypatch, world, tiny.spec(), "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((world / "threatloop-run" / "report.json").read_text(encoding="utf-8"))


def test_the_dry_run_tells_what_is_cached(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tiny.save(tiny.spec(), world)
    assert tiny.command_line(monkeypatch, "plan", spec, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["to_run"] == 0
    assert found["tasks"] == sum(found["operations"].values()) > 15
    assert not (world / "threatloop-run").exists()


def test_code_beside_the_spec_is_found(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    (world / "beside_the_spec.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    target = {**tiny.DIGITS, "model": {"name": "beside_the_spec:net"}}
    written = tiny.spec({"digits": target}, {"flip": {"attack": "label_flip"}})
    assert audit(monkeypatch, world, written) == 2
    assert "beside_the_spec" not in sys.modules
    try:
        assert audit(monkeypatch, world, written, "--allow-code") == 0
    finally:
        sys.modules.pop("beside_the_spec", None)


def group(leader: int) -> list[psutil.Process]:
    """Living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def wait_for(condition: Any, seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def artefacts(folder: Path) -> int:
    return len(list((folder / "store" / "objects").rglob("*.json")))


def arguments(folder: Path, spec: Path) -> list[str]:
    return ["audit", str(spec), "--store", str(folder / "store"), "--out", str(folder / "out"), "--workers", "2"]


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A spec with a few seeds, and its table without any interruption."""
    written = tiny.spec({"digits": tiny.DIGITS, "table": tiny.TABLE}, seeds=3)
    return written, tiny.table(tiny.run(written, tmp_path_factory.mktemp("longer")).out)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals to process groups")
def test_an_interrupt_keeps_what_is_done(longer: tuple[dict[str, Any], list[dict[str, Any]]], tmp_path: Path) -> None:
    written, expected = longer
    running = tiny.started(*arguments(tmp_path, tiny.save(written, tmp_path)), cwd=tmp_path)
    assert wait_for(lambda: artefacts(tmp_path) > 15)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "threatloop: stopped; what is done is kept in the store" in said
    assert "Traceback" not in said
    assert wait_for(lambda: not group(running.pid), 20)
    assert not (tmp_path / "out").exists()
    kept = artefacts(tmp_path)
    finished = tiny.run(written, tmp_path)
    assert finished.tally.executed <= finished.tally.planned - kept
    assert tiny.table(finished.out) == expected


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals to process groups")
def test_a_killed_run_is_resumed_and_gives_the_same_table(
    longer: tuple[dict[str, Any], list[dict[str, Any]]], tmp_path: Path
) -> None:
    written, expected = longer
    spec, draws = tiny.save(written, tmp_path), random.Random(7)
    for whole_group in (True, False, True):
        seen = artefacts(tmp_path)
        running = tiny.started(*arguments(tmp_path, spec), cwd=tmp_path)
        wait_for(lambda seen=seen, running=running: artefacts(tmp_path) > seen + 3 or running.poll() is not None)
        time.sleep(draws.uniform(0.0, 0.4))
        if whole_group:
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
        running.communicate(timeout=60)
        # Nobody is left to work on for a parent that is gone.
        assert wait_for(lambda running=running: not group(running.pid), 20)
        assert artefacts(tmp_path) > seen
    again = subprocess.run(
        [*tiny.COMMAND, *arguments(tmp_path, spec)], check=False, capture_output=True, text=True, timeout=200
    )
    assert again.returncode == 0, again.stderr
    assert tiny.table(tmp_path / "out") == expected
