"""Kill a run at ten random moments, finish it, and compare its table with that of a run nobody disturbed.

    python benchmarks/crash.py [SPEC] [--kills 10] [--seeds 3]

Prints one line per kill with PASS or FAIL: it passes when no process of the killed run survives and nothing that was
stored is lost. The last line compares the final measurement tables, timing columns aside. Exit status 1 on any FAIL.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from threatloop.core.measurement import TIMING_COLUMNS

AUDIT = [sys.executable, "-c", "from threatloop.cli.main import run; run()", "audit"]
DEATH_SECONDS = 20.0


def table(out: Path) -> list[str]:
    """Rows without timing columns, as text, in one order."""
    rows = pq.read_table(out / "measurements.parquet").to_pylist()
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in TIMING_COLUMNS)) for row in rows)


def artefacts(store: Path) -> set[str]:
    """Names of the manifests: what is committed."""
    return {path.name for path in (store / "objects").rglob("*.json") if not path.name.startswith(".")}


def members(group: int) -> int:
    """Living processes of a process group."""
    found = 0
    for process in psutil.process_iter():
        try:
            found += os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.Error):
            continue
    return found


def command(arguments: list[str], folder: Path) -> list[str]:
    return [*AUDIT, *arguments, "--store", str(folder / "store"), "--out", str(folder / "out")]


def kill_once(arguments: list[str], folder: Path, after: float, whole_group: bool) -> tuple[bool, str]:
    """One run, killed so many seconds after it first stored something: the whole group, or the parent alone."""
    before = artefacts(folder / "store")
    quiet: Any = subprocess.DEVNULL
    running = subprocess.Popen(command(arguments, folder), stdout=quiet, stderr=quiet, start_new_session=True)
    while running.poll() is None and artefacts(folder / "store") <= before:
        time.sleep(0.05)
    try:
        running.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL) if whole_group else running.kill()
    status = running.wait()
    deadline = time.monotonic() + DEATH_SECONDS
    while members(running.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    left, stored = members(running.pid), artefacts(folder / "store")
    whom = "the group" if whole_group else "the parent"
    how = f"ended with {status}" if status >= 0 else f"{whom} killed {after:4.1f} s after its first artefact"
    if status >= 0:
        return False, f"{how} before it could be killed; choose a longer run, or fewer kills"
    return left == 0 and before <= stored, f"{how}; {len(before)} → {len(stored)} artefacts, {left} processes left"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    arguments = [*([str(Path(chosen.spec).absolute())] if chosen.spec else []), "--seeds", str(chosen.seeds)]
    draws, verdicts = random.Random(0), []
    with tempfile.TemporaryDirectory() as place:
        whole, killed = Path(place, "whole"), Path(place, "killed")
        started = time.perf_counter()
        subprocess.run(command(arguments, whole), check=True, capture_output=True)
        seconds = time.perf_counter() - started
        print(f"undisturbed: {seconds:.1f} s, {len(artefacts(whole / 'store'))} artefacts")
        for number in range(1, chosen.kills + 1):
            after = draws.uniform(0.0, seconds / chosen.kills)
            passed, line = kill_once(arguments, killed, after, whole_group=number % 2 == 1)
            verdicts.append(passed)
            print(f"kill {number:2d}: {'PASS' if passed else 'FAIL'}  {line}", flush=True)
        subprocess.run(command(arguments, killed), check=True, capture_output=True)
        same = table(whole / "out") == table(killed / "out")
        print(f"final table: {'PASS' if same else 'FAIL'}  {len(table(killed / 'out'))} rows")
    return 0 if same and all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
