"""The main job: cold, again, and with one parameter changed; tasks, seconds, peak memory, victims' accuracy.

    python benchmarks/audit.py [--seeds 12]

Bars on two cores: cold ≤ 180 s and ≤ 2 GiB over all processes; the second run ≤ 5 s with 0 tasks executed; a changed
parameter of one attack reruns only that attack and what depends on it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from memory import Peak

from threatloop.scenario.studies import study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        text = study("embedded")
        spec = place / "spec.yaml"
        spec.write_text(text, encoding="utf-8")
        show("cold", run(spec, place, seeds))
        show("again", run(spec, place, seeds))
        changed: dict[str, Any] = yaml.safe_load(text)
        changed["scenarios"]["theft-scores"]["attack"]["queries"] = 201
        spec.write_text(yaml.safe_dump(changed), encoding="utf-8")
        show("one attack's queries 200 → 201", run(spec, place, seeds))
        print(f"expected of the changed attack: {2 * seeds} seeds × (attack, baseline, two grades) = {8 * seeds} tasks")


def run(spec: Path, place: Path, seeds: int) -> dict[str, Any]:
    """One audit in a process of its own, with the memory of all its processes watched."""
    command = [sys.executable, "-m", "threatloop", "audit", str(spec), "--seeds", str(seeds)]
    command += ["--store", str(place / "store"), "--out", str(place / "run")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    peak = Peak(process.pid)
    code = process.wait()
    seconds, memory = time.perf_counter() - started, peak.stop()
    record = json.loads((place / "run" / "run.json").read_text(encoding="utf-8"))
    return {"seconds": seconds, "memory": memory, "code": code, "record": record}


def show(name: str, found: dict[str, Any]) -> None:
    """One block of figures."""
    record, tasks = found["record"], found["record"]["tasks"]
    print(f"{name}: {found['seconds']:.1f} s, {found['memory'] / 2**30:.2f} GiB, exit status {found['code']}")
    print(f"  tasks: {tasks['planned']} planned, {tasks['executed']} executed, {tasks['failed']} failed")
    for target, facts in record["targets"].items():
        victim = {metric: round(figure["mean"], 4) for metric, figure in facts.get("victim", {}).items()}
        print(f"  {target}: {record['seeds']} seeds, victim {victim}")


if __name__ == "__main__":
    main()
