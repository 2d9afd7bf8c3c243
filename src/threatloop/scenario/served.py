"""The model behind its serving defences, for whoever asks it."""
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import Defence
from threatloop.core.seeds import Streams
from threatloop.core.service import Responder, Speaking, voice_of
from threatloop.core.serving import Respond, Serving

D = TypeVar("D", bound=Defence)


def of_kind(defences: Sequence[Defence], kind: type[D]) -> list[D]:
    """The defences of one kind, in order."""
    return [defence for defence in defences if isinstance(defence, kind)]


@dataclass(frozen=True)
class Served:
    """A responder behind serving defences. Who holds the gradients or the weights holds the network without them.

    Attributes:
        inner: the model.
        respond: the model with every defence in front of it.
        inner_labels: the same as far as the outermost defence that may change labels.
        voice: what writes, with every defence in front of it; None where the model writes nothing.
    """

    inner: Responder
    respond: Respond
    inner_labels: Respond
    voice: Speaking | None = None

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Log-probabilities as the defences leave them."""
        return self.respond(x)

    def labelled(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Answers with the labels of `log_probs`, without what is only done to scores."""
        return self.inner_labels(x)

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """What is written, as the defences leave it."""
        return self._voice.replies(x, tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """Log-probabilities of the next token, as the defences leave them."""
        return self._voice.next_log_probs(x, bias)

    @property
    def _voice(self) -> Speaking:
        return self.voice or voice_of(self.inner)

    def differentiable(self) -> Any:
        """The network's own."""
        return self.inner.differentiable()

    def model(self) -> Model:
        """The network's own."""
        return self.inner.model()


def served(responder: Responder, defences: Sequence[Defence], own: Dataset, streams: Streams) -> Responder:
    """The responder behind the serving defences among these; the first named is asked first.

    Args:
        responder: the bare model.
        defences: of any stage.
        own: records that the server sets thresholds by.
        streams: of whoever serves.
    """
    respond: Respond = responder.log_probs
    labelled = respond
    voice: Speaking | None = responder if isinstance(responder, Speaking) else None
    standing = of_kind(defences, Serving)
    for place, defence in reversed(list(enumerate(standing))):
        draws = streams.child(serving_role(place, len(standing)))
        respond = defence.bind(respond, own, draws)
        if voice is not None:
            voice = defence.voiced(voice, responder.log_probs, own, draws)
        labelled = labelled if defence.keeps_labels else respond
    return Served(responder, respond, labelled, voice) if standing else responder


def serving_role(place: int, standing: int) -> str:
    """The child of the server's streams for the defence at this place, counted from the model outwards: what stands in
    front of others does not change their draws."""
    return f"serve-{standing - 1 - place}"


def in_the_way(defences: Sequence[Defence], *, labels: bool, informed: bool) -> list[Defence]:
    """The defences without serving ones in front of all others that change nothing for this party.

    Args:
        defences: of any stage.
        labels: the party reads labels alone, which stay where they were.
        informed: it knows the defences, and undoes what can be undone.
    """
    left = list(defences)
    while standing := of_kind(left, Serving):
        first = standing[0]
        if not ((labels and first.keeps_labels) or (informed and first.info.reversible)):
            break
        left.remove(first)
    return left
