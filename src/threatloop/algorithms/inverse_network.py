"""An inverse transformation network: from what an encoding shows to what it hid, learned from pairs.

Ridge regression on the encoded pixels and on their distance from mid-grey (which no negation changes), plus a dense
network for what is left. Both stop on held-out pairs, so that the network is never worse there than the regression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams

Floats = npt.NDArray[np.float32]

LABEL_WEIGHT = 8
BATCH, CHECKS, HELD_OUT = 64, 20, 5
"""Pairs a step; times that the held-out pairs are looked at; every fifth pair is held out."""


@dataclass(frozen=True)
class NetworkRecipe:
    """How to train it.

    Attributes:
        steps: optimiser steps of 64 pairs.
        width: hidden units of both hidden layers.
        learning_rate: peak of the cosine schedule.
    """

    steps: int
    width: int = 512
    learning_rate: float = 1e-3


@dataclass(frozen=True, eq=False)
class Inverse:
    """A fitted inverse. Call it with encoded rows (n, e) in [0, 1]; returns rows (n, d) in that range.

    Attributes:
        loss_first, loss_last: mean squared error on held-out pairs without any input (the plain mean), and in the end.
    """

    predict: Callable[[Floats], Floats]
    loss_first: float
    loss_last: float

    def __call__(self, coded: Floats) -> Floats:
        found: Floats = np.clip(self.predict(coded), 0, 1)
        return found


def with_labels(rows: Floats, data: Dataset) -> Floats:
    """Rows (n, d) with a one-hot label behind each: an encoding does not hide what a record is called.

    It weighs more than a pixel, so that the regression on few pairs starts from the mean of the class.
    """
    labels = LABEL_WEIGHT * np.eye(data.n_classes, dtype=np.float32)[data.y]
    return np.concatenate([rows, labels], axis=1, dtype=np.float32)


def learned_from_own(
    auxiliary: Dataset,
    protect: Callable[[Dataset, bytes], Dataset],
    view: Callable[[Dataset], Floats],
    copies: int,
    recipe: NetworkRecipe,
    streams: Streams,
) -> Inverse:
    """An inverse learned without pairs: the attacker protects records of his own under keys of his own.

    Where every record has a key of its own, or signs are thrown away, his keys are as good as the owner's.

    Args:
        auxiliary: the attacker's records.
        protect: the public scheme, given data and a key.
        view: of protected data as rows in [0, 1] (n, e).
        copies: keys, so encodings of each record.
        recipe: of the network.
        streams: for keys and network.
    """
    plain = modality.of(auxiliary.schema).watermark_view(auxiliary.x, auxiliary.schema).reshape(len(auxiliary), -1)
    own = [protect(auxiliary, streams.key(f"own-{i}")) for i in range(copies)]
    # Copies of one record stay side by side, so that none is both learned from and held out.
    coded = np.stack([with_labels(view(one), one) for one in own], axis=1)
    seed, pairs = streams.integer("network"), (coded.reshape(-1, coded.shape[-1]), np.repeat(plain, copies, axis=0))
    return fit_inverse(*pairs, recipe, seed, together=copies)


def fit_inverse(coded: Floats, plain: Floats, recipe: NetworkRecipe, seed: int, together: int = 1) -> Inverse:
    """Learn from pairs, rows (n, e) and (n, d) in [0, 1], n ≥ 2; all randomness comes from the seed.

    ``together``: so many neighbouring pairs are of one record, and held out as one.
    """
    held = np.arange(len(coded)) // together % HELD_OUT == 0
    mean = plain[~held].mean(axis=0)
    features = _features(coded)
    centre = features[~held].mean(axis=0)
    weights = _ridge(features[~held] - centre, plain[~held] - mean, features[held] - centre, plain[held] - mean)

    def linear(rows: Floats) -> Floats:
        return np.asarray(mean + (_features(rows) - centre) @ weights, np.float32)

    residual = _residual(features - centre, plain - linear(coded), held, recipe, seed)

    def predict(rows: Floats) -> Floats:
        with torch.no_grad():
            rest = _forward(residual, torch.from_numpy(_features(rows) - centre)).numpy()
        return np.asarray(linear(rows) + rest, np.float32)

    first = float(((plain[held] - mean) ** 2).mean())
    return Inverse(predict, first, float(((plain[held] - predict(coded[held])) ** 2).mean()))


def _features(coded: Floats) -> Floats:
    signed = coded * 2 - 1
    return np.concatenate([signed, np.abs(signed)], axis=1, dtype=np.float32)


def _ridge(x: Floats, y: Floats, x_held: Floats, y_held: Floats) -> Floats:
    """Ridge weights in dual form, the penalty chosen on held-out rows; all zero is a candidate."""
    gram = (x @ x.T).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    rotated, across = vectors.T @ y, (x_held @ x.T) @ vectors
    best, chosen = float((y_held**2).mean()), np.zeros((x.shape[1], y.shape[1]), np.float32)
    scale = max(float(np.trace(gram)) / len(x), 1e-9)
    for penalty in scale * np.logspace(-4, 2, 7):
        solved = rotated / (np.maximum(values, 0) + penalty)[:, None]
        error = float(((across @ solved - y_held) ** 2).mean())
        if error < best:
            best, chosen = error, np.asarray(x.T @ (vectors @ solved), np.float32)
    return chosen


def _residual(
    x: Floats, y: Floats, held: npt.NDArray[np.bool_], recipe: NetworkRecipe, seed: int
) -> list[torch.Tensor]:
    """Weights of the network at the step that does best on the held-out pairs; it starts out as zero."""
    generator = torch.Generator().manual_seed(seed)
    weights = _initial(x.shape[1], recipe.width, y.shape[1], generator)
    inputs, targets = torch.from_numpy(x[~held]), torch.from_numpy(np.asarray(y[~held], np.float32))
    x_held, y_held = torch.from_numpy(x[held]), torch.from_numpy(np.asarray(y[held], np.float32))
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=1e-2, fused=True)
    best, kept = float((y_held**2).mean()), [w.detach().clone() for w in weights]
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * step / recipe.steps))
        rows = torch.randint(len(inputs), (BATCH,), generator=generator)
        loss = F.mse_loss(_forward(weights, inputs[rows]), targets[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % max(1, recipe.steps // CHECKS) == 0:
            with torch.no_grad():
                error = float(F.mse_loss(_forward(weights, x_held), y_held))
            if error < best:
                best, kept = error, [w.detach().clone() for w in weights]
    return kept


def _initial(inputs: int, width: int, outputs: int, generator: torch.Generator) -> list[torch.Tensor]:
    sizes = [(width, inputs, 1.0), (width, width, 1.0), (outputs, width, 0.0)]
    weights = []
    for rows, columns, scale in sizes:
        weights += [torch.randn((rows, columns), generator=generator) * scale * (2 / columns) ** 0.5, torch.zeros(rows)]
    return [w.requires_grad_() for w in weights]


def _forward(weights: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = F.relu(F.linear(x, weight, bias))
    return F.linear(x, weights[-2], weights[-1])
