"""The weights of the epoch with the smallest loss on held-out records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.batches import Records
from threatloop.algorithms.course import Watch
from threatloop.algorithms.lessons import cross_entropy
from threatloop.algorithms.mlp_stack import Layer, Stack

Rows = npt.NDArray[np.int64]
AT_ONCE = 1024


class BestEpoch(Watch):
    """Every network for itself: what it does after its patience is over counts no more.

    Args:
        records: the pool.
        targets: for the whole pool, (n, classes).
        held: per network the positions of the records that it is judged by.
        patience: epochs without improvement, ≥ 1.

    Attributes:
        epochs: of each network, the one that was kept, from 1.
    """

    def __init__(self, records: Records, targets: torch.Tensor, held: Sequence[Rows], patience: int) -> None:
        self._records, self._targets, self._held, self._patience = records, targets, held, patience
        self.epochs = [0] * len(held)
        self._smallest, self._done = np.full(len(held), np.inf), 0
        self._layers: list[Layer] = []
        self._state: dict[str, torch.Tensor] = {}

    def stack(self, stack: Stack) -> bool:
        better = self._judge([self._of_stack(stack, k) for k in range(stack.count)])
        if not self._layers:
            self._layers = stack.copies()
        for (weight, bias), (kept, kept_bias) in zip(stack.layers, self._layers, strict=True):
            kept[better], kept_bias[better] = weight[better], bias[better]
        return self._over()

    def network(self, network: torch.nn.Module) -> bool:
        network.eval()
        with torch.no_grad():
            better = self._judge([self._of_network(network)])
        network.train()
        if bool(better[0]) or not self._state:
            self._state = {name: values.clone() for name, values in network.state_dict().items()}
        return self._over()

    def best(self, into: Stack | torch.nn.Module) -> None:
        if isinstance(into, Stack):
            into.put(self._layers)
        else:
            into.load_state_dict(self._state)

    def _judge(self, losses: Sequence[float]) -> torch.Tensor:
        self._done += 1
        late = np.array([self._done - epoch > self._patience for epoch in self.epochs])
        better = (np.asarray(losses) < self._smallest) & ~late
        self._smallest = np.where(better, losses, self._smallest)
        self.epochs = [self._done if one else epoch for one, epoch in zip(better, self.epochs, strict=True)]
        return torch.from_numpy(better)

    def _over(self) -> bool:
        return all(self._done - epoch >= self._patience for epoch in self.epochs)

    def _of_stack(self, stack: Stack, k: int) -> float:
        rows = self._held[k]
        x = self._records.take(rows).to(stack.device).flatten(1)
        flow = (x - stack.mean[k]) * stack.scale[k]
        for weight, bias in stack.layers[:-1]:
            flow = torch.relu(flow @ weight[k] + bias[k])
        weight, bias = stack.layers[-1]
        return float(cross_entropy(flow @ weight[k].T + bias[k, :, 0], self._wanted(rows, x)).mean())

    def _of_network(self, network: torch.nn.Module) -> float:
        rows, total = self._held[0], 0.0
        place = next(network.parameters()).device
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            x = self._records.take(part).to(place)
            total += float(cross_entropy(network(x), self._wanted(part, x)).sum())
        return total / len(rows)

    def _wanted(self, rows: Rows, like: torch.Tensor) -> torch.Tensor:
        return self._targets[torch.from_numpy(rows)].to(like.device)
