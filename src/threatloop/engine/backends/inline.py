"""One task after another in this process: simplest to debug."""

from __future__ import annotations

import os
from collections import deque

from threatloop.engine.backends.base import Backend, Done, attempt
from threatloop.engine.execute import Workspace
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task


class Inline(Backend):
    """Runs a task when it is waited for; with one thread like every other worker, since sums depend on the number."""

    def __init__(self, store: Store) -> None:
        self._workspace = Workspace(store)
        self._queue: deque[Task] = deque()
        self._threads: int | None = None

    def submit(self, task: Task) -> None:
        self._queue.append(task)

    def wait(self, timeout: float) -> list[Done]:  # noqa: ARG002
        if not self._queue:
            return []
        self._use_one_thread()
        return [attempt(self._queue.popleft(), self._workspace)]

    def close(self) -> None:
        self._queue.clear()
        if self._threads is not None:
            import torch

            torch.set_num_threads(self._threads)
            self._threads = None

    def _use_one_thread(self) -> None:
        if self._threads is None and "OMP_NUM_THREADS" not in os.environ:
            import torch

            self._threads = torch.get_num_threads()
            torch.set_num_threads(1)
