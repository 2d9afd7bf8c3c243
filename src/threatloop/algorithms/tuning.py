"""Training of language models: next tokens, on the assistant's words where there is an assistant."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from threatloop.algorithms.batches import batches, bounds, learning_rate
from threatloop.algorithms.method import Method
from threatloop.algorithms.optimisers import optimiser, set_rate
from threatloop.algorithms.outcome import Diverged, Report, Trained
from threatloop.algorithms.private_steps import private_of
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.modality.conversation import read
from threatloop.models.device import resolve
from threatloop.models.language.codecs import Tokens, too_long
from threatloop.models.language.language import Language
from threatloop.models.language.loading import dumped, pupil
from threatloop.models.language.scoring import batches as alike
from threatloop.models.language.scoring import wanted_logits

TOKENS_AT_ONCE = 384
"""Whose activations are kept at a time; of a base model of 135M parameters each token takes 2 MB."""
LARGEST_NORM = 1.0
"""To which the gradient of a batch is clipped, as is usual for transformers."""


def tune(
    architecture: Architecture,
    data: Dataset,
    recipe: Recipe,
    streams: Streams,
    *,
    init: Model | None = None,
    method: Method | None = None,
    device: str = "cpu",
    progress: Report | None = None,
) -> Model:
    """Train one language model. The same arguments give the same weights on one machine.

    Args:
        architecture: ``gpt``, of which all weights are trained, or ``causal_lm``, of which an adapter is.
        data: text records.
        recipe: how to train; ``augment`` is not for text.
        streams: roles ``init`` and ``order``.
        init: what to go on from.
        method: of what defences add, privacy only.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        progress: called after every epoch with the share done, in (0, 1].

    Returns:
        The model; its notes hold train_loss, train_accuracy (of next tokens, both over the last epoch), epochs, steps
        and seconds.

    Raises:
        InputError: no records, or records that the model cannot read.
        NotAssessable: a method that needs labels.
        Diverged: the loss is no longer finite.
    """
    if len(data) == 0:
        raise InputError("training needs records; this data set has none")
    method = method or Method()
    if method != Method(privacy=method.privacy):
        raise NotAssessable(f"this way of training needs one label a record; {data.schema.kind} records have none")
    started, place = time.perf_counter(), resolve(device)
    language = pupil(architecture, data.schema, torch.Generator().manual_seed(streams.integer("init")), place, init)
    tokens = [language.codec.tokens(record) for record in read(data.x)]
    too_long(tokens, language.context)
    lessons = _Lessons(language, tokens, recipe.label_smoothing)
    trained, notes = _learn(lessons, architecture.name, recipe, streams, method, progress)
    language.train(False)
    seconds = time.perf_counter() - started
    return dumped(language, architecture, data.schema, {**trained.notes(recipe, seconds), **notes})


def _learn(
    lessons: _Lessons, name: str, recipe: Recipe, streams: Streams, method: Method, report: Report | None
) -> tuple[Trained, dict[str, Any]]:
    language, n = lessons.language, len(lessons.tokens)
    language.train(True)
    learning = list(language.learning().values())
    optimizer = optimiser(learning, recipe, language.device)
    per_epoch = len(bounds(n, recipe.batch_size))
    steps, step, sums, notes = recipe.epochs * per_epoch, 0, _Sums(), dict[str, Any]()
    private: _Private | None = None
    if method.privacy is not None:
        bound, deviation, notes = private_of(method.privacy, n, per_epoch, steps)
        private = _Private(bound, deviation, n / per_epoch, torch.Generator().manual_seed(streams.integer("augment")))
    for number, today in enumerate(batches(streams.numpy("order"), np.arange(n), recipe, private is not None)):
        sums = _Sums()
        for rows in today:
            set_rate(optimizer, learning_rate(recipe.learning_rate, step, steps))
            optimizer.zero_grad()
            if private is None:
                lessons.descend([int(row) for row in rows], sums)
                torch.nn.utils.clip_grad_norm_(learning, LARGEST_NORM)
            else:
                private.descend(lessons, [int(row) for row in rows], learning, sums)
            optimizer.step()
            step += 1
        if not math.isfinite(sums.loss):
            raise Diverged(name, recipe, number)
        if report is not None:
            report((number + 1) / recipe.epochs)
    count = max(1, sums.count)
    return Trained(sums.loss / count, sums.right / count, step), notes


@dataclass
class _Sums:
    """Over the tokens of one epoch."""

    loss: float = 0.0
    right: int = 0
    count: int = 0


@dataclass(frozen=True)
class _Lessons:
    """What a language learns from."""

    language: Language
    tokens: Sequence[Tokens]
    smoothing: float

    def descend(self, rows: Sequence[int], sums: _Sums) -> None:
        """Add the gradient of the mean loss over the tokens of these records, a few of like length at a time."""
        total = sum(sum(self.tokens[row].counted) for row in rows)
        if total == 0:
            return
        for part in alike([len(self.tokens[row].ids) for row in rows], TOKENS_AT_ONCE):
            loss = self._loss([rows[i] for i in part], sums) / total
            loss.backward()  # type: ignore[no-untyped-call]

    def _loss(self, rows: Sequence[int], sums: _Sums) -> torch.Tensor:
        logits, wanted, _ = wanted_logits(self.language, [self.tokens[row] for row in rows])
        loss = F.cross_entropy(logits, wanted, reduction="sum", label_smoothing=self.smoothing)
        sums.loss += float(loss.detach())
        sums.right += int((logits.detach().argmax(1) == wanted).sum())
        sums.count += len(wanted)
        return loss


@dataclass(frozen=True)
class _Private:
    """DP-SGD: each record's gradient, of its mean loss, is clipped before they are added up.

    Attributes:
        bound: to which a record's gradient is clipped.
        deviation: of the noise that is added to their sum.
        expected: records of a batch on average.
        generator: of the noise.
    """

    bound: float
    deviation: float
    expected: float
    generator: torch.Generator

    def descend(
        self, lessons: _Lessons, rows: Sequence[int], learning: Sequence[torch.nn.Parameter], sums: _Sums
    ) -> None:
        """Fill the gradients with the noisy, clipped mean of one batch, which may be empty."""
        total = [torch.zeros_like(p) for p in learning]
        for row in rows:
            lessons.descend([row], sums)
            found = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
            norm = float(torch.stack([one.norm() for one in found]).norm())
            factor = min(1.0, self.bound / max(norm, 1e-12)) if math.isfinite(self.bound) else 1.0
            for part, one in zip(total, found, strict=True):
                part += factor * one
            for p in learning:
                p.grad = None
        for p, part in zip(learning, total, strict=True):
            noise = torch.randn(p.shape, generator=self.generator).to(p.device) * self.deviation
            p.grad = (part + noise) / self.expected
