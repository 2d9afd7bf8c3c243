"""Ray: local by default (loopback only, no dashboard), or a cluster by address."""

from __future__ import annotations

import os
from typing import Any

from threatloop.core.errors import InputError
from threatloop.engine.backends.base import Backend, Done
from threatloop.engine.backends.processes import available_cores
from threatloop.engine.backends.worker import ONE_THREAD, work_as_dict
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task

RETRIES = 3


class OnRay(Backend):
    """One Ray task per task of the plan; Ray itself retries a task whose worker died."""

    def __init__(self, store: Store, workers: int | None, plugins: tuple[str, ...], address: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError:
            raise InputError("the ray backend needs Ray: pip install 'threatloop[ray]'") from None
        self._ray, self._store, self._plugins = ray, store, plugins
        self.workers = workers or available_cores()
        runtime = {"env_vars": ONE_THREAD}
        if address == "ray":
            ray.init(
                num_cpus=self.workers,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                log_to_driver=False,
                configure_logging=False,
                runtime_env=runtime,
                ignore_reinit_error=True,
            )
        else:
            ray.init(address=address, log_to_driver=False, runtime_env=runtime)
            self.workers = workers or int(ray.cluster_resources().get("CPU", 1))
        self._remote = ray.remote(num_cpus=1, max_retries=RETRIES)(work_as_dict)
        self._running: dict[Any, Task] = {}

    def submit(self, task: Task) -> None:
        self._running[self._remote.remote(task.to_json(), self._store.url, self._plugins)] = task

    def wait(self, timeout: float) -> list[Done]:
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
        return [self._result(ref) for ref in ready]

    def close(self) -> None:
        self._ray.shutdown()

    def _result(self, ref: Any) -> Done:
        task = self._running.pop(ref)
        try:
            return Done(**self._ray.get(ref))
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            return Done(task.key, error=f"its Ray worker was lost: {first}", worker_died=True)
