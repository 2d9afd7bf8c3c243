"""Defences that say something: of a model, of its queries, of where a model comes from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import Defence, TrainingDefence
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training


@dataclass(frozen=True)
class Inspected:
    """What an inspection says of a model.

    Attributes:
        flagged: the model is taken for one that carries a trigger.
        score: the evidence; larger is more suspicious, in units that the class states.
    """

    flagged: bool
    score: float


class Inspection(Defence):
    """A defence that looks for a backdoor in a model, or for refusals that are gone, and changes nothing."""

    @abstractmethod
    def inspect(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Inspected:
        """Whether the model carries a trigger; arguments as for `Repair.repair`."""

    def inspect_tuned(
        self,
        model: Model,
        offered: Dataset | None,  # noqa: ARG002
        own: Dataset,
        training: Training,
        streams: Streams,
        before: Model | None = None,  # noqa: ARG002
    ) -> Inspected:
        """`inspect`, for those who look at what was made of a model by tuning.

        Args:
            model: what came out.
            offered: what third parties offered; None where nobody knows.
            own: the defender's own records.
            training: the defender's, without defences.
            streams: the defence's own.
            before: the model that was tuned; None where it was trained from nothing.
        """
        return self.inspect(model, own, training, streams)


class Monitor(Defence):
    """A monitor-stage defence: tells an attack from its queries. It changes no answer."""

    @abstractmethod
    def flagged_after(self, queries: npt.NDArray[Any], respond: Respond, own: Dataset, streams: Streams) -> int | None:
        """After how many queries this client is flagged; None if never.

        The threshold is set on benign clients drawn from ``own``, at the rate of benign clients flagged that the
        configuration states, for clients that ask as often as this one.

        Args:
            queries: records of the schema in the order in which the client asked them, (n, ...).
            respond: the served model.
            own: the defender's own records.
            streams: the defence's own, the same for every client.
        """

    def flags(
        self, clients: Sequence[npt.NDArray[Any]], respond: Respond, own: Dataset, streams: Streams
    ) -> list[int | None]:
        """`flagged_after` of many clients; for monitors that can share work between them."""
        return [self.flagged_after(queries, respond, own, streams) for queries in clients]

    def usual(self, n: int, rng: np.random.Generator) -> int:  # noqa: ARG002
        """How much a benign client asks who is to be set against one that asked n."""
        return n


@dataclass(frozen=True)
class Claim:
    """What the verification of ownership says of a suspect.

    Attributes:
        p_value: probability of evidence this strong if the suspect owes nothing to the owner's model or data.
        statistic: the evidence.
    """

    p_value: float
    statistic: float


class Verification(TrainingDefence):
    """A verification-stage defence: lets the owner of a model or of data prove where another model comes from.

    What `applied` plants is drawn from ``streams.of_seed().child("proof")`` of the training's streams; `claim` is
    given the same.
    """

    def applied(self, training: Training) -> Training:
        """Training that plants the mark; unchanged where nothing is planted."""
        return training

    @abstractmethod
    def claim(self, suspect: Respond, own: Dataset, outside: Dataset, training: Training, streams: Streams) -> Claim:
        """Whether the suspect descends from the owner's model or data.

        Args:
            suspect: answers to anyone.
            own: the owner's records, which his model was trained on.
            outside: records of the same kind that nobody trained on.
            training: the owner's, without defences.
            streams: those that the mark was drawn from.
        """
