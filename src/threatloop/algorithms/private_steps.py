"""Differentially private training: the noise for a budget, what was spent, and gradients clipped record by record."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch.func import functional_call, grad_and_value, vmap

from threatloop.algorithms.course import Private, Side
from threatloop.algorithms.method import Privacy
from threatloop.algorithms.objectives import Tally, cross_entropy, tally
from threatloop.core.errors import NotAssessable

TOLERANCE, MOST_LOG_NOISE, MOST_TRIES = 0.01, 9.0, 60
"""Share of ε that may be left; the logarithm of the largest noise that is tried; questions to the accountant."""
HELD_NUMBERS = 1 << 26
"""Numbers of single records' gradients alive at once: 256 MB."""
BATCH_NORM = (
    "DP-SGD needs each record's own gradient, and BatchNorm mixes the records of a batch: set `group_norm: true` "
    "(built-in cnn and resnet18), or build your own network with GroupNorm"
)


def delta_of(privacy: Privacy, n: int) -> float:
    """The stated δ, or n^−1.1 rounded down to one digit, below 1/n as it must be."""
    if privacy.delta is not None:
        return privacy.delta
    exact = max(n, 2) ** -1.1
    digit = 10.0 ** math.floor(math.log10(exact))
    return float(f"{math.floor(exact / digit + 1e-9) * digit:.0e}")


@lru_cache(maxsize=64)
def noise_for(epsilon: float, delta: float, rate: float, steps: int, accountant: str) -> float:
    """Noise per clipping bound at which ``steps`` steps at this sampling rate spend (ε, δ), at most 1 % less.

    opacus' own search asks its accountant several times as often.

    Raises:
        NotAssessable: no noise is enough.
    """

    def excess(log_noise: float) -> float:
        return math.log(spent(math.exp(log_noise), delta, rate, steps, accountant) / (epsilon * (1 - TOLERANCE / 2)))

    low, high = -1.0, 1.0
    while excess(high) > 0:
        low, high = high, high + 1
        if high > MOST_LOG_NOISE:
            floor = spent(math.exp(high), delta, rate, steps, accountant)
            raise NotAssessable(
                f"dp_sgd: no noise spends as little as epsilon {epsilon:g} by the accountant {accountant} (it counts "
                f"{floor:.2g} at best); raise epsilon or delta"
            )
    while excess(low) < 0:
        low, high = low - 1, low
    for _ in range(MOST_TRIES):
        # The accountant's time goes into each question, so the chord is halved only where it lies.
        middle = _chord(low, excess(low), high, excess(high))
        found = excess(middle)
        if abs(found) <= TOLERANCE / 2:
            return math.exp(middle)
        low, high = (middle, high) if found > 0 else (low, middle)
    return math.exp(high)


def _chord(low: float, above: float, high: float, below: float) -> float:
    """Where the chord between two points is 0, kept off the ends by a twentieth."""
    share = min(0.95, max(0.05, above / (above - below)))
    return low + share * (high - low)


@lru_cache(maxsize=512)
def spent(noise: float, delta: float, rate: float, steps: int, accountant: str) -> float:
    """ε after ``steps`` steps, by opacus' accountant; infinite without noise."""
    from opacus.accountants import create_accountant

    if noise == 0:
        return math.inf
    book = create_accountant(mechanism=accountant)
    book.history = [(noise, rate, steps)]
    with warnings.catch_warnings():
        # That a wider range of orders would count less is no fault of the count.
        warnings.simplefilter("ignore", UserWarning)
        return float(book.get_epsilon(delta=delta))


def private_of(privacy: Privacy, n: int, per_epoch: int, steps: int) -> tuple[float, float, dict[str, Any]]:
    """Bound and noise of a run over ``n`` records, and what a model's notes say of it."""
    rate, delta = 1 / per_epoch, delta_of(privacy, n)
    noise = privacy.noise
    if noise is None:
        noise = noise_for(privacy.epsilon, delta, rate, steps, privacy.accountant)
    clips, blurs = privacy.mode != "noise_only", privacy.mode != "clip_only"
    found = spent(noise, delta, rate, steps, privacy.accountant) if clips and blurs else math.inf
    notes = {
        "epsilon": found if math.isfinite(found) else None,
        "delta": delta,
        "accountant": privacy.accountant,
        "noise_multiplier": noise if blurs else 0.0,
        "max_grad_norm": privacy.bound if clips else None,
        "sample_rate": rate,
        "private_steps": steps,
    }
    return privacy.bound if clips else math.inf, noise * privacy.bound if blurs else 0.0, notes


def check_private(network: torch.nn.Module) -> None:
    """Refuse networks in which records of a batch mix.

    Raises:
        NotAssessable: there is a BatchNorm.
    """
    if any(isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) for layer in network.modules()):
        raise NotAssessable(BATCH_NORM)


def record_gradients(
    network: torch.nn.Module, smoothing: float, x: torch.Tensor, y: torch.Tensor
) -> tuple[Mapping[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Every record's own gradient (n, ...) by weight, its loss (n,), and the logits."""
    weights = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    rest = {name: p.detach() for name, p in network.named_parameters() if not p.requires_grad}
    rest |= dict(network.named_buffers())

    def loss(own: Mapping[str, torch.Tensor], one: torch.Tensor, wanted: torch.Tensor) -> tuple[Any, Any]:
        logits = functional_call(network, {**own, **rest}, (one[None],))
        return cross_entropy(logits.float(), wanted[None], smoothing), logits[0]

    found, (losses, logits) = vmap(grad_and_value(loss, has_aux=True), in_dims=(None, 0, 0))(weights, x, y)
    return found, losses, logits


def private_gradient(
    network: torch.nn.Module,
    smoothing: float,
    private: Private,
    x: torch.Tensor,
    y: torch.Tensor,
    side: Side,
) -> Tally:
    """Fill the network's gradients with the noisy, clipped mean of one batch, which may be empty."""
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p) for name, p in learning.items()}
    sum_of = Tally(torch.zeros(()), torch.zeros(()), torch.zeros(()))
    at_once = max(1, HELD_NUMBERS // sum(p.numel() for p in learning.values()))
    for start in range(0, len(x), at_once):
        part, wanted = x[start : start + at_once], y[start : start + at_once]
        found, losses, logits = record_gradients(network, smoothing, part, wanted)
        norms = torch.stack([one.flatten(1).norm(dim=1) for one in found.values()]).norm(dim=0)
        factors = private.factors(norms)
        for name, one in found.items():
            sums[name] += (factors @ one.flatten(1)).view_as(sums[name])
        here = tally(logits, wanted, losses.mean())
        sum_of = Tally(sum_of.loss + here.loss, sum_of.right + here.right, sum_of.count + here.count)
    for name, p in learning.items():
        noise = torch.randn(p.shape, generator=side.generators[0]).to(p.device) * private.deviations[0]
        p.grad = (sums[name] + noise) / side.expected[0]
    return sum_of
