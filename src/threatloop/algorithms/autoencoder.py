"""A generative prior from the attacker's own records: a small variational autoencoder, trained in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.algorithms.batches import Records, learning_rate, statistics
from threatloop.algorithms.generator import Floats, Generator, dense, generator, spatial, swift
from threatloop.algorithms.record_features import channel_scale
from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.models.initialise import initialise
from threatloop.models.shapes import Shape, input_shape

BATCH = 64
LEARNING_RATE = 2e-3
SMALLEST_ERROR = 0.05
"""Mean squared error, in units of the data's variance, below which a closer fit is hardly rewarded: few records would
be learnt by heart, and what lies between their codes would look like none of them."""


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """What training left.

    Attributes:
        decoder: latent vectors to encoded records; frozen, in eval mode.
        codes: (n, latent) posterior mean of every training record.
        loss: mean loss in nats over the first and over the last tenth of training; the second must be smaller.
    """

    decoder: Generator
    codes: Floats
    loss: tuple[float, float]


@dataclass(frozen=True)
class AutoencoderRecipe:
    """How to train.

    Attributes:
        steps: optimiser steps of 64 records, ≥ 1.
        latent: length of a code.
        width: hidden units, or 16 times the filters at full resolution.
    """

    steps: int
    latent: int
    width: int


def train_autoencoder(data: Dataset, recipe: AutoencoderRecipe, streams: Streams) -> Autoencoder:
    """A variational autoencoder of the records.

    Its error is measured in channel or column spreads, and its noise is the best for each batch, so that no weight
    between fit and prior has to be chosen.

    Kingma, Welling 2013, "Auto-Encoding Variational Bayes", arXiv 1312.6114; Rybkin, Daniilidis, Levine 2020, "Simple
    and Effective VAE Training with Calibrated Decoders", arXiv 2006.13202, section 3.2.

    Raises:
        InputError: fewer than two records.
        NotAssessable: records of this modality cannot be changed by small steps.
    """
    if len(data) < 2:
        raise InputError(f"a generator needs at least 2 records to learn from; the attacker holds {len(data)}")
    decoder = generator(data.schema, recipe.latent, streams.integer("decoder"), data, recipe.width)
    encoder = _encoder(data, recipe, streams.integer("encoder"))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)
    records, draws = Records.of(data), torch.Generator().manual_seed(streams.integer("noise"))
    scale = torch.from_numpy(channel_scale(data)).reshape(input_shape(data.schema))
    encode, decode = (swift(part, input_shape(data.schema)) for part in (encoder, decoder.body))
    losses = []
    for step, rows in enumerate(shuffled(len(data), recipe.steps, streams.numpy("order"))):
        x = records.take(rows)
        centre, log_variance = encode(x).chunk(2, dim=1)
        log_variance = log_variance.clamp(-10, 10)
        z = centre + (log_variance / 2).exp() * torch.randn(centre.shape, generator=draws)
        loss = _bound((x - decoder.head(decode(z))) / scale, centre, log_variance)
        optimiser.param_groups[0]["lr"] = learning_rate(LEARNING_RATE, step, recipe.steps)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    tenth = max(1, recipe.steps // 10)
    ends = (float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])))
    decoder.eval().requires_grad_(False)
    return Autoencoder(decoder, _codes(encoder.eval(), records, len(data)), ends)


def _bound(error: torch.Tensor, centre: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Minus the evidence bound of a batch in nats per record, with the noise at its best value."""
    cells = error[0].numel()
    fit = cells / 2 * torch.log(error.square().mean() + SMALLEST_ERROR)
    divergence: torch.Tensor = (centre.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
    return fit + divergence


def shuffled(n: int, steps: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(steps, batch) rows: whole passes over the records in random order, never a batch of one."""
    size = max(2, min(BATCH, n))
    passes = math.ceil(steps * size / n)
    return np.concatenate([rng.permutation(n) for _ in range(passes)])[: steps * size].reshape(steps, size)


def _codes(encoder: nn.Module, records: Records, n: int) -> Floats:
    with torch.no_grad():
        parts = [encoder(records.take(np.arange(i, min(i + 512, n)))).chunk(2, dim=1)[0] for i in range(0, n, 512)]
    return np.asarray(torch.cat(parts).numpy())


def _encoder(data: Dataset, recipe: AutoencoderRecipe, seed: int) -> nn.Module:
    shape = input_shape(data.schema)
    draws = torch.Generator().manual_seed(seed)
    body = initialise(lambda: _shrinking(shape, recipe), draws)
    return _Standardised(data, body)


def _shrinking(shape: Shape, recipe: AutoencoderRecipe) -> nn.Module:
    """Records to centre and log-variance of their codes, one after the other."""
    if not spatial(shape):
        return nn.Sequential(nn.Flatten(), *dense((math.prod(shape), recipe.width, recipe.width, 2 * recipe.latent)))
    filters = max(2, recipe.width // 16)
    small = 4 * filters * -(-shape[1] // 4) * -(-shape[2] // 4)
    return nn.Sequential(
        nn.Conv2d(shape[0], 2 * filters, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(2 * filters, 4 * filters, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(small, 2 * recipe.latent),
    )


class _Standardised(nn.Module):
    """A network on records less their mean, divided by each channel's or column's spread."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, data: Dataset, body: nn.Module) -> None:
        super().__init__()
        found, shape = statistics(data), input_shape(data.schema)
        lead = (-1, *[1] * (len(shape) - 1))
        self.register_buffer("mean", torch.from_numpy(found.mean).reshape(lead))
        self.register_buffer("scale", torch.from_numpy(found.std).reshape(lead))
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body((x - self.mean) / self.scale)
        return found
