"""Where tasks run: inline, in local processes, or on Ray. Plan, keys and results are the same."""

from __future__ import annotations

from threatloop.core.errors import InputError
from threatloop.engine.backends.base import Backend
from threatloop.engine.storage.store import Store

NAMES = ("inline", "processes", "ray", "ray://HOST:PORT")


def check_reach(name: str, endpoints: bool) -> None:
    """Refuse a cluster for a victim behind an endpoint: its request cap and its answers are kept on one machine.

    Raises:
        InputError: a cluster address with an endpoint among the targets.
    """
    if endpoints and name.startswith("ray://"):
        raise InputError(f"{name}: an endpoint's request cap can only be kept on one machine; use --backend processes")


def open_backend(name: str, store: Store, workers: int | None, plugins: tuple[str, ...]) -> Backend:
    """The backend of this name.

    Raises:
        InputError: unknown name; Ray is not installed; a cluster address with a local-directory store.
    """
    if name == "inline":
        from threatloop.engine.backends.inline import Inline

        return Inline(store)
    if name == "processes":
        from threatloop.engine.backends.processes import Processes

        return Processes(store, workers, plugins)
    if name == "ray" or name.startswith("ray://"):
        if name != "ray" and store.is_local:
            raise InputError(
                f"{name} with the store {store.url}: workers on other machines cannot see a local directory; "
                "give a shared one, such as --store s3://bucket/prefix"
            )
        from threatloop.engine.backends.ray import OnRay

        return OnRay(store, workers, plugins, name)
    raise InputError(f"unknown backend {name!r}; allowed: {', '.join(NAMES)}")
