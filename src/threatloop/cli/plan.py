"""``threatloop plan``."""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from threatloop.cli.console import console
from threatloop.cli.notices import tell
from threatloop.core.catalogue import ATTACKS, nearest
from threatloop.core.errors import InputError
from threatloop.report.numbers import count

if TYPE_CHECKING:
    from threatloop.engine.estimate import Estimate
    from threatloop.engine.plan import Plan
    from threatloop.engine.task import Task
    from threatloop.scenario.build import Audit

COMMANDS: Final = ("audit", "study", "claims")


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    spec: Path | None
    study: str | None
    command: str
    defences: bool
    seeds: int | None
    workers: int | None
    store: str
    allow_code: bool
    json: bool


@dataclass(frozen=True)
class Stage:
    """A plan, what of it is not in the store, and what that will probably take."""

    plan: Plan
    missing: Mapping[str, Task]
    estimate: Estimate


def run(request: Request) -> int:
    """Print the plan; nothing but the reading of data and a short probe is executed."""
    from threatloop.engine.backends.processes import available_cores
    from threatloop.engine.estimate import Estimator
    from threatloop.engine.execute import Workspace
    from threatloop.engine.plan import make_plan
    from threatloop.engine.schedule import needed
    from threatloop.engine.storage.store import Store

    stages = _stages(request)
    store = Store(request.store)
    store.prepare()
    estimator, workspace = Estimator(request.workers or available_cores()), Workspace(store)
    first, *more = (make_plan(audit, workspace, estimator) for audit in stages)
    missing = needed(first.tasks, first.wanted(), store)
    found = Stage(first, missing, estimator.estimate(missing.values(), first.facts))
    then = None
    for plan in more:
        beyond = {k: t for k, t in needed(plan.tasks, plan.wanted(), store).items() if k not in missing}
        then = Stage(plan, beyond, estimator.estimate(beyond.values(), plan.facts))
    show = _print_json if request.json else _print_table
    show(found, then)
    return 0


def _stages(request: Request) -> tuple[Audit, ...]:
    """What the command will run: one plan, or the screening and the most that both stages can come to."""
    from threatloop.analysis.ledger import chosen
    from threatloop.api import CLAIMS, INTERACTIONS, load_spec
    from threatloop.study.forecast import claims_stages, study_stages

    if request.command not in COMMANDS:
        hint = nearest(request.command, COMMANDS)
        raise InputError(f"--for {request.command!r}: no such command{hint}; allowed: {', '.join(COMMANDS)}")
    if request.command != "audit" and request.defences:
        raise InputError(f"--defences: `threatloop {request.command}` has no such option; leave it or --for out")
    if request.command == "claims" and (request.spec is not None or request.study not in (None, CLAIMS)):
        raise InputError("--for claims: the claims have their own study; leave the spec and --study out")
    usual = {"study": INTERACTIONS, "claims": CLAIMS}.get(request.command)
    study = request.study or (usual if request.spec is None else None)
    audit = load_spec(
        request.spec, study=study, seeds=request.seeds, allow_code=request.allow_code, defences=request.defences
    )
    if request.command == "study":
        return study_stages(audit)
    return claims_stages(audit, chosen(())) if request.command == "claims" else (audit,)


def _print_json(first: Stage, then: Stage | None) -> None:
    found = _plain(first)
    if then is not None:
        keys = ("to_run", "seconds", "cpu_seconds", "memory_bytes")
        found["second_stage_at_most"] = {key: value for key, value in _plain(then).items() if key in keys}
    print(json_module.dumps(found, ensure_ascii=False))


def _plain(stage: Stage) -> dict[str, Any]:
    plan, estimate = stage.plan, stage.estimate
    trained, asked = plan.trainings()
    return {
        "tasks": len(plan.tasks),
        "to_run": len(stage.missing),
        "operations": dict(Counter(task.operation for task in plan.tasks.values())),
        "models_trained": trained,
        "models_requested": asked,
        "seconds": estimate.wall,
        "cpu_seconds": estimate.seconds,
        "memory_bytes": estimate.memory * estimate.workers,
        "workers": estimate.workers,
        "not_assessed": [notice.model_dump() for notice in plan.not_assessed],
    }


def _print_table(stage: Stage, then: Stage | None) -> None:
    plan, missing = stage.plan, stage.missing
    counts = Counter(task.operation for task in plan.tasks.values())
    to_run = Counter(task.operation for task in missing.values())
    trained, asked = plan.trainings()
    from threatloop.analysis.two_stage import MAX_CONFIRMATION

    out, spec = console(), plan.audit.spec
    title = f"{escape(spec.name)}: {count(spec.seeds, 'seed')}" + ", stage 1 of 2: screening" * (then is not None)
    table = Table(title=title, title_justify="left")
    for column in ("operation", "tasks", "in the store", "to run"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for operation, found in sorted(counts.items()):
        table.add_row(operation, str(found), str(found - to_run[operation]), str(to_run[operation]))
    table.add_row("all", str(len(plan.tasks)), str(len(plan.tasks) - len(missing)), str(len(missing)))
    out.print(table)
    out.print(f"models: {trained} trained for {asked} that scenarios and arms ask for")
    tell(out, "not assessed", plan.not_assessed, {name: ATTACKS.load(name).info.title for name in ATTACKS.names()})
    out.print(f"estimated: {_time(stage.estimate)}")
    if then is not None:
        out.print(f"stage 2 of 2: at most {len(then.missing)} more tasks, {_time(then.estimate)}")
        out.print(f"(with {MAX_CONFIRMATION} fresh seeds in every cell; the screening decides which get how many)")


def _time(estimate: Estimate) -> str:
    gib = estimate.memory * estimate.workers / 2**30
    return f"{estimate.wall:.0f} s on {estimate.workers} workers, at most {gib:.1f} GiB"
