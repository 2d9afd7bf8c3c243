"""The smallest audits that are still whole, and how tests run them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from threatloop import api
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.defence import Defence
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
# A test suite in a shell's background ignores interrupts, and whatever it starts would too.
HEARS_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


@dataclass(frozen=True)
class Reference:
    """A finished inline run of `spec`, not to be changed."""

    finished: Finished
    folder: Path
    rows: list[dict[str, Any]]


SMALL = {
    "queries": 30,
    "steps": 5,
    "per_class": 2,
    "restarts": 1,
    "most_auxiliary": 100,
    "models": 2,
    "population": 20,
    "replicas": 2,
    "records": 8,
    "queries_per_record": 60,
    "generator_steps": 5,
    "copies": 2,
    "rounds": 1,
    "pairs": 100,
    "retrain": 1,
    "goals": 3,
    "tokens": 8,
    "batch": 8,
    "message": 8,
    "depth": 2,
    "deployments": 2,
    "documents": 3,
    "candidates": 4,
}


def small(name: str) -> dict[str, Any]:
    """A row of the catalogue with the cheapest configuration that its fields allow."""
    fields = ATTACKS.load(name).model_fields
    numbers = {field for field, about in fields.items() if "int" in str(about.annotation)}
    return {"name": name, **{field: value for field, value in SMALL.items() if field in numbers}}


SMALL_DEFENCE = {"epochs": 2, "steps": 5, "references": 4, "folds": 2, "copies": 3}


def small_defence(name: str) -> Defence:
    """A defence of the catalogue in its cheapest configuration."""
    cls = DEFENCES.load(name)
    return cls(**{field: value for field, value in SMALL_DEFENCE.items() if field in cls.model_fields})


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
    # Copied, or parts that occur twice would be written as aliases.
    text = written if isinstance(written, str) else yaml.safe_dump(json.loads(json.dumps(written)))
    path.write_text(text, encoding="utf-8")
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
    python, flag, code = COMMAND
    command = [python, flag, HEARS_INTERRUPTS + code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, text=True, start_new_session=True, stdout=pipe, stderr=pipe)


def keys(folder: Path) -> set[str]:
    """Keys of every artefact of a run below this folder."""
    return set(Store(str(folder / "store")).keys())


def children(name: str = "") -> list[psutil.Process]:
    """Processes below this one whose command contains ``name``."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if not name or name in " ".join(command_of(process))]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
