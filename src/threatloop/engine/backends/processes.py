"""A pool of local worker processes, one thread each."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from threatloop.engine.backends.base import Backend, Done
from threatloop.engine.backends.worker import ONE_THREAD, prepare, work
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task


class Processes(Backend):
    """Spawned workers that outlive their tasks, so that libraries are imported once."""

    def __init__(self, store: Store, workers: int | None, plugins: tuple[str, ...]) -> None:
        self.workers = workers or available_cores()
        self._store, self._plugins = store, plugins
        self._pool = self._start()
        self._running: dict[Future[Done], Task] = {}

    def submit(self, task: Task) -> None:
        try:
            future = self._pool.submit(work, task.to_json(), self._store.url)
        except BrokenProcessPool:
            self._pool = self._start()
            future = self._pool.submit(work, task.to_json(), self._store.url)
        self._running[future] = task

    def wait(self, timeout: float) -> list[Done]:
        finished, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        return [self._result(future) for future in finished]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in list((self._pool._processes or {}).values()):
            process.terminate()

    def _result(self, future: Future[Done]) -> Done:
        task = self._running.pop(future)
        try:
            return future.result()
        except BrokenProcessPool:
            return Done(task.key, error="its worker process died (killed, or out of memory)", worker_died=True)

    def _start(self) -> ProcessPoolExecutor:
        os.environ.update({name: os.environ.get(name, value) for name, value in ONE_THREAD.items()})
        return ProcessPoolExecutor(
            self.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare,
            initargs=(self._store.url, self._plugins),
        )


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
