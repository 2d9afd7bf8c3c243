"""threatloop: attacks on data and models, chained in the closed loop and measured together.

``audit`` and ``Result`` are imported when they are first used, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["Result", "audit"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # By name, and typed in the stub beside: task keys follow import statements, and every module imports the package.
    return getattr(import_module(f"{__name__}.api"), name)
