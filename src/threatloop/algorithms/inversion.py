"""Gradient inversion of classes within what the attacker finds plausible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.class_prior import ClassPrior

Floats = npt.NDArray[np.float32]
MOMENTUM = 0.9
Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Ascent:
    """How to climb.

    Attributes:
        steps: ≥ 1; the step size follows a cosine to 0.
        learning_rate: first step size, as a share of the radius.
        radius: how far from the class mean a record may lie, relative to a typical real record.
        smoothing: standard deviation of the noise added to the input at each step, in standard deviations of the data.
    """

    steps: int
    learning_rate: float
    radius: float
    smoothing: float


@dataclass(frozen=True, eq=False)
class Space:
    """Where an inversion searches.

    Attributes:
        prior: of the vectors that are searched: encoded records, or their codes.
        make: those vectors (n, d) to encoded records (n, *shape), differentiable.
        spread: (*shape,) standard deviation of each entry of an encoded record.
    """

    prior: ClassPrior
    make: Callable[[torch.Tensor], torch.Tensor]
    spread: Floats

    @classmethod
    def of_records(cls, prior: ClassPrior, shape: tuple[int, ...]) -> Space:
        """Encoded records themselves."""
        return cls(prior, lambda flat: flat.reshape(-1, *shape), prior.spread.reshape(shape))


def margins(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log p_y − log (1 − p_y) of each record (n,), from logits (n, classes): it does not saturate as p_y → 1."""
    rows = labels[:, None]
    others = logits.scatter(1, rows, float("-inf")).logsumexp(dim=1)
    return logits.gather(1, rows)[:, 0] - others


class Climb:
    """Records that climb the model's margin inside a Mahalanobis ball around their class's mean.

    Maximising the logit instead of the likelihood follows Nguyen, Chandrasegaran, Abdollahzadeh & Cheung 2023,
    "Re-thinking Model Inversion Attacks", arXiv 2304.01669; averaging over perturbed inputs follows Struppek et al.
    2022, "Plug & Play Attacks", arXiv 2201.12179. A ball, not a penalty, makes the trade-off independent of the scale
    of the logits. Steps follow each record's normalised gradient: Adam's near-signs end beside the best direction, at
    smaller margins.

    Args:
        forward: encoded batch (n, *shape) to logits (n, classes), differentiable.
        space: where to search.
        labels: (n,) class that each record climbs towards.
        start: (n, d) vectors of the space to start from.
        ascent: how to climb.
        generator: draws the noise.

    Attributes:
        live: share of the records whose gradient at the first step is not zero; a masked gradient shows here.
    """

    def __init__(
        self,
        forward: Forward,
        space: Space,
        labels: npt.NDArray[np.int64],
        start: Floats,
        ascent: Ascent,
        generator: torch.Generator,
    ) -> None:
        prior = space.prior
        self._forward, self._ascent, self._generator, self._make = forward, ascent, generator, space.make
        self._labels = torch.from_numpy(labels)
        self._means, self._basis = torch.from_numpy(prior.means[labels]), torch.from_numpy(prior.basis)
        self._box = torch.from_numpy(prior.low), torch.from_numpy(prior.high)
        self._noise = torch.from_numpy(ascent.smoothing * space.spread)
        self._reach = ascent.radius * len(prior.basis) ** 0.5
        self._z = torch.from_numpy(prior.coordinates(start, labels))
        self._confine()
        self._z.requires_grad_()
        self._velocity = torch.zeros_like(self._z)
        self._done = 0
        self.live = 1.0

    def step(self) -> Floats:
        """One step; the margins (n,) before it, under noise. Asks the model n records."""
        found = margins(self._forward(self._noisy(self._records())), self._labels)
        (gradient,) = torch.autograd.grad(found.sum(), self._z)
        if not self._done:
            self.live = float((gradient.abs().amax(dim=1) > 0).float().mean())
        size = self._ascent.learning_rate * self._reach * (1 + cos(pi * self._done / self._ascent.steps)) / 2
        with torch.no_grad():
            unit = gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)
            self._velocity.mul_(MOMENTUM).add_(unit, alpha=1 - MOMENTUM)
            self._z.add_(self._velocity, alpha=size)
            self._confine()
        self._done += 1
        return np.asarray(found.detach().numpy())

    def judge(self, copies: int = 0) -> Floats:
        """The margins (n,) of the records as they are; with copies the mean over so many noisy ones of each.

        Asks the model n records, or n × ``copies``.
        """
        with torch.no_grad():
            x = self._records()
            shown = [self._noisy(x) for _ in range(copies)] if copies else [x]
            found = torch.stack([margins(self._forward(one), self._labels) for one in shown]).mean(dim=0)
        return np.asarray(found.numpy())

    def records(self) -> Floats:
        """The encoded records (n, *shape) as they are."""
        with torch.no_grad():
            return np.asarray(self._records().numpy())

    def _records(self) -> torch.Tensor:
        return self._make(torch.clamp(self._means + self._z @ self._basis, *self._box))

    def _noisy(self, x: torch.Tensor) -> torch.Tensor:
        return x + self._noise * torch.randn(x.shape, generator=self._generator)

    def _confine(self) -> None:
        length = self._z.norm(dim=1, keepdim=True) / self._reach
        self._z.div_(length.clamp(min=1))
