"""A retrieval store as whoever broke into it has it: vectors of documents, and the encoder, as a black box."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from threatloop.core.access import Ledger
from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving

Vectors = npt.NDArray[np.float32]
Encoder = Callable[[Sequence[str]], Vectors]
"""Texts to unit vectors, float32 (n, width)."""


@dataclass(frozen=True)
class VectorStore:
    """What was taken, and whom the taker may ask.

    Attributes:
        vectors: of the documents as they are stored, float32 (n, width), unit rows.
        ledger: counts every text that is embedded.
    """

    vectors: Vectors
    ledger: Ledger
    _encoder: Encoder = field(repr=False)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, float32 (m, width), unit rows; as the encoder makes them, not as they would be stored.

        Raises:
            BudgetExhausted: the limit would be passed; nothing is embedded then.
        """
        self.ledger.charge(len(texts))
        return self._encoder(texts)


class StoreDefence(Serving):
    """A defence of what lies in a store. Answers of the model stay as they are."""

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        """The model as it was."""
        return respond

    @abstractmethod
    def stored(self, vectors: Vectors, streams: Streams) -> Vectors:
        """What lies in the store in place of unit vectors (n, width), of the same shape."""
