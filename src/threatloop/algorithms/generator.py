"""Networks that make records: latent vectors, or any others, to encoded records of a schema within its bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from threatloop import modality
from threatloop.algorithms.record_features import vectors
from threatloop.core.assets import Dataset
from threatloop.core.schema import Schema
from threatloop.models.device import bfloat16_is_fast
from threatloop.models.initialise import initialise
from threatloop.models.shapes import Shape, input_shape

Floats = npt.NDArray[np.float32]

DENSE_CELLS = 256
"""Up to this many numbers in a record a fully connected network beats a convolutional one of the same cost."""
MOST_RECORDS = 4096
"""Records that centre and spread are estimated from."""
NEAREST_EDGE = 1e-3
"""Centres stay this share of the range away from the bounds: on a bound a sigmoid has no slope."""
STEEPEST = 6.0


@dataclass(frozen=True, eq=False)
class Frame:
    """Where encoded records lie, as vectors of length d: bounds of the schema, and what is known beyond them.

    Attributes:
        low, high: (d,) bounds; ±inf where there is none.
        centre, spread: (d,) mean and standard deviation; of data where there are any, else of the bounds.
        mixtures: (start, stop) of blocks that sum to 1.
    """

    low: Floats
    high: Floats
    centre: Floats
    spread: Floats
    mixtures: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, schema: Schema, known: Dataset | None = None) -> Frame:
        """The frame of a schema; with records, the entries that they do not vary are fixed.

        Raises:
            NotAssessable: records of this modality cannot be changed by small steps.
        """
        space = modality.of(schema).space(schema)
        low, high = space.bounds
        if known is not None and len(known):
            rows = vectors(known.take(slice(None, None, -(-len(known) // MOST_RECORDS))))
            centre, spread = np.clip(rows.mean(axis=0), low, high), rows.std(axis=0)
        else:
            bounded = np.isfinite(low) & np.isfinite(high)
            least, most = np.where(bounded, low, -1), np.where(bounded, high, 1)
            centre, spread = np.clip((least + most) / 2, low, high), (most - least) / 4
        return cls(low, high, centre.astype(np.float32), spread.astype(np.float32), space.groups)


class Bounded(nn.Module):
    """Raw numbers (n, d) to encoded records (n, *shape): near 0 they are the centre plus raw times spread, and they
    stay within the bounds."""

    low: torch.Tensor
    reach: torch.Tensor
    offset: torch.Tensor
    gain: torch.Tensor
    least: torch.Tensor
    most: torch.Tensor
    prior: torch.Tensor
    smooth: torch.Tensor

    def __init__(self, frame: Frame, shape: Shape) -> None:
        super().__init__()
        self.shape, self.mixtures = shape, frame.mixtures
        smooth = np.isfinite(frame.low) & np.isfinite(frame.high) & (frame.spread > 0)
        low = np.where(smooth, frame.low, 0)
        reach = np.where(smooth, frame.high - low, 1)
        at = np.clip((frame.centre - low) / reach, NEAREST_EDGE, 1 - NEAREST_EDGE)
        with np.errstate(invalid="ignore"):
            gain = np.minimum(frame.spread / (reach * at * (1 - at)), STEEPEST)
        held = {
            "low": low,
            "reach": reach,
            "offset": np.where(smooth, np.log(at / (1 - at)), frame.centre),
            "gain": np.where(smooth, gain, frame.spread),
            "least": frame.low,
            "most": frame.high,
            "prior": np.log(np.maximum(frame.centre, NEAREST_EDGE)),
        }
        for name, values in held.items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))
        self.register_buffer("smooth", torch.from_numpy(smooth))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        raw = raw.flatten(1)
        line = self.offset + self.gain * raw
        x = torch.where(self.smooth, self.low + self.reach * torch.sigmoid(line), line)
        x = torch.clamp(x, self.least, self.most)
        parts, end = [], 0
        for start, stop in self.mixtures:
            parts += [x[:, end:start], torch.softmax(raw[:, start:stop] + self.prior[start:stop], dim=1)]
            end = stop
        x = torch.cat([*parts, x[:, end:]], dim=1) if parts else x
        return x.reshape(-1, *self.shape)


class Generator(nn.Module):
    """Vectors (n, inputs) to encoded records (n, *shape) within the bounds of their schema; differentiable.

    Attributes:
        inputs: length of one vector.
    """

    def __init__(self, body: nn.Module, head: Bounded, inputs: int) -> None:
        super().__init__()
        self.body, self.head, self.inputs = body, head, inputs

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(z))
        return found


def generator(
    schema: Schema, inputs: int, seed: int, known: Dataset | None = None, width: int | None = None
) -> Generator:
    """A fresh generator on the CPU, its weights a function of the seed.

    Large images get a convolutional network that grows from a quarter of the side; everything else a fully connected
    one.

    Args:
        schema: of the records that it makes.
        inputs: length of a latent vector, ≥ 1.
        seed: of the weights.
        known: records that it is to start near; None where the maker holds none.
        width: hidden units, or 16 times the filters at full resolution; None for 256.

    Raises:
        NotAssessable: records of this modality cannot be changed by small steps.
    """
    head = Bounded(Frame.of(schema, known), input_shape(schema))
    draws = torch.Generator().manual_seed(seed)
    body = initialise(lambda: _body(input_shape(schema), inputs, width or 256), draws)
    return Generator(body, head, inputs)


def spatial(shape: Shape) -> bool:
    """Whether records of this encoded shape are maps that are worth convolving."""
    return len(shape) == 3 and math.prod(shape) > DENSE_CELLS


def swift(part: nn.Module, shape: Shape) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network for training; convolutions in bfloat16, weights in float32, where the processor has
    that in hardware."""
    half = spatial(shape) and bfloat16_is_fast("cpu")
    if half:
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found: torch.Tensor = part(x)
        return found.float()

    return run


def _body(shape: Shape, inputs: int, width: int) -> nn.Module:
    if spatial(shape):
        return Growing(shape, inputs, max(2, width // 16))
    return dense((inputs, width, width, math.prod(shape)))


def dense(widths: Sequence[int]) -> nn.Sequential:
    """Fully connected layers with leaky ReLU between them: a dead unit would cut off a latent direction."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers[:-1])


class Growing(nn.Module):
    """Vectors (n, inputs) to raw maps (n, channels, height, width): twice doubled in side, filters halved."""

    def __init__(self, shape: Shape, inputs: int, filters: int) -> None:
        super().__init__()
        channels, self.height, self.width = shape
        self.small = (4 * filters, -(-self.height // 4), -(-self.width // 4))
        self.first = nn.Linear(inputs, math.prod(self.small))
        self.norms = nn.ModuleList(nn.BatchNorm2d(n * filters) for n in (4, 2, 1))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(2 * n * filters, n * filters, 3, padding=1, bias=False) for n in (2, 1)
        )
        self.last = nn.Conv2d(filters, channels, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        maps = F.leaky_relu(self.norms[0](self.first(z).reshape(-1, *self.small)), 0.1)
        for convolution, norm in zip(self.convolutions, list(self.norms)[1:], strict=True):
            maps = F.leaky_relu(norm(convolution(F.interpolate(maps, scale_factor=2))), 0.1)
        raw: torch.Tensor = self.last(maps)
        return raw[:, :, : self.height, : self.width]
