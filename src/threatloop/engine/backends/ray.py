"""Ray: local by default (loopback only, no dashboard), or a cluster by address."""

from __future__ import annotations

import os
import sys
from typing import Any

from threatloop.core.errors import InputError
from threatloop.engine.backends.base import Backend, Done
from threatloop.engine.backends.processes import available_cores
from threatloop.engine.backends.worker import ONE_THREAD, work_as_dict
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task

RETRIES = 3
LOCAL = "ray"
LOOPBACK = "127.0.0.1"
LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Despite its name this decides everywhere whether Ray binds to the network. Without it, the node's address is taken
for a wish: Ray replaces a loopback address by one that other machines can reach. Read when Ray is imported."""


class OnRay(Backend):
    """One Ray task per task of the plan; Ray itself retries a task whose worker died."""

    def __init__(self, store: Store, workers: int | None, plugins: tuple[str, ...], address: str) -> None:
        self._ray, self._store, self._plugins = _imported(local=address == LOCAL), store, plugins
        if address == LOCAL:
            self.workers = workers or available_cores()
            self._start_here()
        else:
            self._connect(address)
            self.workers = workers or int(self._ray.cluster_resources().get("CPU", 1))
        self._remote = self._ray.remote(num_cpus=1, max_retries=RETRIES)(work_as_dict)
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

    def _start_here(self) -> None:
        """A Ray of our own on this machine, which nothing outside it can reach.

        Raises:
            InputError: Ray is in use in this process already, or would listen to the network.
        """
        if self._ray.is_initialized():
            raise InputError("Ray is running in this process already; call ray.shutdown() first, or give its address")
        if self._ray.util.get_node_ip_address() != LOOPBACK:
            raise InputError(f"Ray was imported before and would listen to the network; set {LOOPBACK_SWITCH}=0 first")
        self._ray.init(
            num_cpus=self.workers,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
            log_to_driver=False,
            configure_logging=False,
            # Plugins and code beside the spec, which this process can import.
            runtime_env={"env_vars": {**ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
        )

    def _connect(self, address: str) -> None:
        try:
            self._ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": ONE_THREAD})
        except (OSError, RuntimeError, ValueError, ImportError, self._ray.exceptions.RayError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{address}: no Ray cluster can be reached there ({reason})") from None

    def _result(self, ref: Any) -> Done:
        task = self._running.pop(ref)
        try:
            return Done(**self._ray.get(ref))
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            return Done(task.key, error=f"its Ray worker was lost: {first}", worker_died=True)


def _imported(*, local: bool) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if local:
        os.environ.setdefault(LOOPBACK_SWITCH, "0")
    try:
        import ray
    except ImportError:
        raise InputError("the ray backend needs Ray: pip install 'threatloop[ray]'") from None
    return ray
