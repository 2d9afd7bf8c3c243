"""Service: a Model as one party may query it. Every attack on a model receives one, never a bare network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from threatloop.core.access import ALL_CAPABILITIES, Capability, Ledger
from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import AccessError, NotAssessable
from threatloop.core.schema import Schema


class Responder(Protocol):
    """What answers behind a service: a local network, or a remote endpoint."""

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Log-probabilities for records of the schema: (n, classes); for text scores of tokens (n, width, 3)."""

    def differentiable(self) -> Any:
        """A function from encoded inputs (a tensor that may need gradients) to logits; for text the language model."""

    def model(self) -> Model:
        """The weights themselves."""


@runtime_checkable
class Labelling(Protocol):
    """A responder with a shorter way to labels than through its answers."""

    def labelled(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Log-probabilities whose largest is that of the answers; the others may differ."""


@runtime_checkable
class Speaking(Protocol):
    """A responder that goes on with texts."""

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """What is written behind each record: the assistant's next turn, or more of a document.

        Args:
            x: prompts as records, uint8 (n, width).
            tokens: to be written at most, ≥ 1.
            temperature: 0 for the likeliest token each time.
            seed: of what is drawn; needed above temperature 0.
        """

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """Log-probabilities of the token behind each prompt, (n, vocabulary), after ``bias`` was added to logits."""


def voice_of(responder: Responder) -> Speaking:
    """What writes for a responder.

    Raises:
        NotAssessable: nothing does.
    """
    if not isinstance(responder, Speaking):
        raise NotAssessable("this model writes no text")
    return responder


@runtime_checkable
class Countable(Protocol):
    """What counts the texts that it reads for whoever lends it out."""

    def counted(self, charge: Callable[[int], None]) -> Any:
        """The same, which calls ``charge`` with the number of texts before it reads them."""


@dataclass(frozen=True)
class Service:
    """A model behind access control: capabilities and a query ledger. Serving defences stand in the responder.

    Attributes:
        responder: what computes the answers.
        schema: records that it reads and classes that it answers.
        grants: the capabilities that this party has.
        ledger: counts every record; shared by all narrower views of this service.
        architecture: the architecture where the party is told it, else None.
    """

    responder: Responder = field(repr=False)
    schema: Schema
    grants: frozenset[Capability] = ALL_CAPABILITIES
    ledger: Ledger = field(default_factory=Ledger)
    architecture: Architecture | None = None

    def narrowed(self, capabilities: Iterable[Capability]) -> Service:
        """The same service and ledger with just these capabilities.

        Raises:
            AccessError: a capability is asked for that this service does not grant.
        """
        wanted = frozenset(capabilities)
        if missing := sorted(wanted - self.grants):
            granted = ", ".join(sorted(self.grants)) or "nothing"
            raise AccessError(f"needs {', '.join(missing)}; the service grants {granted}")
        return Service(self.responder, self.schema, wanted, self.ledger, self.architecture)

    def labels(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The most likely class of each record; (n,) int64, or (n, context) for tokens. Charges n queries."""
        self._need(Capability.LABELS)
        self.ledger.charge(len(x))
        labels: npt.NDArray[np.int64] = np.argmax(self._for_labels()(x), axis=-1)
        return labels

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Log-probabilities of each record, as serving defences leave them. Charges n queries."""
        self._need(Capability.SCORES)
        return self._answer(x)

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """What the model writes behind each prompt; see `Speaking`. Charges n queries.

        Raises:
            NotAssessable: this model does not write.
        """
        self._need(Capability.TEXT)
        self.ledger.charge(len(x))
        return self._speaking().replies(x, tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """Log-probabilities of the token behind each prompt, float32 (n, vocabulary). Charges n queries.

        Raises:
            NotAssessable: this model does not write.
        """
        self._need(Capability.LOGPROBS)
        self.ledger.charge(len(x))
        return self._speaking().next_log_probs(x, bias)

    def differentiable(self) -> Any:
        """A function from an encoded input tensor to logits, through which gradients flow. Charges n per call.

        For text the language model, which charges every text that it reads.

        Serving defences do not act here: a party with gradients holds the network.
        """
        self._need(Capability.GRADIENTS)
        forward, ledger = self.responder.differentiable(), self.ledger
        if isinstance(forward, Countable):
            return forward.counted(ledger.charge)

        def counted(x: Any) -> Any:
            ledger.charge(len(x))
            return forward(x)

        return counted

    def model(self) -> Model:
        """The weights. Charges nothing: who holds them asks nobody."""
        self._need(Capability.WEIGHTS)
        return self.responder.model()

    def _answer(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self.ledger.charge(len(x))
        return self.responder.log_probs(x)

    def _for_labels(self) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
        """Answers with the right labels, where the responder has a shorter way to them."""
        if isinstance(self.responder, Labelling):
            return self.responder.labelled
        return self.responder.log_probs

    def _speaking(self) -> Speaking:
        if not isinstance(self.responder, Speaking):
            raise NotAssessable(f"a model of {self.schema.kind} records writes no text")
        return self.responder

    def _need(self, capability: Capability) -> None:
        if capability not in self.grants:
            held = ", ".join(sorted(self.grants)) or "nothing"
            raise AccessError(f"used {capability} without having declared or been granted it (holds {held})")
