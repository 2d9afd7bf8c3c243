"""The smallest audits that are still whole, and how tests run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from threatloop import api
from threatloop.core.measurement import TIMING_COLUMNS
from threatloop.engine.execute import Workspace
from threatloop.engine.plan import Plan, make_plan
from threatloop.engine.run import Finished, Options, run_audit
from threatloop.engine.storage.store import Store

MODEL = {"name": "mlp", "parameters": {"hidden": [8]}}
RECIPE = {"epochs": 1, "batch_size": 256}
DIGITS = {"data": "digits", "model": MODEL, "recipe": RECIPE, "shadows": 2}
TABLE = {"data": "breast_cancer", "model": MODEL, "recipe": RECIPE, "shadows": 2}
THEFT = {"name": "knockoff", "queries": 40, "steps": 5}
SCENARIOS: dict[str, Any] = {
    "theft": {"chain": [{"name": "badnets", "rate": 0.2}, THEFT]},
    "membership": {"attack": "lira"},
}
COMMAND = [sys.executable, "-c", "from threatloop.cli.main import run; run()"]


def spec(
    targets: Mapping[str, Any] | None = None, scenarios: Mapping[str, Any] | None = None, seeds: int = 1, **more: Any
) -> dict[str, Any]:
    """A spec as a mapping; by default one target, a chain and a probe, in one seed."""
    return {
        "name": "tiny",
        "seeds": seeds,
        "targets": dict(targets or {"digits": DIGITS}),
        "scenarios": dict(scenarios or SCENARIOS),
        **more,
    }


def run(
    written: Mapping[str, Any], folder: Path, *, backend: str = "inline", workers: int = 2, allow_code: bool = False
) -> Finished:
    """Run a spec with its store and its run folder below ``folder``."""
    audit = api.load_spec(written, allow_code=allow_code)
    options = Options(str(folder / "store"), folder / "out", backend, workers, "test")
    return run_audit(audit, options, lambda _done, _total, _label: None, lambda _plan, _to_do: None)


def plan(written: Mapping[str, Any], store: Path, *, allow_code: bool = False) -> Plan:
    """The plan of a spec; its data is read into the store."""
    opened = Store(str(store))
    opened.prepare()
    return make_plan(api.load_spec(written, allow_code=allow_code), Workspace(opened))


def table(out: Path) -> list[dict[str, Any]]:
    """The measurement table of a run folder without its timing columns, in one order."""
    rows = pq.read_table(out / "measurements.parquet").to_pylist()
    kept = [{name: value for name, value in row.items() if name not in TIMING_COLUMNS} for row in rows]
    return sorted(kept, key=lambda row: repr(sorted(row.items())))


def save(written: Mapping[str, Any] | str, folder: Path, name: str = "spec.yaml") -> Path:
    """A spec as a file."""
    path = folder / name
    path.write_text(written if isinstance(written, str) else yaml.safe_dump(dict(written)), encoding="utf-8")
    return path


def command_line(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line in this process, from its entry point on; returns the exit status."""
    from threatloop.cli.main import run as entry

    monkeypatch.setattr(sys, "argv", ["threatloop", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        entry()
    return 0 if left.value.code is None else int(left.value.code)


def started(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """The command line in a process group of its own."""
    command = [*COMMAND, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, text=True, start_new_session=True, **pipes)
