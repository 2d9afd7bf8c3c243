"""What a worker process is given: the store's address and the enabled plugins. Tasks reach it as JSON."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import asdict
from typing import Any

from threatloop.core.catalogue import enable_plugins
from threatloop.core.memory import give_back
from threatloop.engine.backends.base import Done, attempt
from threatloop.engine.execute import Workspace
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_THREAD = {**dict.fromkeys(THREAD_VARIABLES, "1"), "OMP_WAIT_POLICY": "PASSIVE"}
"""With busy cores, several threads per process make each step several times slower."""

_workspaces: dict[str, Workspace] = {}


def prepare(store_url: str, plugins: tuple[str, ...]) -> None:
    """Set up a worker process once: no reaction to the terminal's Ctrl-C, no life after its parent, plugins enabled."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    enable_plugins(plugins)
    _workspaces[store_url] = Workspace(Store(store_url))


def _die_with_parent() -> None:
    """A killed parent cannot stop its workers, and they would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def work(task_json: str, store_url: str) -> Done:
    """Run one task in this worker."""
    if store_url not in _workspaces:
        _workspaces[store_url] = Workspace(Store(store_url))
    try:
        return attempt(Task.from_json(task_json), _workspaces[store_url])
    finally:
        give_back()


def work_as_dict(task_json: str, store_url: str, plugins: tuple[str, ...]) -> dict[str, Any]:
    """The same for workers that are set up on their first task, with a result of plain values."""
    enable_plugins(plugins)
    return asdict(work(task_json, store_url))
