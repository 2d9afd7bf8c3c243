"""Run an audit: plan → tasks → store → run folder."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.digests import digest_json
from threatloop.core.errors import CorruptArtefact, InputError, StoreError
from threatloop.core.measurement import MetricNote, Notice, RunRecord
from threatloop.engine.backends import open_backend
from threatloop.engine.collect import Collected, collect
from threatloop.engine.estimate import Estimator
from threatloop.engine.execute import Workspace
from threatloop.engine.facts import table
from threatloop.engine.plan import Plan, make_plan
from threatloop.engine.products import NotAssessed, decode
from threatloop.engine.profile import environment
from threatloop.engine.schedule import Scheduler, Tally, Watcher
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, refuse_foreign, write_run_folder
from threatloop.scenario.build import Audit

CORRUPT_ROUNDS = 5


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what.

    Attributes:
        store: directory or fsspec URL.
        out: the run folder.
        backend: ``inline``, ``processes``, ``ray`` or ``ray://HOST:PORT``.
        workers: worker processes; None takes one per core.
        command: how the user called it, for the report.
    """

    store: str
    out: Path
    backend: str = "processes"
    workers: int | None = None
    command: str = ""


@dataclass(frozen=True)
class Finished:
    """A run that came to its end.

    Attributes:
        record: what was written as ``run.json``.
        out: the run folder.
        tally: what became of the tasks.
    """

    record: RunRecord
    out: Path
    tally: Tally


