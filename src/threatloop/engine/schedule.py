"""Run a plan's tasks on a backend in the order that their inputs allow; nothing that is done is ever lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from threatloop.core.errors import CorruptArtefact, StoreError
from threatloop.engine.backends.base import Backend, Done
from threatloop.engine.storage.manifest import MissingArtefact
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task

IN_FLIGHT_PER_WORKER = 2
TRIES = 3
WAIT_SECONDS = 0.5


@dataclass
class Tally:
    """What became of the tasks of a run.

    Attributes:
        planned: tasks in the plan.
        cached: tasks whose artefact was there, or that nothing missing needs.
        executed: tasks run now.
        retried: executions that were repeated because a worker died or an input was corrupt.
        failed: key → why, for tasks that failed.
        skipped: key → the failed task that they depend on.
        corrupt: one line for each corrupt artefact that was recomputed.
        seconds: by operation, worker time.
    """

    planned: int = 0
    cached: int = 0
    executed: int = 0
    retried: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    corrupt: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


Watcher = Callable[[int, int, str], None]
"""Called with tasks done, tasks to do and the label of the last one."""


def dependencies(task: Task, tasks: Mapping[str, Task]) -> set[str]:
    """Keys that must be in the store before the task runs: its inputs, and the data behind a role of a split."""
    keys = {ref.key for ref in task.inputs.values()}
    behind = {below.key for ref in task.inputs.values() if ref.part for below in tasks[ref.key].inputs.values()}
    return keys | behind


def needed(tasks: Mapping[str, Task], wanted: set[str], store: Store) -> dict[str, Task]:
    """The tasks that must run, in the plan's order: wanted ones that are not in the store, and whatever they need."""
    present = store.present(list(tasks))
    missing: set[str] = set()
    waiting = [key for key in wanted if key not in present]
    while waiting:
        key = waiting.pop()
        if key in missing:
            continue
        missing.add(key)
        waiting += dependencies(tasks[key], tasks) - present
    return {key: task for key, task in tasks.items() if key in missing}


class Scheduler:
    """Feeds a backend until every needed task is done, failed or skipped."""

    def __init__(self, tasks: Mapping[str, Task], wanted: set[str], store: Store, watch: Watcher) -> None:
        self.tally = Tally(planned=len(tasks))
        self._all, self._store, self._watch = tasks, store, watch
        self._todo = needed(tasks, wanted, store)
        self.tally.cached = len(tasks) - len(self._todo)
        self._tries: dict[str, int] = {}
        self._in_flight: set[str] = set()
        self._blocked: dict[str, int] = {}
        self._users: dict[str, list[str]] = {}
        self._ready: deque[str] = deque()
        for key in self._in_order():
            self._enlist(key)

    def run(self, backend: Backend) -> Tally:
        """Run to the end.

        Raises:
            StoreError: the store is full or cannot be written any more; what is done stays done.
        """
        while self._ready or self._in_flight:
            while self._ready and len(self._in_flight) < backend.workers * IN_FLIGHT_PER_WORKER:
                key = self._ready.popleft()
                self._in_flight.add(key)
                backend.submit(self._all[key])
            for done in backend.wait(WAIT_SECONDS):
                self._settle(done)
        return self.tally

    @property
    def to_do(self) -> list[Task]:
        """The tasks that have to run."""
        return list(self._todo.values())

    def _in_order(self) -> list[str]:
        """Keys to run, seed by seed as planned: the plan lists every task after its inputs."""
        return [key for key in self._all if key in self._todo]

    def _enlist(self, key: str) -> None:
        waits = dependencies(self._all[key], self._all) & self._todo.keys()
        self._blocked[key] = len(waits)
        for other in waits:
            self._users.setdefault(other, []).append(key)
        if not waits:
            self._ready.append(key)

    def _settle(self, done: Done) -> None:
        self._in_flight.discard(done.key)
        task = self._all[done.key]
        if done.fatal:
            raise StoreError(done.error)
        if done.corrupt and self._again(done.key, TRIES + len(dependencies(task, self._all))):
            self._recompute(done)
        elif done.worker_died and self._again(done.key, TRIES):
            self.tally.retried += 1
            self._ready.append(done.key)
        elif done.error:
            self.tally.failed[done.key] = done.error
            self._skip_users(done.key, task.label)
        else:
            self.tally.executed += 1
            self.tally.seconds[task.operation] = self.tally.seconds.get(task.operation, 0.0) + done.seconds
            self._release(done.key)
        finished = self.tally.executed + len(self.tally.failed) + len(self.tally.skipped)
        self._watch(finished, len(self._todo), task.label)

    def _again(self, key: str, most: int) -> bool:
        self._tries[key] = self._tries.get(key, 1) + 1
        return self._tries[key] <= most

    def _recompute(self, done: Done) -> None:
        """Delete the corrupt input, run its task again, and then the one that stumbled over it.

        Several tasks in flight may stumble over one input: it is deleted for the first of them only.
        """
        self.tally.retried += 1
        if not self._intact_or_under_way(done.corrupt):
            self.tally.corrupt.append(done.error)
            self._store.delete(done.corrupt)
        for key in (*needed(self._all, {done.corrupt}, self._store), done.key):
            if key not in self._in_flight and key not in self._ready and not self._blocked.get(key):
                self._todo[key] = self._all[key]
                self._enlist_again(key)

    def _intact_or_under_way(self, key: str) -> bool:
        try:
            self._store.get(key, mmap=True)
        except MissingArtefact:
            return key in self._in_flight or key in self._ready or bool(self._blocked.get(key))
        except CorruptArtefact:
            return False
        return True

    def _enlist_again(self, key: str) -> None:
        missing = {other for other in dependencies(self._all[key], self._all) if not self._store.has(other)}
        self._blocked[key] = len(missing)
        for other in missing:
            self._users.setdefault(other, []).append(key)
        if not missing:
            self._ready.append(key)

    def _release(self, key: str) -> None:
        for user in self._users.pop(key, ()):
            self._blocked[user] -= 1
            if self._blocked[user] == 0:
                # Depth first: what was just made is still in the worker's cache.
                self._ready.appendleft(user)

    def _skip_users(self, key: str, cause: str) -> None:
        for user in self._users.pop(key, ()):
            if user not in self.tally.skipped and user not in self.tally.failed:
                self.tally.skipped[user] = cause
                self._skip_users(user, cause)
