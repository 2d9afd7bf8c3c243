"""Stealing without a single record: a generator makes queries on which clone and victim still differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.distil import LOG_FLOOR
from threatloop.algorithms.generator import Generator, generator
from threatloop.core.assets import Dataset
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.modality import of

Floats = npt.NDArray[np.float32]
LATENT = 64
BATCH = 64
"""Records per step of the generator."""
LEARNING_RATE = 1e-3
DIFFERENCE = 1e-2
"""Length of a forward difference per entry, as a share of the bounds' reach: well above the rounding of answers."""
DIVERSITY = 1.0
"""Weight of the entropy of the clone's average answer in what the generator climbs: without it one class remains."""


@dataclass
class Synthesis:
    """A generator in training against a victim and its clone.

    Attributes:
        schema: of the records.
        made: the generator.
    """

    schema: Schema
    made: Generator
    _optimiser: torch.optim.Optimizer
    _latent: torch.Generator
    _directions: np.random.Generator

    @classmethod
    def start(cls, schema: Schema, streams: Streams) -> Synthesis:
        """A fresh generator.

        Raises:
            NotAssessable: records of this modality cannot be changed by small steps.
        """
        made = generator(schema, LATENT, streams.integer("generator"))
        latent = torch.Generator().manual_seed(streams.integer("latent"))
        optimiser = torch.optim.Adam(made.parameters(), LEARNING_RATE)
        return cls(schema, made, optimiser, latent, streams.numpy("directions"))

    def records(self, n: int) -> Dataset:
        """``n`` records as the generator makes them now, valid; their labels mean nothing."""
        with torch.no_grad():
            parts = [self.made(self._noise(min(1024, n - i))) for i in range(0, n, 1024)]
        return self._valid(np.concatenate([part.numpy() for part in parts]))

    def step(self, network: torch.nn.Module) -> None:
        """One step on the clone alone: records that it is unsure of, of all classes. Asks the victim nothing."""
        logits = _asked(network, _straight(self.made(self._noise(BATCH)), self._round))
        unsure = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        self._descend(-unsure - DIVERSITY * _entropy_of_mean(logits))

    def adversarial_step(self, network: torch.nn.Module, service: Service) -> tuple[Dataset, Floats]:
        """One step towards records on which the victim and the clone differ. Asks the victim 2 · `BATCH` records.

        The clone's part of the gradient is exact; the victim's is a forward difference along one random direction per
        record.

        Returns:
            The asked records (without the displaced ones) with their log-probabilities.
        """
        made = _straight(self.made(self._noise(BATCH)), self._round)
        here = made.detach().numpy()
        asked = self._valid(here)
        answers = service.log_probs(asked.x)
        victim = torch.from_numpy(_logits(answers))
        logits = _asked(network, made)
        clone = logits - logits.mean(1, keepdim=True)
        gap = victim - clone
        slope = self._difference(here, answers, gap.detach().sign().numpy(), service)
        loss = -gap.abs().sum(1).mean() - DIVERSITY * _entropy_of_mean(logits)
        # The victim's logits are constants to autograd: its part of the gradient enters as a linear term.
        outside = -(made * torch.from_numpy(slope)).sum() / BATCH
        self._descend(loss + outside)
        return asked, answers

    def _difference(self, here: Floats, answers: Floats, signs: Floats, service: Service) -> Floats:
        """The derivative of the signed sum of the victim's logits by the record, shape of ``here``, by one difference.

        Directions are signs, so every entry moves by the same share of its reach; an estimate along one direction is
        unbiased for the smoothed victim. Cells on a grid that did not move contribute nothing.
        """
        low, high = of(self.schema).space(self.schema).bounds
        reach = np.where(np.isfinite(high - low), high - low, 1.0).reshape(here.shape[1:])
        u = self._directions.choice(np.array([-1.0, 1.0], np.float32), here.shape) * (DIFFERENCE * reach)
        there = of(self.schema).decode((here + u).astype(np.float32), self.schema)
        moved = np.asarray(of(self.schema).encode(there, self.schema), dtype=np.float32) - here
        rise = (signs * (_logits(service.log_probs(there)) - _logits(answers))).sum(axis=1)
        rise = rise.reshape(-1, *[1] * (here.ndim - 1))
        inverse = np.divide(1.0, moved, out=np.zeros_like(moved), where=np.abs(moved) > 0)
        return np.asarray(rise * inverse, dtype=np.float32)

    def _noise(self, n: int) -> torch.Tensor:
        return torch.randn(n, self.made.inputs, generator=self._latent)

    def _descend(self, loss: torch.Tensor) -> None:
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def _round(self, encoded: Floats) -> Floats:
        valid = of(self.schema).decode(encoded, self.schema)
        return np.asarray(of(self.schema).encode(valid, self.schema), dtype=np.float32)

    def _valid(self, encoded: Floats) -> Dataset:
        x = of(self.schema).decode(encoded, self.schema)
        return Dataset(x, np.zeros(len(x), np.int64), self.schema, np.full(len(x), -1, np.int64))


def _straight(made: torch.Tensor, valid: Any) -> torch.Tensor:
    """The nearest valid records, with the gradient of the generator's own."""
    return made + (torch.from_numpy(valid(made.detach().numpy())) - made.detach())


def _logits(log_probs: Floats) -> Floats:
    """Answers less their mean: the victim's logits up to a constant per record."""
    floored = np.maximum(log_probs, LOG_FLOOR)
    return np.asarray(floored - floored.mean(axis=1, keepdims=True), dtype=np.float32)


def _entropy_of_mean(logits: torch.Tensor) -> torch.Tensor:
    """The entropy of the average answer, in nats: largest where all classes occur equally often."""
    mean = logits.softmax(1).mean(0)
    return -(mean * mean.clamp_min(1e-12).log()).sum()


def _asked(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits of the thief's own network, wherever it is, on the CPU."""
    answers: torch.Tensor = network(x.to(next(network.parameters()).device)).float().cpu()
    return answers
