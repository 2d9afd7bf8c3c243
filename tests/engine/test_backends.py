"""Inline, processes and Ray: the same keys and measurements; a worker that is killed costs nothing but time."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import tiny
from threatloop import api
from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.engine.backends import open_backend
from threatloop.engine.backends.base import Backend, Done
from threatloop.engine.run import Finished, Options, run_audit
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task
from tiny import Reference, children, keys


def run_and_kill(folder: Path, backend: str, victim: str) -> tuple[Finished, list[int]]:
    """A run of which one worker is killed as soon as the first task is done, while others are in flight."""
    killed: list[int] = []

    def watch(_done: int, _total: int, _label: str) -> None:
        for process in children(victim)[:1] if not killed else ():
            killed.append(process.pid)
            process.send_signal(signal.SIGKILL)

    options = Options(str(folder / "store"), folder / "out", backend, 2, "test")
    finished = run_audit(api.load_spec(tiny.spec()), options, watch, lambda _plan, _to_do: None)
    return finished, killed


def test_an_identical_second_run_executes_nothing(reference: Reference, tmp_path: Path) -> None:
    assert reference.finished.tally.executed == reference.finished.tally.planned > 15
    assert reference.finished.record.tasks["cached"] == 0
    options = Options(str(reference.folder / "store"), tmp_path / "out", "inline", None, "test")
    again = run_audit(api.load_spec(tiny.spec()), options, lambda *_: None, lambda *_: None)
    assert (again.tally.executed, again.tally.cached) == (0, again.tally.planned)
    assert tiny.table(again.out) == reference.rows


def test_a_changed_parameter_runs_only_what_depends_on_it(reference: Reference, tmp_path: Path) -> None:
    shutil.copytree(reference.folder / "store", tmp_path / "store")
    before = keys(tmp_path)
    chain = [{"name": "badnets", "rate": 0.2}, {**tiny.THEFT, "queries": 41}]
    finished = tiny.run(tiny.spec(scenarios={**tiny.SCENARIOS, "theft": {"chain": chain}}), tmp_path)
    # Clones of the poisoned and the honest victim and the one matched in between, the surrogate, and four gradings.
    assert finished.tally.executed == len(keys(tmp_path) - before) == 8
    kept = [row for row in reference.rows if row["attack"] != "knockoff"]
    assert [row for row in tiny.table(finished.out) if row["attack"] != "knockoff"] == kept


@pytest.mark.slow
def test_processes_give_the_same_keys_and_measurements(reference: Reference, tmp_path: Path) -> None:
    finished = tiny.run(tiny.spec(), tmp_path, backend="processes")
    assert finished.tally.executed == reference.finished.tally.executed
    assert finished.tally.retried == 0
    assert keys(tmp_path) == keys(reference.folder)
    assert tiny.table(finished.out) == reference.rows
    assert not [process for process in children("spawn_main") if process.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_worker_process_is_replaced_and_nothing_is_lost(reference: Reference, tmp_path: Path) -> None:
    finished, killed = run_and_kill(tmp_path, "processes", "spawn_main")
    assert len(killed) == 1
    assert finished.tally.failed == {}
    assert finished.record.errors == ()
    assert keys(tmp_path) == keys(reference.folder)
    assert tiny.table(finished.out) == reference.rows


def _task(number: int) -> Task:
    return Task("split", {"number": number}, streams=Streams(number))


class _Always:
    """Stands in for the pool: a worker that dies on one task, however often it is tried."""

    def __init__(self, deadly: Task) -> None:
        self.deadly, self.waiting, self.ran = deadly.key, list[Task](), list[str]()

    workers = 1

    def submit(self, task: Task) -> None:
        self.waiting.append(task)

    def wait(self, _timeout: float) -> list[Done]:
        task = self.waiting.pop(0)
        self.ran.append(task.key)
        return [Done(task.key, error="died", worker_died=True) if task.key == self.deadly else Done(task.key)]


def test_a_task_that_always_kills_its_worker_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    from threatloop.engine.schedule import TRIES, Scheduler

    tasks = {task.key: task for task in map(_task, range(4))}
    deadly = _task(1)
    backend = _Always(deadly)
    store = Store(str(tmp_path / "store"))
    tally = Scheduler(tasks, set(tasks), store, lambda *_: None).run(backend)  # type: ignore[arg-type]
    assert backend.ran.count(deadly.key) == TRIES
    assert set(tally.failed) == {deadly.key}
    assert tally.executed == 3
    assert tally.retried == TRIES - 1


def test_only_the_task_of_the_dead_worker_is_tried_again(tmp_path: Path) -> None:
    """The others in flight are neither lost nor blamed."""
    from threatloop.engine.backends.processes import Processes

    backend = Processes(Store(str(tmp_path / "store")), 2, ())
    with backend:
        pools = list(backend._idle)
        futures = []
        for number in range(2):
            backend.submit(_task(number))
        futures = list(backend._running)
        assert len({id(pool) for _, pool in backend._running.values()}) == 2
        victim = next(iter(pools[0]._processes.values()))
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        done: list[Done] = []
        deadline = time.monotonic() + 60
        while len(done) < 2 and time.monotonic() < deadline:
            done += backend.wait(0.5)
        assert sorted(one.worker_died for one in done) == [False, True]
        assert len(futures) == 2
        assert len(backend._idle) == 2


def _nap(seconds: float) -> None:
    time.sleep(seconds)


def _parent(pipe: Any) -> None:
    """A parent with two busy workers, which tells their ids and waits to be killed."""
    from threatloop.engine.backends.worker import prepare

    context = multiprocessing.get_context("spawn")
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(2, mp_context=context, initializer=prepare, initargs=("unused-store", ()))
    futures = [pool.submit(_nap, 0.0) for _ in range(4)]
    for future in futures:
        future.result()
    pool.submit(_nap, 600.0)
    pipe.send(list(pool._processes))
    time.sleep(600)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_workers_do_not_outlive_a_killed_parent() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    parent = context.Process(target=_parent, args=(there,))
    parent.start()
    assert here.poll(120)
    workers = [psutil.Process(pid) for pid in here.recv()]
    assert len(workers) == 2
    assert all(worker.is_running() for worker in workers)
    parent.kill()
    parent.join()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []


def test_a_cluster_with_a_local_store_is_refused_in_one_line(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    with pytest.raises(InputError, match=r"^ray://example:10001 with the store .*: workers on other machines cannot"):
        open_backend("ray://example:10001", store, None, ())


@pytest.mark.parametrize("name", ["proceses", "", "rays", "ray:"])
def test_an_unknown_backend_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"unknown backend .*; allowed: inline, processes, ray, ray://HOST:PORT"):
        open_backend(name, Store(str(tmp_path)), None, ())


def test_a_backend_without_tasks_has_nothing_to_report(tmp_path: Path) -> None:
    for name in ("inline", "processes"):
        backend: Backend = open_backend(name, Store(str(tmp_path)), 1, ())
        with backend:
            assert backend.wait(0.0) == []
