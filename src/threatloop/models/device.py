"""Where networks run, and what the processor there is good at. Nothing is probed at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import torch

from threatloop.core.errors import InputError

_AVAILABLE: Mapping[str, Callable[[], bool]] = {
    "cuda": lambda: torch.cuda.is_available(),
    "mps": lambda: torch.backends.mps.is_available(),
    "cpu": lambda: True,
}


def resolve(name: str) -> torch.device:
    """The device of this name; ``auto`` takes the first of cuda, mps, cpu that this machine has.

    Raises:
        InputError: an unknown name, or a device that this machine or this torch build does not have.
    """
    kind = name.split(":")[0]
    if kind == "auto":
        return torch.device(next(kind for kind, there in _AVAILABLE.items() if there()))
    if kind not in _AVAILABLE:
        raise InputError(f"device: {name!r} is unknown; use auto, cpu, cuda or mps")
    if not _AVAILABLE[kind]():
        raise InputError(f"device: {name} is not available to torch {torch.__version__} here; use auto or cpu")
    return torch.device(name)


@cache
def bfloat16_is_fast(kind: str) -> bool:
    """Whether this kind of device (``cpu``, ``cuda``, ``mps``) multiplies bfloat16 in hardware.

    A check of capabilities, never a timing: on one machine the answer is always the same, and so are the weights.
    """
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    if kind != "cpu":
        return False
    # The checks are private in torch; where a version lacks one, float32 is the safe answer.
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, check, lambda: False)()) for check in checks)


def one_thread() -> None:
    """Let this process compute with one thread. Workers that share cores lose several-fold with more."""
    torch.set_num_threads(1)
