"""Defences: frozen configurations, grouped by the stage of the victim's lifecycle in which they act."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class Stage(StrEnum):
    """Where in the victim's lifecycle a defence acts."""

    DATA = "data"
    TRAINING = "training"
    MODEL = "model"
    SERVING = "serving"
    MONITOR = "monitor"
    VERIFICATION = "verification"


class Adaptation(StrEnum):
    """What an attacker who knows a defence does about it."""

    LIFECYCLE = "lifecycle"
    """Trains and serves his shadow models as the victim does, defences included."""
    EXPECTATION = "expectation"
    """Averages over answers that are drawn at random."""
    LABELS = "labels"
    """Falls back on labels, where scores are withheld or falsified."""
    STEALTH = "stealth"
    """Hides his poison from filters."""
    EMPHASIS = "emphasis"
    """Poisons with a stronger trigger, which training and repair find harder to ignore."""
    ENDURANCE = "endurance"
    """Poisons such that his trigger survives what becomes of inputs, and what they are tried with."""
    MIXING = "mixing"
    """Hides his questions among those that a benign client would ask."""


_BY_STAGE = {
    Stage.DATA: frozenset({Adaptation.LIFECYCLE, Adaptation.STEALTH}),
    Stage.TRAINING: frozenset({Adaptation.LIFECYCLE, Adaptation.EMPHASIS}),
    Stage.MODEL: frozenset({Adaptation.LIFECYCLE, Adaptation.STEALTH, Adaptation.EMPHASIS}),
    Stage.SERVING: frozenset({Adaptation.LIFECYCLE, Adaptation.LABELS}),
    Stage.MONITOR: frozenset({Adaptation.MIXING}),
}


@dataclass(frozen=True)
class DefenceInfo:
    """What is true of every configuration of one defence class.

    Attributes:
        title: the field's standard name.
        stage: where it acts.
        modalities: schema kinds that it works on.
        paper: authors, year, title, arXiv id, section.
        atlas: MITRE ATLAS mitigation ids.
        randomised: its answers are drawn at random, so that averaging sees through it.
        excludes: catalogue names of defences that it cannot be combined with.
        reversible: a serving defence whose answers tell the model's own to whoever knows its parameters.
        reads_inputs: a serving defence that looks at what is asked, or changes it.
    """

    title: str
    stage: Stage
    modalities: frozenset[str]
    paper: str
    atlas: tuple[str, ...] = ()
    randomised: bool = False
    excludes: tuple[str, ...] = ()
    reversible: bool = False
    reads_inputs: bool = False

    @property
    def adaptations(self) -> frozenset[Adaptation]:
        """What an attacker who knows this defence does about it."""
        more = {Adaptation.EXPECTATION} if self.randomised else set()
        more |= {Adaptation.ENDURANCE} if self.reads_inputs else set()
        return _BY_STAGE.get(self.stage, frozenset()) | more


class Defence(BaseModel):
    """A frozen, validated configuration of a defence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    info: ClassVar[DefenceInfo]

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """What makes this defence impossible for such a victim, one line each, with the way out.

        Args:
            schema: of the records.
            architecture: name of the victim's architecture, or ``module:function`` of the user's own.
        """
        return []

    def unfit(self, schema: Schema, architecture: Architecture) -> list[str]:
        """The same, for those who must look at the architecture's parameters; this is what the plan asks."""
        return self.problems(schema, architecture.name)


class Sanitiser(Defence):
    """A data-stage defence: chooses the records that the victim trains on."""

    @abstractmethod
    def keep(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        """Which records to train on, bool (n,).

        Args:
            data: everything that was collected, n records.
            trusted: bool (n,), the defender's own records; the others were offered by third parties.
            training: the victim's recipe, without defences.
            streams: the defence's own.
        """

    def keep_beside(
        self,
        start: Model | None,  # noqa: ARG002
        data: Dataset,
        trusted: npt.NDArray[np.bool_],
        training: Training,
        streams: Streams,
    ) -> npt.NDArray[np.bool_]:
        """`keep`, for those who look at ``start``: the model that is to be tuned on the offers, or None."""
        return self.keep(data, trusted, training, streams)


class TrainingDefence(Defence):
    """A training-stage defence: another way to train."""

    def tuned_on(self, offered: Dataset, own: Dataset, streams: Streams) -> Dataset:  # noqa: ARG002
        """What a model made of ``own`` is tuned on where this was ``offered``; that alone, or as a defence says."""
        return offered

    def tuned_by(self, training: Training, own: Dataset, streams: Streams) -> Training:  # noqa: ARG002
        """The training, already `applied`, by which a model made of ``own`` is tuned on offers; as it is by default."""
        return training

    @abstractmethod
    def applied(self, training: Training) -> Training:
        """The same training with this defence in it; with ``soft_targets`` or ``init`` it may train as before."""


class Repair(Defence):
    """A model-stage defence: changes the trained model."""

    def repair_all(
        self, model: Model, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> Model:
        """The repaired model, given everything that it was trained on; most repairs look at the own records alone.

        Args:
            model: as it was trained.
            data: all that it was trained on, n records.
            trusted: bool (n,), the defender's own.
            training: the victim's, with its training-stage defences.
            streams: the defence's own.
        """
        return self.repair(model, data.take(trusted), training, streams)

    def repair_tuned(
        self,
        model: Model,
        start: Model,  # noqa: ARG002
        data: Dataset,
        trusted: npt.NDArray[np.bool_],
        training: Training,
        streams: Streams,
    ) -> Model:
        """`repair_all`, for those who know ``start``: what the model was tuned from."""
        return self.repair_all(model, data, trusted, training, streams)

    @abstractmethod
    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:
        """The repaired model.

        Args:
            model: as it was trained.
            own: the defender's own, trusted records.
            training: the victim's, with its training-stage defences.
            streams: the defence's own.
        """


class TunedRepair(Repair):
    """A repair of what tuning did: a model that was not tuned stays as it is."""

    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:  # noqa: ARG002
        """The model as it is."""
        return model

    @abstractmethod
    def repair_tuned(
        self,
        model: Model,
        start: Model,
        data: Dataset,
        trusted: npt.NDArray[np.bool_],
        training: Training,
        streams: Streams,
    ) -> Model:
        """See `Repair.repair_tuned`."""