def run_audit(audit: Audit, options: Options, watch: Watcher, planned: Callable[[Plan, int], None]) -> Finished:
    """Run everything that is not in the store yet and write the run folder.

    Args:
        audit: the checked spec.
        options: where and with what.
        watch: called after every task.
        planned: called once with the plan and the number of tasks to run.

    Raises:
        InputError: bad data, an unusable place for the run folder.
        StoreError: the store is full or cannot be written.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    _check_writable(options.out)
    store = Store(options.store)
    store.prepare()
    workspace = Workspace(store)
    backend = open_backend(options.backend, store, options.workers, audit.spec.plugins)
    with backend:
        estimator = Estimator(backend.workers) if audit.spec.max_cost else None
        plan = make_plan(audit, workspace, estimator)
        total = Tally(planned=len(plan.tasks), corrupt=list(plan.corrupt))
        for round_ in range(CORRUPT_ROUNDS):
            scheduler = Scheduler(plan.tasks, plan.wanted(), store, watch)
            if round_ == 0:
                planned(plan, len(scheduler.to_do))
            _merge(total, scheduler.run(backend), plan.loaded if round_ == 0 else 0)
            try:
                collected = collect(plan, store, _identity(audit, started), {**total.failed, **total.skipped})
                accuracy = _victim_accuracy(plan, store, total)
                break
            except CorruptArtefact as error:
                total.corrupt.append(str(error))
                store.delete(error.key)
        else:
            raise StoreError(f"store {options.store} damages what is written to it; choose another place")
    record = _record(plan, options, collected, total, started, time.perf_counter() - clock, accuracy)
    curves = pa.concat_tables([CURVES_SCHEMA.empty_table(), *collected.curves])
    records = pa.concat_tables([RECORDS_SCHEMA.empty_table(), *collected.records])
    write_run_folder(options.out, record, collected.rows, curves, records, collected.gallery)
    return Finished(record, options.out, total)


def _check_writable(out: Path) -> None:
    """Before any compute is spent: the run folder can be put there."""
    refuse_foreign(out)
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        probe = parent / f".threatloop-{time.time_ns()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another place with --out") from None


def _merge(total: Tally, part: Tally, loaded: int) -> None:
    total.executed += part.executed + loaded
    total.cached = part.cached - loaded if total.executed == part.executed + loaded else total.cached
    total.retried += part.retried
    total.failed |= part.failed
    total.skipped |= part.skipped
    total.corrupt += part.corrupt
    for name, seconds in part.seconds.items():
        total.seconds[name] = total.seconds.get(name, 0.0) + seconds


def _identity(audit: Audit, started: datetime) -> str:
    return f"{started:%Y%m%dT%H%M%SZ}-{digest_json(audit.spec.model_dump(mode='json'))[:8]}"


def _record(
    plan: Plan,
    options: Options,
    collected: Collected,
    tally: Tally,
    started: datetime,
    seconds: float,
    accuracy: Accuracy,
) -> RunRecord:
    audit = plan.audit
    device = next(iter(plan.facts.values())).target.spec.device
    attacks = {type(step) for scenario in audit.scenarios for step in scenario.steps}
    errors = [_error(plan.tasks[key], why) for key, why in tally.failed.items()]
    errors += _skipped(tally)
    facts = table(plan.facts)
    for name, figures in accuracy.items():
        facts[name]["victim"] = figures
    return RunRecord(
        run=_identity(audit, started),
        name=audit.spec.name,
        threatloop=metadata.version("threatloop"),
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        peak_memory_mib=round(peak_memory_mib(), 1),
        run_seed=audit.spec.seed,
        seeds=audit.spec.seeds,
        command=options.command,
        spec=audit.spec.model_dump(mode="json", exclude_none=True),
        targets=facts,
        scenarios={
            s.name: {"attacks": [ATTACKS.name_of(type(step)) for step in s.steps], "laps": s.laps}
            for s in audit.scenarios
        },
        attacks={ATTACKS.name_of(cls): _about(cls) for cls in sorted(attacks, key=lambda cls: cls.__name__)},
        metrics=_metric_notes({name for cls in attacks for name in cls.info.metrics}),
        tasks={
            "planned": tally.planned,
            "executed": tally.executed,
            "cached": tally.cached,
            "failed": len(tally.failed),
            "skipped": len(tally.skipped),
            "retried": tally.retried,
        },
        worker_seconds={name: round(value, 2) for name, value in sorted(tally.seconds.items())},
        environment=environment(device),
        errors=tuple(errors),
        not_assessed=(*plan.not_assessed, *_grouped(collected.not_assessed, audit.spec.seeds)),
        self_checks=tuple(collected.self_checks),
        notes=tuple(f"recomputed: {line}" for line in tally.corrupt),
        gallery=tuple(collected.items),
    )


def _error(task: Task, why: str) -> Notice:
    return Notice(target=str(task.local.get("target", "")), what=task.label, why=why)


def _skipped(tally: Tally) -> list[Notice]:
    causes: dict[str, int] = {}
    for cause in tally.skipped.values():
        causes[cause] = causes.get(cause, 0) + 1
    return [Notice(what=cause, why=f"{n} tasks that depend on it were skipped") for cause, n in causes.items()]


def _grouped(notices: list[Notice], seeds: int) -> list[Notice]:
    """One line for all the seeds that cannot be assessed for the same reason."""
    groups: dict[tuple[str, str, str, str], list[int]] = {}
    for notice in notices:
        groups.setdefault((notice.target, notice.scenario, notice.what, notice.why), []).append(notice.seed or 0)
    lines = []
    for (target, scenario, what, why), found in groups.items():
        reason = why if len(found) == seeds else f"{why} (seeds {', '.join(map(str, found))})"
        lines.append(Notice(target=target, scenario=scenario, what=what, why=reason))
    return lines


def _about(cls: Any) -> dict[str, Any]:
    info = cls.info
    return {
        "title": info.title,
        "direction": info.direction.value,
        "knowledge": info.knowledge,
        "needs": sorted(info.needs),
        "paper": info.paper,
        "atlas": list(info.atlas),
        "baseline": info.baseline,
        "metrics": list(info.metrics),
    }


def _metric_notes(names: set[str]) -> dict[str, MetricNote]:
    notes = {}
    for name in sorted(names):
        info = METRICS.load(name).info
        notes[name] = MetricNote(
            title=info.title, unit=info.unit, worst=info.worst, margin=info.margin, meaning=info.meaning
        )
    return notes


Accuracy = dict[str, dict[str, Any]]
"""Target → metric → mean over seeds."""


def _victim_accuracy(plan: Plan, store: Store, tally: Tally) -> Accuracy:
    """Per target, the honest victim's mean accuracy on its members and on the test set, over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for (name, _seed), ref in plan.victims.items():
        key = ref.key
        if key in tally.failed or key in tally.skipped or not store.has(key):
            continue
        product = decode(store.get(key))
        if isinstance(product.value, NotAssessed):
            continue
        for reading in product.value.readings:
            if reading.value is not None:
                found.setdefault(name, {}).setdefault(reading.metric, []).append(reading.value)
    return {
        name: {metric: {"mean": float(np.mean(v)), "seeds": len(v)} for metric, v in metrics.items()}
        for name, metrics in found.items()
    }


def peak_memory_mib() -> float:
    """Peak resident memory of this process plus the largest of its children, in MiB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return float(own + children) / 1024
