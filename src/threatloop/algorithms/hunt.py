"""A chunk of records hunted for adversarial examples with the victim's gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.ball import Ball
from threatloop.algorithms.evasion import Trial
from threatloop.core.bench import Progress
from threatloop.core.errors import NotAssessable
from threatloop.models.device import bfloat16_is_fast

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Logits (n, classes) and labels (n,) to one number per record, larger where the victim is more wrong."""
SURELY = 1e-5
"""A lead of the wrong class, relative to the logits, that other batch sizes cannot round away."""


class Hunt:
    """The victim's logits and gradients for a chunk, and what became of each record.

    Args:
        trial: where examples are offered.
        rows: positions of the chunk among the attacked records.
        progress: for the self-checks' notes.
        expectation: answers averaged per question, for a victim that answers at random.

    Attributes:
        ball: around every record of the chunk.
        labels: true classes, (n,).
        first_logits: the victim's answers to the records as they are, (n, classes), once `begin` has asked.
    """

    first_logits: torch.Tensor

    def __init__(self, trial: Trial, rows: npt.NDArray[np.int64], progress: Progress, expectation: int = 1) -> None:
        self.trial, self.rows, self.progress, self.expectation = trial, rows, progress, expectation
        origin = torch.from_numpy(trial.origin[rows])
        if origin.dim() == 4:
            origin = origin.contiguous(memory_format=torch.channels_last)
        self.ball = Ball(trial.space, trial.norm, trial.radius, origin)
        self.labels = torch.from_numpy(trial.y[rows].astype(np.int64))
        self._forward = trial.victim.differentiable()
        # Who may ask only so often does not ask about a record twice.
        self._may_round = bfloat16_is_fast("cpu") and trial.victim.ledger.left is None
        self._convolves: bool | None = None

    def standing(self) -> torch.Tensor:
        """Positions within the chunk of records without an example."""
        return torch.from_numpy(np.flatnonzero(~self.trial.fooled[self.rows]))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The victim's answers, averaged over its randomness; charges one query a record and answer."""
        answers: torch.Tensor = self._forward(x)
        for _ in range(self.expectation - 1):
            answers = answers + self._forward(x)
        return answers / self.expectation if self.expectation > 1 else answers

    def ask(self, x: torch.Tensor) -> torch.Tensor:
        """The victim's answers without gradients."""
        with torch.no_grad():
            return self.logits(x)

    def climb(self, x: torch.Tensor, labels: torch.Tensor, loss: Loss) -> tuple[torch.Tensor, ...]:
        """Logits (n, classes), losses (n,) and the losses' gradients at x (n, ...).

        Raises:
            NotAssessable: no gradient flows from the victim's answers to its input.
        """
        x = x.detach().requires_grad_(True)
        logits = self.logits(x)
        values = loss(logits.float(), labels)
        if not values.requires_grad:
            raise NotAssessable(
                "the victim's answers do not depend on its input in a differentiable way: it gives no gradients; "
                "use an attack that needs scores or labels only"
            )
        if self._convolves is None:
            self._convolves = any("Convolution" in node.name() for node in _graph(values.grad_fn))
        (gradient,) = torch.autograd.grad(values.sum(), x)
        return logits.detach(), values.detach(), gradient

    def draft(self, x: torch.Tensor, labels: torch.Tensor, loss: Loss) -> tuple[torch.Tensor, ...]:
        """As `climb`, convolutions rounded to bfloat16 where that is faster: good for steps, never for verdicts.

        Records that the rounded answer gets wrong are asked again in full, one more query each.
        """
        # Without convolutions rounding saves nothing, and fills a cache with a kernel for every size of batch.
        if not (self._may_round and self._convolves):
            return self.climb(x, labels, loss)
        with torch.autocast("cpu", torch.bfloat16):
            logits, values, gradient = self.climb(x, labels, loss)
        logits = logits.float()
        wrong = margin(logits, labels) > 0
        if bool(wrong.any()):
            logits[wrong] = self.ask(x[wrong])
        return logits, values, gradient

    def catch(self, places: torch.Tensor, x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Offer what the victim gets wrong.

        Args:
            places: positions within the chunk, (m,).
            x: valid records, (m, ...).
            logits: what the victim says of them.

        Returns:
            (m,) which it surely gets wrong.
        """
        wrong = surely_wrong(logits, self.labels[places])
        if bool(wrong.any()):
            self.trial.offer(self.rows[places[wrong].numpy()], x[wrong].detach().contiguous().numpy())
        return wrong

    def begin(self, loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
        """Ask about the records as they are; notes how many gradients are not zero, and the loss.

        Returns:
            Positions of the records that the victim gets right, and their gradients there.
        """
        everyone = torch.arange(len(self.labels))
        logits, _, gradient = self.climb(self.ball.origin, self.labels, loss)
        self.first_logits = logits
        wrong = self.catch(everyone, self.ball.origin, logits)
        right = everyone[~wrong]
        live = gradient[right].flatten(1).abs().amax(dim=1) > 0
        self._note("gradient_nonzero", live.float())
        self._note("loss_first", -margin(logits, self.labels)[right])
        return right, gradient[right]

    def end(self, margins: torch.Tensor) -> None:
        """Note the last margin of every record that was attacked, (n,)."""
        self._note("loss_last", -margins)

    def _note(self, name: str, values: torch.Tensor) -> None:
        """The mean over all chunks so far."""
        if not len(values):
            return
        notes, count = self.progress.notes, f"{name}_records"
        known = notes.get(count, 0.0)
        mean = (notes.get(name, 0.0) * known + float(values.double().sum())) / (known + len(values))
        self.progress.note(name, mean)
        self.progress.note(count, known + len(values))


def _graph(root: Any) -> Iterator[Any]:
    """Every node of a graph of gradients, once."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
            yield node


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The best wrong class's lead over the true one, (n,); > 0 where the victim errs."""
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - own[:, 0]


def surely_wrong(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether the victim errs by more than rounding, (n,) bool."""
    own = logits.gather(1, labels[:, None])[:, 0]
    return margin(logits, labels) > SURELY * (1 + own.abs())


def log_odds(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log (1 − p_y) − log p_y, (n,): cross-entropy as it should be climbed.

    It is a growing function of the cross-entropy, and its gradient has the same direction, so that steps of normalised
    length are the same. But it never vanishes where p_y rounds to 1, the usual way in which gradients hide.
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1) - own
