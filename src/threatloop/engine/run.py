"""Run an audit: plan → tasks → store → run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from threatloop.core.errors import CorruptArtefact, InputError, StoreError
from threatloop.core.measurement import RunRecord
from threatloop.core.study_note import StudyNote
from threatloop.engine.backends import check_reach, open_backend
from threatloop.engine.collect import collect
from threatloop.engine.estimate import Estimator
from threatloop.engine.execute import Workspace
from threatloop.engine.plan import Plan, make_plan
from threatloop.engine.record import identity, processor_seconds, record_of, victims_of
from threatloop.engine.schedule import Scheduler, Tally, Watcher
from threatloop.engine.storage.store import Store
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, refuse_foreign, write_run_folder
from threatloop.scenario.build import Audit
from threatloop.scenario.moved import moved

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


def run_audit(
    audit: Audit,
    options: Options,
    watch: Watcher,
    planned: Callable[[Plan, int], None],
    study: StudyNote | None = None,
) -> Finished:
    """Run everything that is not in the store yet and write the run folder.

    Args:
        audit: the checked spec.
        options: where and with what.
        watch: called after every task.
        planned: called once with the plan and the number of tasks to run.
        study: how the seeds are spent, where in two stages; becomes part of ``run.json``.

    Raises:
        InputError: bad data, an unusable place for the run folder.
        StoreError: the store is full or cannot be written.
    """
    started, clock, used = datetime.now(UTC), time.perf_counter(), processor_seconds()
    _check_writable(options.out)
    check_reach(options.backend, any(target.spec.endpoint for target in audit.targets.values()))
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
                collected = collect(plan, store, identity(audit, started), {**total.failed, **total.skipped})
                victims = victims_of(plan, store, total)
                break
            except CorruptArtefact as error:
                total.corrupt.append(str(error))
                store.delete(error.key)
        else:
            raise StoreError(f"store {options.store} damages what is written to it; choose another place")
    seconds = time.perf_counter() - clock
    cpu = None if options.backend.startswith("ray") else round(processor_seconds() - used, 2)
    record = record_of(plan, options.command, backend.workers, collected, total, started, seconds, victims, study, cpu)
    # From the run folder, so that its spec.yaml repeats the run from there.
    record = record.model_copy(update={"spec": moved(record.spec, audit.base, options.out)})
    curves = pa.concat_tables([CURVES_SCHEMA.empty_table(), *collected.curves])
    records = pa.concat_tables([RECORDS_SCHEMA.empty_table(), *collected.records])
    write_run_folder(options.out, record, collected.rows, curves, records, collected.gallery, collected.texts)
    return Finished(record, options.out, total)


def _check_writable(out: Path) -> None:
    """Before any compute is spent: the run folder can be put there."""
    refuse_foreign(out)
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    try:
        probe = parent / f".threatloop-{time.time_ns()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another place with --out") from None


def _merge(total: Tally, part: Tally, loaded: int) -> None:
    total.executed += part.executed + loaded
    total.cached = part.cached - loaded if total.executed == part.executed + loaded else total.cached
    total.retried += part.retried
    # A later round runs again whatever an earlier one could not finish.
    total.failed, total.skipped = part.failed, part.skipped
    total.corrupt += part.corrupt
    for name, seconds in part.seconds.items():
        total.seconds[name] = total.seconds.get(name, 0.0) + seconds
