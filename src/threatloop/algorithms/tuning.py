"""Training of language models: next tokens, on the assistant's words where there is an assistant."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.batches import batches, bounds, learning_rate
from threatloop.algorithms.method import Method
from threatloop.algorithms.optimisers import optimiser, set_rate
from threatloop.algorithms.outcome import Diverged, Report, Trained
from threatloop.algorithms.preference_lessons import PreferenceLessons, preference_lessons
from threatloop.algorithms.private_steps import private_of
from threatloop.algorithms.robust_steps import robust
from threatloop.algorithms.text_lessons import Descent, Lessons, OwnTurns, Private, Sums, again_and_again
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.memory import give_back
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.modality.conversation import read
from threatloop.modality.pairs import all_pairs
from threatloop.models.device import resolve
from threatloop.models.language.codecs import Tokens, too_long
from threatloop.models.language.language import Language
from threatloop.models.language.loading import dumped, pupil

TIDIED = 8
"""Steps after which freed memory goes back: batches of other lengths leave holes, which grow to half a gigabyte."""
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
    following: npt.NDArray[np.float32] | None = None,
) -> Model:
    """Train one language model. The same arguments give the same weights on one machine.

    A wide model is read in bfloat16 where the processor multiplies it in hardware; its weights stay float32.

    Args:
        architecture: ``gpt``, of which all weights are trained, or ``causal_lm``, of which an adapter is.
        data: text records.
        recipe: how to train; ``augment`` is not for text. With the objective ``dpo`` the records are pairs, and each
            counts once where otherwise its tokens do; of a pair, likelihood learns the preferred answer.
        streams: roles ``init`` and ``order``.
        init: what to go on from.
        method: of what defences add: privacy; closeness to ``init``, and turns with own records, where there is one;
            robustness, where training starts afresh.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        progress: called after every epoch with the share done, in (0, 1].
        following: distribution of the token behind each record, (n, vocabulary), which is learnt in place of the
            record's own text; a row of NaN where there is none.

    Returns:
        The model; its notes hold train_loss, train_accuracy (of next tokens, or of pairs the share with the preferred
        answer in front; both over the last epoch), epochs, steps and seconds.

    Raises:
        InputError: no records, or records that the model cannot read, or that are no pairs where it learns from such.
        NotAssessable: a method that needs labels, private turns, or distributions over another vocabulary.
        Diverged: the loss is no longer finite.
    """
    if len(data) == 0:
        raise InputError("training needs records; this data set has none")
    method = method or Method()
    known = Method(privacy=method.privacy, proximal=method.proximal, robustness=method.robustness, turns=method.turns)
    if method != known:
        raise NotAssessable(f"this way of training needs one label a record; {data.schema.kind} records have none")
    started, place = time.perf_counter(), resolve(device)
    language = pupil(architecture, data.schema, torch.Generator().manual_seed(streams.integer("init")), place, init)
    lessons, descent = _lessons(
        language, data, recipe, method if init is None else replace(method, robustness=None), streams, following
    )
    if init is None:
        method = replace(method, proximal=None, turns=None)
    own = None if method.turns is None else _own_turns(language, method, recipe, streams)
    trained, notes = _learn(lessons, descent, architecture.name, recipe, streams, method, progress, own)
    language.train(False)
    seconds = time.perf_counter() - started
    return dumped(language, architecture, data.schema, {**trained.notes(recipe, seconds), **notes})


def _lessons(
    language: Language,
    data: Dataset,
    recipe: Recipe,
    method: Method,
    streams: Streams,
    following: npt.NDArray[np.float32] | None,
) -> tuple[Lessons | PreferenceLessons, Descent]:
    """What is learnt, and how its loss falls."""
    if recipe.objective == "dpo":
        if following is not None:
            raise NotAssessable("distributions of what follows cannot be learnt from pairs of answers (objective: dpo)")
        if method.robustness is not None:
            raise NotAssessable("this defence aligns a model by likelihood, and this one learns from preferences")
        pairs = preference_lessons(language, all_pairs(data.x), recipe.beta, recipe.label_smoothing)
        return pairs, pairs
    tokens = _read(language, data, following)
    too_long(tokens, language.context)
    lessons = Lessons(language, tokens, recipe.label_smoothing, following)
    if method.robustness is None:
        return lessons, lessons
    return lessons, robust(method.robustness, lessons, data, streams.numpy("harm"))


def _read(language: Language, data: Dataset, following: npt.NDArray[np.float32] | None) -> list[Tokens]:
    """The records; those with a known distribution as prompts, with a place behind them that counts alone."""
    codec, records = language.codec, read(data.x)
    if following is None:
        return [codec.tokens(record) for record in records]
    if following.shape[1] != codec.size:
        raise NotAssessable(
            f"the answers are over {following.shape[1]} tokens and the student's vocabulary has {codec.size}, so that "
            "only text can be learnt from (answers: text)"
        )
    prompts = [codec.prompt(record) for record in records]
    places = [Tokens((*ids, codec.pad), (*(False for _ in ids), True)) for ids in prompts]
    known = np.isfinite(following[:, 0])
    return [places[i] if known[i] else codec.tokens(record) for i, record in enumerate(records)]


def _own_turns(language: Language, method: Method, recipe: Recipe, streams: Streams) -> OwnTurns:
    """The own records that the model can read, by turns with what is offered."""
    assert method.turns is not None
    if method.privacy is not None:
        raise NotAssessable("turns with own records are not private; leave the privacy or the turns out")
    tokens = [one for one in _read(language, method.turns.own, None) if len(one.ids) <= language.context]
    if not tokens:
        raise NotAssessable(f"no own record fits the model's {language.context} tokens, so that there are no own turns")
    lessons = Lessons(language, tokens, recipe.label_smoothing)
    return OwnTurns(lessons, method.turns, again_and_again(len(tokens), recipe.batch_size, streams.numpy("own-turns")))


@dataclass(frozen=True)
class _Steps:
    """How the gradient of a batch comes about.

    Attributes:
        lessons: what is learnt.
        learning: the weights.
        descent: of the loss.
        private: DP-SGD in its place.
        proximal: pull towards ``start``.
        start: the weights that training goes on from, where they pull; of turns, those that the last one ended with.
    """

    lessons: Lessons | PreferenceLessons
    learning: list[torch.nn.Parameter]
    descent: Descent
    private: Private | None
    proximal: float
    start: list[torch.Tensor]

    def descend(self, rows: list[int], sums: Sums) -> None:
        """Fill the gradients."""
        if self.private is None:
            # Robust steps, and a preference at the start, differ by less than what rounding adds.
            plain = isinstance(self.lessons, Lessons) and self.descent is self.lessons
            rounded = self.lessons.language.rounds and plain
            with torch.autocast(self.lessons.language.device.type, torch.bfloat16, enabled=rounded):
                self.descent.descend(rows, sums)
            torch.nn.utils.clip_grad_norm_(self.learning, LARGEST_NORM)
        else:
            self.private.descend(self.lessons, rows, self.learning, sums)
        self.pull()

    def pull(self) -> None:
        """Add the pull to the gradients."""
        # Behind the clipping, which would otherwise shrink the data's part as the weights move away.
        for p, before in zip(self.learning, self.start, strict=False):
            pull = self.proximal * (p.detach() - before)
            p.grad = pull if p.grad is None else p.grad + pull

    def turn(self, own: OwnTurns, optimizer: torch.optim.Optimizer) -> None:
        """A turn on own records, near where the turn on offers ended; the next of those starts from its end."""
        self._anchor()
        for _ in range(own.turns.own_steps):
            optimizer.zero_grad()
            own.lessons.descend(next(own.order), Sums())
            torch.nn.utils.clip_grad_norm_(self.learning, LARGEST_NORM)
            self.pull()
            optimizer.step()
        self._anchor()

    def _anchor(self) -> None:
        with torch.no_grad():
            for before, p in zip(self.start, self.learning, strict=False):
                before.copy_(p)


def _learn(
    lessons: Lessons | PreferenceLessons,
    descent: Descent,
    name: str,
    recipe: Recipe,
    streams: Streams,
    method: Method,
    report: Report | None,
    own: OwnTurns | None,
) -> tuple[Trained, dict[str, Any]]:
    language, n = lessons.language, len(lessons.tokens)
    language.train(True)
    learning = list(language.learning().values())
    optimizer = optimiser(learning, recipe, language.device)
    per_epoch = len(bounds(n, recipe.batch_size))
    steps, step, sums, notes = recipe.epochs * per_epoch, 0, Sums(), dict[str, Any]()
    private: Private | None = None
    if method.privacy is not None:
        bound, deviation, notes = private_of(method.privacy, n, per_epoch, steps)
        private = Private(bound, deviation, n / per_epoch, torch.Generator().manual_seed(streams.integer("augment")))
    start = [] if method.proximal is None else [p.detach().clone() for p in learning]
    ours = _Steps(lessons, learning, descent, private, method.proximal or 0.0, start)
    for number, today in enumerate(batches(streams.numpy("order"), np.arange(n), recipe, private is not None)):
        sums = Sums()
        for rows in today:
            set_rate(optimizer, learning_rate(recipe.learning_rate, step, steps))
            optimizer.zero_grad()
            ours.descend([int(row) for row in rows], sums)
            optimizer.step()
            step += 1
            if step % TIDIED == 0:
                give_back()
            if own is not None and (step % own.turns.offered_steps == 0 or step == steps):
                ours.turn(own, optimizer)
        if not math.isfinite(sums.loss):
            raise Diverged(name, recipe, number)
        if report is not None:
            report((number + 1) / recipe.epochs)
    count = max(1, sums.count)
    return Trained(sums.loss / count, sums.right / count, step), notes
