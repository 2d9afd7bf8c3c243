"""A progress bar with time left, on standard error."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from threatloop.cli.console import console

if TYPE_CHECKING:
    from threatloop.engine.plan import Plan


class Progress:
    """Shows tasks done and left. Quiet when asked to be."""

    def __init__(self, *, quiet: bool = False) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=console(error=True), disable=quiet, transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._task = self._bar.add_task("planning", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def planned(self, plan: Plan, to_do: int) -> None:
        """The plan is known: so many tasks, of which so many must run."""
        if self._task is not None:
            # Anew in every stage of a study, or the time left would count the tasks of the stage before.
            self._bar.reset(self._task, description="running", total=to_do)
        self._bar.console.print(f"{len(plan.tasks)} tasks planned, {to_do} to run")

    def stage(self, line: str) -> None:
        """A stage of a study begins."""
        self._bar.console.print(line)
        if self._task is not None:
            self._bar.reset(self._task, description="planning", total=None)

    def advance(self, done: int, total: int, label: str) -> None:
        """A task ended."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, description=label[:44].ljust(44))
