"""One task after another in this process: simplest to debug."""

from __future__ import annotations

from collections import deque

from threatloop.engine.backends.base import Backend, Done, attempt
from threatloop.engine.execute import Workspace
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task


class Inline(Backend):
    """Runs a task when it is waited for."""

    def __init__(self, store: Store) -> None:
        self._workspace = Workspace(store)
        self._queue: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._queue.append(task)

    def wait(self, timeout: float) -> list[Done]:  # noqa: ARG002
        return [attempt(self._queue.popleft(), self._workspace)] if self._queue else []
