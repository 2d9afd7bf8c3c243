"""Bases of serving defences: what stands between whoever asks and the model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.defence import Defence
from threatloop.core.digests import digest_array
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking

FEW = 16
"""Answers by which a model is told from others."""
Respond = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
"""Records of the schema (n, ...) to log-probabilities (n, classes)."""


class Serving(Defence):
    """A serving-stage defence: stands between whoever asks and the model."""

    @property
    def keeps_labels(self) -> bool:
        """Whether the most likely class is always that of the model itself."""
        return False

    @abstractmethod
    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
        """What answers in front of ``respond``.

        Args:
            respond: the model, or the defence behind this one.
            own: the defender's own records, for thresholds and filters.
            streams: the defence's own.
        """

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:  # noqa: ARG002
        """What writes in front of ``speaking``, where the model writes text; as it is, unless a defence says otherwise.

        Args:
            speaking: the model, or the defence behind this one.
            scores: the model's own answers, which its server has whatever it shows.
            own: as for `bind`.
            streams: as for `bind`.
        """
        return speaking


class TextFilter(Serving):
    """A serving-stage defence of what is written. The scores of texts that are handed over whole stay as they are."""

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        """The model as it was."""
        return respond

    @abstractmethod
    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:
        """See `Serving.voiced`."""


@dataclass(frozen=True)
class Reworded:
    """A model that is asked something else in place of each prompt.

    Attributes:
        inner: the model.
        change: prompts (n, ...) to as many others.
    """

    inner: Speaking
    change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `Speaking`."""
        return self.inner.replies(self.change(x), tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """See `Speaking`."""
        return self.inner.next_log_probs(self.change(x), bias)


def draws_of(respond: Respond, own: Dataset, streams: Streams) -> np.random.Generator:
    """Draws for answers at random: models that are served from the same streams have draws of their own.

    Shadow models with the same draws would look more alike than the victim's answers do.
    """
    return streams.numpy(f"draws-{digest_array(respond(own.x[:FEW]))}")


class InputFilter(Serving):
    """A serving-stage defence that changes what is asked, and not the answer."""

    @abstractmethod
    def cleaned(
        self, own: Dataset, streams: Streams, draws: np.random.Generator
    ) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
        """Records (n, ...) to as many that are asked in their place.

        What it returns may have a method ``differentiable``, the same from encoded tensors to encoded tensors, for
        whoever knows the filter and follows gradients; where there is none, they pass by as if nothing were changed.

        Args:
            own: as for `bind`.
            streams: as for `bind`; what is learnt from ``own`` is drawn from these alone.
            draws: of what is drawn anew for every question.
        """

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
        """The model, asked about cleaned records."""
        clean = self.cleaned(own, streams, draws_of(respond, own, streams))
        return lambda x: respond(clean(x))

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:
        """The model, asked to go on with cleaned records."""
        return Reworded(speaking, self.cleaned(own, streams, draws_of(scores, own, streams.child("voice"))))
