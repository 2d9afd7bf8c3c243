"""Numeric profile and environment, found without importing torch."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np


@cache
def torch_version() -> str:
    """The installed torch version; the local part (``+cpu``) is kept."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "none"


@cache
def device_class(device: str) -> str:
    """``cpu``, ``cuda`` or ``mps``; ``auto`` is resolved with torch only where the machine shows an accelerator."""
    if device != "auto":
        return device
    accelerator = (
        Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists() or platform.system() in ("Darwin", "Windows")
    )
    if not accelerator:
        return "cpu"
    from threatloop.models.device import resolve

    return str(resolve("auto"))


def numeric_profile(device: str) -> str:
    """What may change the last digits: torch's minor version, the device class, and bfloat16 support of the CPU."""
    minor = ".".join(torch_version().split(".")[:2])
    return f"torch-{minor}/{device_class(device)}/{'bf16' if cpu_has_bfloat16() else 'f32'}"


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the processor says that it multiplies bfloat16 matrices natively (AMX or AVX512-BF16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def environment(device: str) -> dict[str, Any]:
    """Versions and machine facts for the report; no host names, no paths."""
    packages = ("numpy", "scipy", "scikit-learn", "pyarrow", "pydantic")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 1,
        "device": device_class(device),
        "bfloat16": cpu_has_bfloat16(),
        "torch": torch_version(),
        **{name: metadata.version(name) for name in packages},
        "numpy_runtime": np.__version__,
    }
