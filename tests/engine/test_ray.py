"""Ray: the same results as anywhere else, and nothing that listens to the network."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import tiny
from threatloop import api
from threatloop.core.errors import InputError
from threatloop.engine.backends import open_backend
from threatloop.engine.run import Options, run_audit
from threatloop.engine.storage.store import Store
from tiny import Reference, children, command_of, keys


@pytest.fixture
def no_ray_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if "ray" not in sys.modules:
        monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = pytest.importorskip("ray", reason="the ray extra is not installed")
    yield ray
    ray.shutdown()


def listening() -> list[str]:
    """Addresses on which this process or any child listens, as far as it may be seen."""
    found = []
    for process in [psutil.Process(), *children()]:
        try:
            connections = process.net_connections("inet")
        except psutil.Error:
            continue
        found += [one.laddr.ip.removeprefix("::ffff:") for one in connections if one.status == psutil.CONN_LISTEN]
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("no_ray_left_behind")
def test_ray_gives_the_same_though_a_worker_is_killed(reference: Reference, tmp_path: Path) -> None:
    addresses: set[str] = set()
    dashboards: list[list[str]] = []
    killed: list[int] = []

    def watch(_done: int, _total: int, _label: str) -> None:
        addresses.update(listening())
        dashboards.extend(command_of(process) for process in children("dashboard/dashboard.py"))
        for process in children("ray::work_as_dict")[:1] if not killed else ():
            killed.append(process.pid)
            process.send_signal(signal.SIGKILL)

    options = Options(str(tmp_path / "store"), tmp_path / "out", "ray", 2, "test")
    finished = run_audit(api.load_spec(tiny.spec()), options, watch, lambda _plan, _to_do: None)
    assert len(killed) == 1
    assert finished.tally.failed == {}
    assert keys(tmp_path) == keys(reference.folder)
    assert tiny.table(finished.out) == reference.rows
    assert addresses == {"127.0.0.1"}
    # Ray runs its usage statistics in a process of that name even where there is no dashboard.
    assert all("--disable-frontend" in command for command in dashboards if command)


def test_ray_that_would_listen_to_the_network_is_not_started(
    no_ray_left_behind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(no_ray_left_behind.util, "get_node_ip_address", lambda: "192.0.2.1")
    with pytest.raises(InputError, match="would listen to the network"):
        open_backend("ray", Store(str(tmp_path)), 1, ())
    assert not no_ray_left_behind.is_initialized()


def test_a_cluster_that_is_not_there_is_one_line(no_ray_left_behind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: Any) -> None:
        raise ConnectionError("ray client connection\ntimeout")

    monkeypatch.setattr(no_ray_left_behind, "init", refuse)
    with pytest.raises(InputError, match=r"^ray://nowhere:1: no Ray cluster can be reached there \(ray client conn"):
        open_backend("ray://nowhere:1", Store("memory://store"), 1, ())
