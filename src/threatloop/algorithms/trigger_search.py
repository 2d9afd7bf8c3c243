"""The smallest change of a few cells that makes a network take every record for one class: triggers in reverse.

Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019, "Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural
Networks", IEEE S&P, section IV-B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.algorithms.finetune import encoded, logits, place
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.modality import of
from threatloop.models.network import Network

RATE, BETAS = 0.1, (0.5, 0.9)
FIRST_COST, RAISE, LOWER = 1e-3, 1.5, 1.5**1.5
"""Of the mask, per cell, beside the cross-entropy; raised while the trigger works and lowered while it does not."""
WINDOW = 10
"""Steps over which success is averaged before the cost changes."""


@dataclass(frozen=True)
class Triggers:
    """One reversed trigger per class.

    Attributes:
        masks: share of each encoded number that the trigger replaces, in [0, 1]: (classes, ...).
        patterns: what replaces it, encoded: (classes, ...).
        sizes: cells that each mask covers, float64 (classes,); a pixel or a column is one cell.
        flips: share of the records of other classes that each trigger turns into its class, float64 (classes,).
    """

    masks: torch.Tensor
    patterns: torch.Tensor
    sizes: npt.NDArray[np.float64]
    flips: npt.NDArray[np.float64]

    def stamped(self, x: torch.Tensor, label: int) -> torch.Tensor:
        """Encoded records with the trigger of this class."""
        mask = self.masks[label].to(x.device)
        return x * (1 - mask) + mask * self.patterns[label].to(x.device)


class _Search:
    """Masks and patterns of all classes at once, and the smallest of each that worked so far."""

    def __init__(self, data: Dataset, device: torch.device, rng: np.random.Generator) -> None:
        kind, x = of(data.schema), encoded(data)
        cells = kind.cells(data.schema)
        self.cells, self.count = torch.from_numpy(cells).to(device), int(cells.max()) + 1
        self.low, self.width = _range(kind.space(data.schema, data.x), x, device)
        shape, classes = (data.n_classes, *x.shape[1:]), data.n_classes
        drawn = rng.standard_normal((classes, self.count)) * 0.1, rng.standard_normal(shape)
        self.free = [torch.tensor(one, dtype=torch.float32, device=device).requires_grad_(True) for one in drawn]
        self.cost = torch.zeros(classes, device=device)
        self.best = [one.detach().clone() for one in self.free]
        self.smallest = torch.full((classes,), float("inf"), device=device)

    def triggers(self, free: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Masks and patterns in encoded units, and the masks' sizes."""
        mask = torch.sigmoid(free[0])
        return mask[:, self.cells], self.low + self.width * torch.sigmoid(free[1]), mask.sum(1)

    @torch.no_grad()
    def judge(self, success: torch.Tensor, wanted: float) -> None:
        """Keep what works and is smaller than before; make size dearer where it works, cheaper where it does not."""
        works, size = success >= wanted, torch.sigmoid(self.free[0]).sum(1)
        better = works & (size < self.smallest)
        self.smallest = torch.where(better, size, self.smallest)
        for kept, now in zip(self.best, self.free, strict=True):
            kept[better] = now[better]
        raised = torch.where(self.cost > 0, self.cost * RAISE, torch.full_like(self.cost, FIRST_COST))
        self.cost = torch.where(works, raised, self.cost / LOWER)


def reversed_triggers(
    network: Network, data: Dataset, rng: np.random.Generator, *, steps: int, batch: int, success: float
) -> Triggers:
    """The smallest working trigger of every class.

    Args:
        network: frozen or not, in eval mode; its weights stay as they are.
        data: clean records.
        rng: draws starts and batches.
        steps: of Adam, ≥ 1.
        batch: records per step and class.
        success: share of records that a trigger must flip to count as one.

    Raises:
        NotAssessable: records that cannot be changed by small steps, or fewer than two classes among them.
    """
    if len(np.unique(data.y)) < 2:
        raise NotAssessable("reversing a trigger needs clean records of at least two classes")
    device, classes = place(network), data.n_classes
    search, x, y = _Search(data, device, rng), encoded(data), torch.from_numpy(np.array(data.y))
    optimizer = torch.optim.Adam(search.free, RATE, betas=BETAS)
    wanted = torch.arange(classes, device=device)[:, None]
    hits = torch.zeros(classes, device=device)
    counts = torch.zeros(classes, device=device)
    for step in range(steps):
        rows = torch.from_numpy(rng.integers(len(x), size=batch))
        masks, patterns, sizes = search.triggers(search.free)
        stamped = _stamped(x[rows].to(device), masks, patterns)
        answers = network(stamped.flatten(0, 1)).unflatten(0, (classes, len(rows)))
        others = (y[rows].to(device)[None] != wanted).float()
        losses = F.cross_entropy(answers.flatten(0, 1), wanted.expand(-1, len(rows)).flatten(), reduction="none")
        each = (losses.view(classes, -1) * others).sum(1) / others.sum(1).clamp_min(1)
        optimizer.zero_grad()
        (each + search.cost * sizes).sum().backward()  # type: ignore[no-untyped-call]
        hits += ((answers.argmax(2) == wanted) * others).sum(1)
        counts += others.sum(1)
        if step % WINDOW == WINDOW - 1:
            search.judge(hits / counts.clamp_min(1), success)
            hits.zero_(), counts.zero_()
        optimizer.step()
    return _found(network, search, x, data.y)


def _stamped(x: torch.Tensor, masks: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """Every record under every trigger, (classes, n, ...)."""
    return x[None] * (1 - masks[:, None]) + (masks * patterns)[:, None]


@torch.no_grad()
def _found(network: Network, search: _Search, x: torch.Tensor, y: npt.NDArray[np.int64]) -> Triggers:
    never = torch.isinf(search.smallest)
    for kept, last in zip(search.best, search.free, strict=True):
        kept[never] = last[never]
    masks, patterns, sizes = search.triggers(search.best)
    # A class that no trigger leads to is as far from a backdoor as can be.
    sizes = torch.where(never, torch.full_like(sizes, float(search.count)), sizes)
    found = Triggers(masks.cpu(), patterns.cpu(), sizes.double().cpu().numpy(), np.zeros(len(masks)))
    flips = []
    for label in range(len(masks)):
        others = x[torch.from_numpy(y != label)]
        taken = logits(network, found.stamped(others, label)).argmax(1) == label
        flips.append(float(taken.float().mean()) if len(others) else 0.0)
    return Triggers(found.masks, found.patterns, found.sizes, np.array(flips))


def _range(space: Any, x: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest value and width of each encoded number: its bounds, or what the records span where it has none."""
    low, high = (torch.from_numpy(np.broadcast_to(side, space.shape).copy()) for side in (space.low, space.high))
    low = torch.where(low.isfinite(), low, x.amin(0)).to(device)
    high = torch.where(high.isfinite(), high, x.amax(0)).to(device)
    return low, high - low
