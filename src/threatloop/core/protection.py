"""Protections: what a data owner does to his records, how he recognises them, and the gate that asks him."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import PrivateAttr

from threatloop.core.access import Ledger
from threatloop.core.assets import Dataset
from threatloop.core.defence import Defence
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.service import Responder


class Protection(Defence):
    """A data-stage defence: the owner changes his records under a key before anyone else gets them.

    The scheme is public, parameters included; only the key is secret.
    """

    @abstractmethod
    def protect(self, data: Dataset, key: bytes) -> Dataset:
        """The protected records: same schema, number, order and ids. Deterministic in data and key.

        Raises:
            NotAssessable: records of this modality or size cannot be protected so.
        """


@dataclass(frozen=True, eq=False)
class Detection:
    """Evidence that records carry a key's mark. All z are about N(0, 1) and all p uniform where they do not.

    Attributes:
        z_set, p_set: evidence of all records together.
        p_per_record: (n,) evidence of every single record (one-sided p).
        bit_accuracy: share of the payload's bits that were read right; about .5 without a mark. None: it has none.
    """

    z_set: float
    p_set: float
    p_per_record: npt.NDArray[np.float64] = field(repr=False)
    bit_accuracy: float | None = None

    def detected(self, false_positive_rate: float = 0.01) -> bool:
        """Whether the set counts as marked at this false-positive rate, in (0, 1)."""
        return self.p_set <= false_positive_rate


class Marker(Protection):
    """A protection that leaves the records usable and lets their owner recognise them."""

    @abstractmethod
    def detect(self, data: Dataset, key: bytes, reference: Dataset) -> Detection:
        """Evidence of the key's mark in the data; at least one record.

        Args:
            data: records of unknown origin.
            key: the owner's.
            reference: clean records of the owner's, as they were before `protect`.
        """

    def detect_under(self, data: Dataset, keys: Sequence[bytes], reference: Dataset) -> list[Detection]:
        """`detect` under each of these keys; markers override it where reading the records anew costs time."""
        return [self.detect(data, key, reference) for key in keys]


class WrittenMark(Marker):
    """A mark in what the owner's model writes: his records are written anew, and read in the tokens of that model.

    The plan gives him a model that has seen nothing but his own records; nobody else gets the protection with it.
    """

    _writer: Responder | None = PrivateAttr(None)

    def written_by(self, writer: Responder) -> Self:
        """The same protection with the model that its owner writes with."""
        found = self.model_copy()
        found._writer = writer
        return found

    @property
    def writer(self) -> Responder:
        """The owner's model.

        Raises:
            NotAssessable: who asks is not the owner.
        """
        if self._writer is None:
            raise NotAssessable("this mark is in what a model writes, and only its owner holds that model")
        return self._writer


@dataclass(frozen=True)
class Structure:
    """What is public of an encoding beside its parameters' names: what its key acts on.

    Attributes:
        side: of a block in pixels; 1 where the key acts on single pixels.
        moved: ``pixels`` inside each block, alike in all blocks; whole ``blocks``, rotated and flipped; or nothing.
        halves: elements are half bytes.
        colours: channels are shuffled.
        per_image: every record has a key of its own.
        mixed: records that are blended into one; 1 where none are.
    """

    side: int = 1
    moved: Literal["pixels", "blocks", ""] = ""
    halves: bool = False
    colours: bool = False
    per_image: bool = False
    mixed: int = 1


class Encoding(Protection):
    """A protection that hides what records show and that its key holder can take off again."""

    @abstractmethod
    def open(self, data: Dataset, key: bytes) -> Dataset:
        """What was protected under this key; exact for 8-bit records unless the class says otherwise."""

    @abstractmethod
    def structure(self) -> Structure:
        """What anyone knows of the scheme."""


@dataclass(frozen=True)
class GateDecision:
    """An ingest gate's answer about one contribution.

    Attributes:
        accepted: whether the contribution may be trained on.
        p_value: probability of evidence this strong if the contribution carried no mark.
        reason: one line for the report.
    """

    accepted: bool
    p_value: float
    reason: str


@dataclass(frozen=True)
class Registration:
    """What a data owner deposits with a gate so that his mark can be recognised.

    Attributes:
        key: the watermark key.
        reference: clean records of his, for the detector's host statistics.
        marker: how he marks.
    """

    key: bytes = field(repr=False)
    reference: Dataset = field(repr=False)
    marker: Marker

    def detect(self, data: Dataset) -> Detection:
        """Evidence of this owner's mark in the data."""
        return self.marker.detect(data, self.key, self.reference)


class Detector:
    """An owner's detector that answers anyone who shows it data: the attacker's `Resource.DETECTOR`.

    Args:
        owner: whose mark it looks for.
        ledger: counts every record that it is shown.
    """

    def __init__(self, owner: Registration, ledger: Ledger) -> None:
        self._owner, self._ledger = owner, ledger

    @property
    def left(self) -> int | None:
        """Records that may still be shown; None means no limit."""
        return self._ledger.left

    def detect(self, data: Dataset) -> Detection:
        """What the owner's detector says. Charges one query a record.

        Raises:
            BudgetExhausted: the limit would be passed.
        """
        self._ledger.charge(len(data))
        return self._owner.detect(data)


class IngestGate(Defence):
    """A data-stage defence that accepts or refuses a whole third-party contribution."""

    @abstractmethod
    def inspect(self, contribution: Dataset, registered: tuple[Registration, ...], streams: Streams) -> GateDecision:
        """Decide about one contribution.

        Args:
            contribution: the offered records.
            registered: the owners whose marks the gate knows.
            streams: the gate's own random streams.
        """
