"""A model that is served behind secret system prompts, several deployments of it at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.filtered_replies import patiently, patiently_next
from threatloop.core.assets import Model
from threatloop.core.service import Labelling, Responder, voice_of
from threatloop.modality.conversation import Chat, Record, Turn, read

NAMED = re.compile(r"deployment (\d+)")


def addressed(chat: Chat, number: int) -> Chat:
    """The conversation with one deployment, as an address does in life: a first turn that the server replaces."""
    return (Turn("system", f"deployment {number}"), *chat)


@dataclass(frozen=True)
class Prompted:
    """A responder in which every conversation begins with its deployment's prompt.

    A first turn ``deployment 2`` picks the third prompt, and is not seen by the model; without one it is the first.
    Documents and scores of given texts are as the model has them.

    Attributes:
        inner: the model with its defences.
        prompts: one for each deployment, at least one.
    """

    inner: Responder
    prompts: tuple[str, ...]

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `threatloop.core.service.Speaking`."""
        return patiently(voice_of(self.inner), self._behind(x), tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """See `threatloop.core.service.Speaking`."""
        return patiently_next(voice_of(self.inner), self._behind(x), bias, x)

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """See `threatloop.core.service.Responder`."""
        return self.inner.log_probs(x)

    def labelled(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """See `threatloop.core.service.Labelling`."""
        return self.inner.labelled(x) if isinstance(self.inner, Labelling) else self.inner.log_probs(x)

    def differentiable(self) -> Any:
        """See `threatloop.core.service.Responder`."""
        return self.inner.differentiable()

    def model(self) -> Model:
        """See `threatloop.core.service.Responder`."""
        return self.inner.model()

    def _behind(self, x: npt.NDArray[Any]) -> list[Record]:
        return [one if isinstance(one, str) else self._with_prompt(one) for one in read(x)]

    def _with_prompt(self, chat: Chat) -> Chat:
        named = NAMED.fullmatch(chat[0].content) if chat and chat[0].role == "system" else None
        prompt = self.prompts[int(named[1]) % len(self.prompts) if named else 0]
        return (Turn("system", prompt), *(chat[1:] if named else chat))
