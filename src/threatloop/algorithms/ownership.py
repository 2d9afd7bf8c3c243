"""Proofs of ownership: training that plants a secret mark, and p-values that hold whatever the suspect is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.detection import Claim
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.core.serving import Respond
from threatloop.core.training import Training

Plant = Callable[[Dataset, Streams], Dataset]
"""Records and the secret streams to marked records: the same ones in their order, and further ones behind them."""
Finish = Callable[[Model, Dataset, int, Training, Streams], Model]
"""A trained model, its marked records, how many of them were added behind the others, the plain training and the secret
streams to the marked model."""
PROOF = "proof"
"""Child of a seed's streams that marks are drawn from, as in `threatloop.scenario.lifecycle`."""


@dataclass(frozen=True)
class Planted:
    """Training on marked records. With soft targets it trains as before: who has those imitates another model.

    Attributes:
        plain: without the mark.
        plant: marks the records.
        finish: what is done to the trained model; None for nothing.
    """

    plain: Training
    plant: Plant
    finish: Finish | None = None

    @property
    def architecture(self) -> Architecture:
        return self.plain.architecture

    @property
    def recipe(self) -> Recipe:
        return self.plain.recipe

    def fit(
        self,
        data: Dataset,
        streams: Streams,
        *,
        soft_targets: npt.NDArray[np.float32] | None = None,
        architecture: Architecture | None = None,
        recipe: Recipe | None = None,
        init: Model | None = None,
    ) -> Model:
        """See `threatloop.core.training.Training.fit`."""
        given: dict[str, Any] = {"architecture": architecture, "recipe": recipe, "init": init}
        if soft_targets is not None:
            return self.plain.fit(data, streams, soft_targets=soft_targets, **given)
        marked = self.plant(data, secret(streams))
        return self._finished(self.plain.fit(marked, streams, **given), marked, len(marked) - len(data), streams)

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks``; all of one mark, since their streams are of one seed."""
        marked = self.plant(pool, secret(streams[0]))
        added = np.ones((len(masks), len(marked) - len(pool)), np.bool_)
        whole = np.concatenate([masks, added], axis=1)
        models = self.plain.fit_many(marked, whole, streams)
        count = len(marked) - len(pool)
        return [self._finished(m, marked.take(w), count, s) for m, w, s in zip(models, whole, streams, strict=True)]

    def _finished(self, model: Model, marked: Dataset, added: int, streams: Streams) -> Model:
        return model if self.finish is None else self.finish(model, marked, added, self.plain, secret(streams))

    def answers(self, models: Sequence[Model], data: Dataset) -> npt.NDArray[np.float32]:
        """Log-probabilities (K, n, ...) of every model on every record."""
        return self.plain.answers(models, data)

    def serve(self, model: Model) -> Service:
        """The model as a service that the caller owns with full access."""
        return self.plain.serve(model)

    def module(self, model: Model) -> Any:
        """The network, in eval mode."""
        return self.plain.module(model)

    def with_recipe(self, recipe: Recipe) -> Training:
        """The same marks in training by another recipe."""
        return replace(self, plain=self.plain.with_recipe(recipe))


def secret(streams: Streams) -> Streams:
    """What marks of this seed are drawn from."""
    return streams.of_seed().child(PROOF)


@dataclass(frozen=True)
class Lineup:
    """A secret among decoys that were drawn like it and never used.

    What any model of the kind answers to one secret or another is measured on ``references``, which never saw a mark,
    and taken out of what the suspect answers by a straight line over all secrets. True secret and decoys are treated
    alike, so the rank of the true one is an exact p-value for every suspect who does not know it.

    Attributes:
        decoys: how many; the smallest p-value is 1 / (decoys + 1).
        references: models.
    """

    decoys: int
    references: int

    def claim(
        self,
        react: Callable[[Respond, Streams], float],
        suspect: Respond,
        known: tuple[Dataset, Training],
        streams: Streams,
    ) -> Claim:
        """The rank of the suspect's reaction to the secret of ``streams``; ties count against the claim.

        Args:
            react: by how much a model reacts to the secret that is drawn from these streams.
            suspect: answers to anyone.
            known: the owner's records, and his training without defences; the references are made of them.
            streams: of the true secret.
        """
        own, training = known
        each = [streams.child(f"reference-{k}") for k in range(self.references)]
        models = training.fit_many(own, np.ones((self.references, len(own)), np.bool_), each)
        respond = [training.serve(model).log_probs for model in models]
        secrets = [streams, *(streams.child(f"decoy-{i}") for i in range(self.decoys))]
        usual = np.array([np.mean([react(one, secret) for one in respond]) for secret in secrets])
        found = np.array([react(suspect, secret) for secret in secrets])
        slope = np.cov(usual, found)[0, 1] / max(float(usual.var(ddof=1)), 1e-12)
        beyond = found - slope * usual
        return Claim(float((beyond >= beyond[0]).mean()), float(beyond[0] - np.median(beyond)))


def matches_p(matches: int, n: int, classes: int) -> float:
    """Probability that so many or more of n labels, drawn evenly and in secret, are what a suspect answers."""
    from scipy.stats import binom

    return float(binom.sf(matches - 1, n, 1 / classes))


def some(data: Dataset, n: int, rng: np.random.Generator, what: str) -> Dataset:
    """At most n of the records, in random order.

    Raises:
        NotAssessable: there are none.
    """
    if not len(data):
        raise NotAssessable(f"there are no {what}")
    return data.take(rng.permutation(len(data))[:n])
