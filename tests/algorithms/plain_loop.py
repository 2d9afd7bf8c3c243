"""The training loop as in a textbook: slow and obvious. The oracle of the fast paths and the mark they must beat."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.algorithms.fit import prepare
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.modality import of
from threatloop.models.network import dump


def plain_fit(
    architecture: Architecture,
    data: Dataset,
    recipe: Recipe,
    streams: Streams,
    soft_targets: npt.NDArray[np.float32] | None = None,
) -> Model:
    """One model, in float32, contiguous, by autograd and torch's default optimiser; no augmentation."""
    network = prepare(architecture, data, streams)
    x = torch.from_numpy(np.array(of(data.schema).encode(data.x, data.schema)))
    y = torch.from_numpy(data.y.copy() if soft_targets is None else soft_targets.copy())
    lr, decay = recipe.learning_rate, recipe.weight_decay
    optimizer: torch.optim.Optimizer = torch.optim.SGD(
        network.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=decay
    )
    if recipe.optimiser == "adam":
        optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=decay)
    size, n, rng = recipe.batch_size, len(data), streams.numpy("order")
    starts = [start for start in range(0, n, size) if n - start > 1 or start == 0 or size == 1]
    step, steps = 0, recipe.epochs * len(starts)
    network.train()
    for _ in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(n))
        for start in starts:
            stop = n if start == starts[-1] else start + size
            rows = order[start:stop]
            loss = F.cross_entropy(network(x[rows]), y[rows], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for group in optimizer.param_groups:
                group["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.step()
            step += 1
    return dump(network, architecture, data.schema)
