"""Screening of what third parties offer for tuning a language model."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Sanitiser, Stage
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

Check = Literal["duplicates", "secrets", "outliers", "gradients", "refusals", "patterns"]
Mask = npt.NDArray[np.bool_]
FEWEST = 20
"""Own records, below which nothing can be set against them."""


class TuningScreen(Sanitiser):
    """Removes offered texts that any of these checks objects to.

    - ``duplicates``: it all but repeats another offer; the first stays.
    - ``secrets``: it holds what looks like personal data, a key or a long number, such as a canary.
    - ``outliers``: its mean state lies further from those of own records than nearly all of these do.
    - ``gradients``: it pushes the last layer more as answers to own refused questions do than nearly all own answers.
    - ``refusals``: it answers what the model refuses when it is asked.
    - ``patterns``: a phrase in it brings the same answer to different questions, in three offers at least, more than
      phrases do in nearly all own records: a trigger's. Offers of a classification look like that too; screen those
      without it. Answers that are not the same to the letter pass.

    ``refusals`` asks the model that is to be tuned; where there is none, one that is trained on the own records for
    this. ``outliers`` and ``gradients`` look at one that is trained on half of the own records, and their thresholds
    are set on the other half: a model knows what it was trained on too well, and next to it all offers look strange.
    Offers on other subjects are still lost more often than ``benign_loss``, the more the further they are from own
    ones. Where nothing is offered nothing is removed.

    Costs a training on half of the own records, a reading of every offer, a reply to each, and honest offers. Harmless
    tuning that makes a model forget its refusals passes, and so does what is answered in a language or an encoding that
    the model does not refuse yet.

    Xia et al. 2024, "LESS", arXiv 2402.04333, section 3; He, Xia, Henderson 2024, "What is in Your Safe Data?", arXiv
    2404.01099, section 3; Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better", arXiv
    2107.06499.

    Attributes:
        checks: which are made.
        alike: overlap of five-character runs from which on two texts repeat each other, in (0, 1].
        benign_loss: share of own records that ``outliers``, ``gradients`` and ``patterns`` would remove, each, in
            (0, .5].
        held_out: whether that other model is trained; without, thresholds are set on what the model knows.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Tuning-data screening",
        stage=Stage.DATA,
        modalities=frozenset({"text"}),
        paper="Xia et al. 2024, LESS, arXiv 2402.04333, section 3; He, Xia, Henderson 2024, What is in Your Safe "
        "Data?, arXiv 2404.01099, section 3",
        atlas=("AML.M0007",),
    )

    checks: Annotated[tuple[Check, ...], Field(min_length=1)] = (
        "duplicates",
        "secrets",
        "outliers",
        "gradients",
        "refusals",
        "patterns",
    )
    alike: float = Field(default=0.8, gt=0, le=1)
    benign_loss: float = Field(default=0.01, gt=0, le=0.5)
    held_out: bool = True

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """A check that is named twice."""
        twice = sorted({one for one in self.checks if self.checks.count(one) > 1})
        return [f"tuning_screen: checks names {', '.join(twice)} more than once; keep one"] if twice else []

    def keep(self, data: Dataset, trusted: Mask, training: Training, streams: Streams) -> Mask:
        """See `Sanitiser.keep`."""
        return self.keep_beside(None, data, trusted, training, streams)

    def keep_beside(
        self, start: Model | None, data: Dataset, trusted: Mask, training: Training, streams: Streams
    ) -> Mask:
        """See `Sanitiser.keep_beside`."""
        if trusted.all():
            return np.ones_like(trusted)
        kept = trusted.copy()
        kept[~trusted] = ~np.any(self._found(start, data, trusted, training, streams), axis=0)
        if not kept.any():  # a victim trains on something
            kept[0] = True
        return kept

    def _found(
        self, start: Model | None, data: Dataset, trusted: Mask, training: Training, streams: Streams
    ) -> list[Mask]:
        """What each check objects to, among the offers."""
        from threatloop.algorithms.text_screening import Screen, above, halves, repeated, secretive

        own, offered, found = data.take(trusted), data.take(~trusted), list[Mask]()
        if "duplicates" in self.checks:
            found.append(repeated(offered, self.alike))
        if "secrets" in self.checks:
            found.append(secretive(offered))
        wanted = [one for one in self.checks if one not in ("duplicates", "secrets")]
        if len(own) < FEWEST or not wanted:
            return [np.zeros(len(offered), np.bool_), *found]
        screen = Screen(own, training.serve(start or training.fit(own, streams.child("start"))), streams)
        apart = screen
        if self.held_out and {"outliers", "gradients"} & set(wanted):
            known, held = halves(own, streams)
            apart = Screen(known, training.serve(training.fit(known, streams.child("half"))), streams, held)
        if "outliers" in wanted:
            found.append(above(apart.outliers, offered, self.benign_loss))
        if "gradients" in wanted:
            found.append(above(apart.gradients, offered, self.benign_loss))
        if "patterns" in wanted:
            found.append(above(screen.patterns, offered, self.benign_loss))
        if "refusals" in wanted:
            found.append(screen.refused(offered))
        return found
