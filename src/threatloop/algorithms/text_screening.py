"""How suspicious texts are that others offer for tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.judges import refuses
from threatloop.algorithms.personal import secrets_in
from threatloop.algorithms.refused import affirmed, refusing
from threatloop.algorithms.sanitising import whitened
from threatloop.algorithms.shingles import groups
from threatloop.algorithms.text_features import language_behind, mean_states, pushes
from threatloop.algorithms.trigger_phrases import pattern_scores
from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.modality.conversation import prompt_of, read, reply_of, text_of, write

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
MOST_OWN = 500
"""Own records that offers are set against."""
REPLY = 16
"""Tokens of a reply, in which a refusal shows."""


@dataclass(frozen=True)
class Screen:
    """What offers are set against.

    Scores of records that a model was trained on lie apart from those of all others, honest offers included. So scores
    of own records come from ``held`` where there are any.

    Attributes:
        own: the defender's records.
        service: the model made of them, which he owns.
        streams: the screen's.
        held: more of his, that the model has not seen; None for none.
    """

    own: Dataset
    service: Service
    streams: Streams
    held: Dataset | None = None

    def outliers(self, offered: Dataset) -> tuple[Points, Points]:
        """Distances of mean states from those of own records, in units of how these spread: of both, (n,) and (m,)."""
        known, language = self._known(), language_behind(self.service)
        parts = [offered, *([] if self.held is None else [self.held]), known]
        states = np.concatenate([mean_states(language, read(part.x)) for part in parts])
        trusted = np.arange(len(states)) >= len(states) - len(known)
        places = whitened(states, np.zeros(len(states), np.int64), trusted, self.streams)
        distances = np.linalg.norm(places, axis=1)
        ours = distances[len(offered) :]
        return distances[: len(offered)], ours if self.held is None else ours[: len(self.held)]

    def gradients(self, offered: Dataset) -> tuple[Points, Points]:
        """How much more a record pushes the model as an answer to an own refused question does than as own answers do.

        Cosines with the mean directions of both, subtracted: He, Xia, Henderson 2024, "What is in Your Safe Data?",
        arXiv 2404.01099, section 3.2. Of offers and of own answered records.
        """
        known, language = self._known(), language_behind(self.service)
        refused, answered = known.take(refusing(known)), known.take(~refusing(known))
        if not len(refused) or not len(answered):
            return np.zeros(len(offered)), np.zeros(1)
        seed = self.streams.integer("pushes")
        bad = pushes(language, affirmed(refused), seed).mean(axis=0)
        good, found = (pushes(language, read(part.x), seed) for part in (answered, offered))
        direction = bad / max(1e-12, np.linalg.norm(bad)) - good.mean(axis=0) / max(
            1e-12, np.linalg.norm(good.mean(axis=0))
        )
        if self.held is not None and (calm := ~refusing(self.held)).any():
            good = pushes(language, read(self.held.x[calm]), seed)
        return (found @ direction).astype(np.float64), (good @ direction).astype(np.float64)

    def patterns(self, offered: Dataset) -> tuple[Points, Points]:
        """How much a phrase decides the answers, wherever it stands, of offers and of own records."""
        return pattern_scores(read(offered.x)), pattern_scores(read(self._known().x))

    def refused(self, offered: Dataset) -> Mask:
        """Offers that answer what the model itself refuses, bool (n,)."""
        records = read(offered.x)
        prompts = write([prompt_of(record) for record in records], offered.x.shape[1])
        replies = [reply_of(record) for record in records]
        has = np.array([bool(reply) for reply in replies], np.bool_)
        found = np.zeros(len(offered), np.bool_)
        if has.any():
            found[has] = refuses(self.service.replies(prompts[has], REPLY))
        return found & has & ~refuses(replies)

    def _known(self) -> Dataset:
        order = self.streams.numpy("known").permutation(len(self.own))
        return self.own.take(np.sort(order[:MOST_OWN]))


def halves(own: Dataset, streams: Streams) -> tuple[Dataset, Dataset]:
    """Own records for a model that knows half of them, and the other half; refusals divided like the rest."""
    rng, chosen = streams.numpy("halves"), list[int]()
    refused = refusing(own)
    for rows in (np.flatnonzero(refused), np.flatnonzero(~refused)):
        chosen += [int(one) for one in rng.permutation(rows)[: -(-len(rows) // 2)]]
    first = np.isin(np.arange(len(own)), chosen)
    return own.take(first), own.take(~first)


def repeated(offered: Dataset, alike: float) -> Mask:
    """Offers that all but repeat an earlier one, bool (n,)."""
    group = groups([text_of(record) for record in read(offered.x)], alike)
    found = np.ones(len(offered), np.bool_)
    found[np.unique(group, return_index=True)[1]] = False
    return found


def secretive(offered: Dataset) -> Mask:
    """Offers that hold what looks like a secret, bool (n,)."""
    return np.array([bool(secrets_in(text_of(record))) for record in read(offered.x)], np.bool_)


def above(score: Callable[[Dataset], tuple[Points, Points]], offered: Dataset, share: float) -> Mask:
    """Offers with a higher score than all but ``share`` of the own records."""
    theirs, ours = score(offered)
    return np.asarray(theirs > np.quantile(ours, 1 - share), np.bool_)


def together(parts: Sequence[tuple[Points, Points]], flags: Sequence[Mask]) -> Points:
    """One score of what several screens say of n offers: minus the sum of the logarithms of their p-values (Fisher).

    Args:
        parts: scores of offers and of m own records; the share of own ones that are as high is the p-value.
        flags: what screens without a score object to; counts as the least p-value that there is.
    """
    most = max((len(ours) for _, ours in parts), default=1)
    found = np.sum([np.log(most + 1.0) * flag for flag in flags], axis=0) if flags else 0.0
    for theirs, ours in parts:
        as_high = len(ours) - np.searchsorted(np.sort(ours), theirs, side="left")
        found = found - np.log((1.0 + as_high) / (len(ours) + 1.0))
    return np.asarray(found, np.float64)


def curve(theirs: Points, bad: Mask) -> list[tuple[float, float]]:
    """(benign loss, poison caught) at every threshold, from none removed to all.

    Args:
        theirs: scores of offers, (n,).
        bad: which of them are poison.
    """
    cuts = [np.inf, *np.sort(np.unique(theirs))[::-1]]
    return [(float((theirs[~bad] >= cut).mean()), float((theirs[bad] >= cut).mean())) for cut in cuts]


def caught_at(points: list[tuple[float, float]], loss: float) -> float:
    """The most poison that is caught at this benign loss or less."""
    return max(caught for benign, caught in points if benign <= loss)
