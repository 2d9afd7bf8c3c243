"""Quadratic forms of many points, computed where networks run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from threatloop.models.device import resolve
from threatloop.numerics.sphere import Forms, InMemory

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OnDevice:
    """Points (n, k) on a device that has double precision."""

    points: torch.Tensor

    @classmethod
    def of(cls, device: torch.device, points: Doubles) -> OnDevice:
        """These points, copied to the device."""
        return cls(torch.from_numpy(points).to(device))

    def values(self, square: Doubles, slope: Doubles) -> Doubles:
        """See `Forms`."""
        found = torch.linalg.vecdot(self.points @ self._there(square), self.points) + self.points @ self._there(slope)
        return np.asarray(found.cpu().numpy())

    def weighted(self, by: Doubles) -> tuple[Doubles, Doubles]:
        """See `Forms`."""
        each = self._there(by)
        square, slope = self.points.T @ (each[:, None] * self.points), each @ self.points
        return np.asarray(square.cpu().numpy()), np.asarray(slope.cpu().numpy())

    def _there(self, numbers: Doubles) -> torch.Tensor:
        return torch.from_numpy(numbers).to(self.points.device)


def forms_on(name: str) -> Callable[[Doubles], Forms]:
    """How points are held for the device of this name (`resolve`): in its memory if it computes in double precision."""
    device = resolve(name)
    return partial(OnDevice.of, device) if device.type == "cuda" else InMemory
