"""What a backend does: accept tasks whose inputs are in the store, and report each when it is done."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from threatloop.core.errors import CorruptArtefact, StoreError, ThreatloopError
from threatloop.engine.execute import Workspace, execute
from threatloop.engine.task import Task


@dataclass(frozen=True)
class Done:
    """What became of a task.

    Attributes:
        key: of the task.
        seconds: that it took.
        error: one line when it failed, else empty.
        corrupt: key of an input that turned out to be corrupt, else empty.
        fatal: the run cannot go on (the store is full or gone).
        worker_died: the worker was lost, not the task's fault; it may be tried again.
    """

    key: str
    seconds: float = 0.0
    error: str = ""
    corrupt: str = ""
    fatal: bool = False
    worker_died: bool = False


class Backend(ABC):
    """A context manager around a pool of workers."""

    workers: int = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Accept a task. At most `workers` tasks plus a small queue are ever in flight."""

    @abstractmethod
    def wait(self, timeout: float) -> list[Done]:
        """Tasks that ended since the last call; waits up to ``timeout`` seconds for the first."""

    def close(self) -> None:  # noqa: B027
        """Stop the workers; tasks in flight are dropped, what is stored stays."""


def attempt(task: Task, workspace: Workspace) -> Done:
    """Run a task; failures come back as values, so that a backend never loses one."""
    try:
        return Done(task.key, execute(task, workspace))
    except CorruptArtefact as error:
        return Done(task.key, error=str(error), corrupt=error.key or task.key)
    except StoreError as error:
        return Done(task.key, error=str(error), fatal=True)
    except ThreatloopError as error:
        return Done(task.key, error=str(error))
    except Exception as error:
        what = " ".join(str(error).split())
        return Done(task.key, error=f"{type(error).__name__}: {what}{_last_line(error)}")


def _last_line(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" (at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
