"""``threatloop plan``."""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from threatloop.api import load_spec
from threatloop.cli.console import console
from threatloop.cli.notices import tell
from threatloop.core.catalogue import ATTACKS
from threatloop.report.numbers import count

if TYPE_CHECKING:
    from threatloop.engine.estimate import Estimate
    from threatloop.engine.plan import Plan
    from threatloop.engine.task import Task


def run(
    spec: Path | None,
    study: str | None,
    seeds: int | None,
    workers: int | None,
    store_url: str,
    allow_code: bool,
    json: bool,
) -> int:
    """Print the plan; nothing but the reading of data and a short probe is executed."""
    from threatloop.engine.backends.processes import available_cores
    from threatloop.engine.estimate import Estimator
    from threatloop.engine.execute import Workspace
    from threatloop.engine.plan import make_plan
    from threatloop.engine.schedule import needed
    from threatloop.engine.storage.store import Store

    audit = load_spec(spec, study=study, seeds=seeds, allow_code=allow_code)
    store = Store(store_url)
    store.prepare()
    estimator = Estimator(workers or available_cores())
    plan = make_plan(audit, Workspace(store), estimator)
    missing = needed(plan.tasks, plan.wanted(), store)
    estimate = estimator.estimate(missing.values(), plan.facts)
    show = _print_json if json else _print_table
    show(plan, missing, estimate)
    return 0


def _print_json(plan: Plan, missing: Mapping[str, Task], estimate: Estimate) -> None:
    trained, asked = plan.trainings()
    found = {
        "tasks": len(plan.tasks),
        "to_run": len(missing),
        "operations": dict(Counter(task.operation for task in plan.tasks.values())),
        "models_trained": trained,
        "models_requested": asked,
        "seconds": estimate.wall,
        "cpu_seconds": estimate.seconds,
        "memory_bytes": estimate.memory * estimate.workers,
        "workers": estimate.workers,
        "not_assessed": [notice.model_dump() for notice in plan.not_assessed],
    }
    print(json_module.dumps(found, ensure_ascii=False))


def _print_table(plan: Plan, missing: Mapping[str, Task], estimate: Estimate) -> None:
    counts = Counter(task.operation for task in plan.tasks.values())
    to_run = Counter(task.operation for task in missing.values())
    trained, asked = plan.trainings()
    out, spec = console(), plan.audit.spec
    table = Table(title=f"{spec.name}: {count(spec.seeds, 'seed')}", title_justify="left")
    for column in ("operation", "tasks", "in the store", "to run"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for operation, found in sorted(counts.items()):
        table.add_row(operation, str(found), str(found - to_run[operation]), str(to_run[operation]))
    table.add_row("all", str(len(plan.tasks)), str(len(plan.tasks) - len(missing)), str(len(missing)))
    out.print(table)
    out.print(f"models: {trained} trained for {asked} that scenarios and arms ask for")
    tell(out, "not assessed", plan.not_assessed, {name: ATTACKS.load(name).info.title for name in ATTACKS.names()})
    gib = estimate.memory * estimate.workers / 2**30
    out.print(f"estimated: {estimate.wall:.0f} s on {estimate.workers} workers, at most {gib:.1f} GiB")
