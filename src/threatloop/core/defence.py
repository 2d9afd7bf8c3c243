"""Defences: same shape as attacks, grouped by the lifecycle stage in which they act."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams


class Stage(StrEnum):
    """Where in the victim's lifecycle a defence acts."""

    DATA = "data"
    TRAINING = "training"
    MODEL = "model"
    SERVING = "serving"
    MONITOR = "monitor"
    VERIFICATION = "verification"


@dataclass(frozen=True)
class DefenceInfo:
    """What is true of every configuration of one defence class."""

    title: str
    stage: Stage
    modalities: frozenset[str]
    paper: str
    atlas: tuple[str, ...] = ()


class Defence(BaseModel):
    """A frozen, validated configuration of a defence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    info: ClassVar[DefenceInfo]


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
    """

    key: bytes = field(repr=False)
    reference: Dataset = field(repr=False)


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
