"""How often a label survives random noise: a cheap stand-in for the distance to the decision boundary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.black_box import Points
from threatloop.algorithms.evasion import Trial

LEVELS = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Standard deviations of the noise, in those of the records. Which one tells members from others depends on the model,
so all are asked, equally often."""
CHUNK = 1 << 22
"""Numbers in one request, about."""


def survival(trial: Trial, queries: int, generator: torch.Generator) -> npt.NDArray[np.float64]:
    """The share of copies that keep the true label, the record itself among them, float64 (n,); 0 where that does not.

    Args:
        trial: n records.
        queries: ≥ 2 for each, the look at the record itself included; cut to what is left.
        generator: draws the noise.
    """
    everyone = np.arange(len(trial.origin))
    points = Points(trial, everyone, trial.radius)
    places = torch.from_numpy(everyone)
    right = places[torch.from_numpy(trial.victim.labels(np.asarray(trial.source.x[everyone])) == trial.y)]
    found = np.zeros(len(everyone))
    left = trial.victim.ledger.left
    copies = queries - 1 if left is None else min(queries - 1, left // max(1, len(right)))
    if not copies:
        found[right.numpy()] = 1.0
        return found
    spread = points.x.std(dim=0, unbiased=False).square().mean().sqrt() if len(everyone) > 1 else points.x.std()
    levels = spread * torch.tensor(LEVELS)[torch.arange(copies) % len(LEVELS)]
    each = max(1, CHUNK // (points.x.shape[1] * copies))
    for first in range(0, len(right), each):
        part = right[first : first + each]
        owner = part.repeat_interleave(copies)
        noise = torch.randn(len(owner), points.x.shape[1], generator=generator).to(points.x)
        moved = points.x[owner] + levels.to(points.x).repeat(len(part))[:, None] * noise
        moved = torch.maximum(torch.minimum(moved, points.high[owner]), points.low[owner])
        kept = ~points.errs(moved, owner)
        found[part.numpy()] = (1 + kept.reshape(len(part), copies).double().sum(dim=1).numpy()) / (1 + copies)
    return found
