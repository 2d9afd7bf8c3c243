"""Local worker processes, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from threatloop.engine.backends.base import Backend, Done
from threatloop.engine.backends.worker import ONE_THREAD, prepare, work
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task


class Processes(Backend):
    """Spawned workers that outlive their tasks, so that libraries are imported once.

    Each worker is a pool of its own: when one dies, exactly the task that it was running is affected.
    """

    def __init__(self, store: Store, workers: int | None, plugins: tuple[str, ...]) -> None:
        self.workers = workers or available_cores()
        self._store, self._plugins = store, plugins
        self._idle = [self._start() for _ in range(self.workers)]
        self._running: dict[Future[Done], tuple[Task, ProcessPoolExecutor]] = {}
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._waiting.append(task)
        self._dispatch()

    def wait(self, timeout: float) -> list[Done]:
        if not self._running:
            return []
        finished, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        done = [self._result(future) for future in finished]
        # Before the caller settles what is done, so that no worker waits for that.
        self._dispatch()
        return done

    def close(self) -> None:
        pools = [*self._idle, *(pool for _, pool in self._running.values())]
        processes = [process for pool in pools for process in (pool._processes or {}).values()]
        for process in processes:
            process.terminate()
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self._idle, self._running = [], {}
        self._waiting.clear()

    def _dispatch(self) -> None:
        while self._idle and self._waiting:
            pool, task = self._idle.pop(), self._waiting.popleft()
            try:
                future = self._send(pool, task)
            except BrokenProcessPool:
                pool = self._start()
                future = self._send(pool, task)
            self._running[future] = (task, pool)

    def _send(self, pool: ProcessPoolExecutor, task: Task) -> Future[Done]:
        if pool._processes:
            return pool.submit(work, task.to_json(), self._store.url)
        with _heirs_of_one_thread(), without_main():
            return pool.submit(work, task.to_json(), self._store.url)

    def _result(self, future: Future[Done]) -> Done:
        task, pool = self._running.pop(future)
        try:
            done = future.result()
        except BrokenProcessPool:
            self._idle.append(self._start())
            return Done(task.key, error="its worker process died (killed, or out of memory)", worker_died=True)
        self._idle.append(pool)
        return done

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare,
            initargs=(self._store.url, self._plugins),
        )


@contextmanager
def _heirs_of_one_thread() -> Iterator[None]:
    """What a new worker inherits: one thread per process, and no ear for the terminal's Ctrl-C, not even while it
    imports. This process gets its own environment back, and a Ctrl-C that fell into this moment."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update({name: found or ONE_THREAD[name] for name, found in before.items()})
    can_block = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if can_block else set()
    try:
        yield
    finally:
        for name, found in before.items():
            if found is None:
                del os.environ[name]
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def without_main() -> Iterator[None]:
    """Hide the user's script from a worker that is born now: it gets tasks as JSON, and would run the script again."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    main.__dict__.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        main.__dict__.update(hidden)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
