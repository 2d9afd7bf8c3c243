"""The environment for which markers are evaluated: this interpreter's, or one that the user states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName, default_environment

from threatloop.core.errors import InputError

PLATFORMS: Final[Mapping[str, Mapping[str, str]]] = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}
MAX_MARKER: Final = 20_000
"""Characters of one marker."""
_PYTHON: Final = re.compile(r"3\.\d{1,2}(\.\d{1,2})?")


@dataclass(frozen=True)
class Target:
    """Values of PEP 508's variables."""

    values: Mapping[str, str]

    @property
    def shown(self) -> str:
        """In a few words, such as ``Python 3.11 on linux``."""
        return f"Python {self.values['python_version']} on {self.values['sys_platform']}"

    def holds(self, marker: str, extra: str = "") -> bool:
        """Whether a marker is true here.

        Raises:
            ValueError: it is no marker, or compares what cannot be compared.
        """
        if len(marker) > MAX_MARKER:
            raise ValueError(f"a marker of {len(marker):,} characters")
        try:
            return Marker(marker).evaluate({**self.values, "extra": extra})
        except RecursionError:
            raise ValueError("a marker that is nested too deeply") from None
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise ValueError(f"not a marker that can be evaluated: {' '.join(str(error).split())[:120]}") from None


def target(python: str | None = None, platform: str | None = None) -> Target:
    """The environment that is scanned for.

    Args:
        python: such as ``3.10`` or ``3.10.4``; this interpreter's where it is not given.
        platform: one of PLATFORMS; this machine's where it is not given.

    Raises:
        InputError: another value.
    """
    values = {name: str(value) for name, value in default_environment().items()}
    if platform is not None:
        if platform not in PLATFORMS:
            raise InputError(f"platform {platform!r}: allowed are {', '.join(PLATFORMS)}")
        values |= {**PLATFORMS[platform], "platform_release": "", "platform_version": ""}
    if python is not None:
        if not _PYTHON.fullmatch(python):
            raise InputError(f"python {python!r}: give a version such as 3.10 or 3.10.4")
        full = python if python.count(".") == 2 else f"{python}.0"
        short = ".".join(python.split(".")[:2])
        values |= {"python_version": short, "python_full_version": full, "implementation_version": full}
    return Target(values)
