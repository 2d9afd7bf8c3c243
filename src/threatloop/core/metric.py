"""Metrics: the engine judges, the attack does not. They grade artefacts with truth that the attacker did not have."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from threatloop.core.assets import Dataset, Evidence, Model
from threatloop.core.protection import Protection
from threatloop.core.seeds import Streams
from threatloop.core.service import Responder

A = TypeVar("A", Dataset, Model, Evidence)
ONE_ANSWER = "the victim gives one class to everything that it is asked, so nothing can fool it"
"""Why a figure of an attack that must change answers is undefined; that the attack wins is then not checked."""


@dataclass(frozen=True)
class MetricInfo:
    """What is true of a metric whatever it grades.

    Attributes:
        title: name for tables.
        unit: ``rate``, ``auc``, ``dB``, ``z`` or another short word.
        worst: the value at which the attack has won completely (m* of the risk formula); None for figures that only
            describe, such as clean accuracy.
        margin: the equivalence margin δ of verdicts, in the metric's unit.
        needs: names of the truths that the plan must provide, beside ``outcome``.
        meaning: one sentence for the report.
        may_use: names of truths that it uses where the scenario has them.
        by_labels: all its figures follow from the likeliest classes of the graded model's answers.
    """

    title: str
    unit: str
    worst: float | None
    margin: float
    needs: frozenset[str]
    meaning: str
    may_use: frozenset[str] = frozenset()
    by_labels: bool = False


@dataclass(frozen=True)
class Reading:
    """One figure for one seed. ``value`` None means not computed, and ``undefined`` gives the reason alone."""

    metric: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    undefined: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "undefined", self.undefined.removeprefix("not computed, because "))


@dataclass(frozen=True)
class Exchange:
    """What a model was asked and what it said, as the judge saw it; of a document what it says alone.

    Attributes:
        record: number of the record that it began with; what stands before and after an attack has the same.
        prompt: what was put to the model; empty for a document.
        reply: what it said, or what the document says.
        verdict: the judge's word on it.
        hit: this is what the attacker wants.
        question: what an attacker's prompt began as; empty where the prompt is from the data.
    """

    record: int
    prompt: str
    reply: str
    verdict: str
    hit: bool
    question: str = ""


@dataclass(frozen=True)
class Graded:
    """Everything a metric says about one outcome.

    Attributes:
        readings: figures; the first is the metric's own, others carry a suffix, such as ``fidelity.where_victim_errs``.
        curves: named curves, each a mapping of equally long columns.
        records: per-record columns, all of one length.
        gallery: named batches of images, float in [0, 1], NCHW; index-aligned batches are shown side by side.
        texts: for the gallery of texts.
    """

    readings: tuple[Reading, ...]
    curves: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    records: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    gallery: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    texts: tuple[Exchange, ...] = ()


@dataclass(frozen=True)
class Case:
    """What lies before the judge: the outcome and the truths that the metric declared.

    Attributes:
        truths: artefacts by name, ``outcome`` among them.
        attack: the attack whose effect is graded; for a baseline arm this is still the attack, not its baseline.
        upstream: the attacks of the chain before it, in order; likewise never their baselines.
        streams: the judge's own random streams.
        keys: secrets that the engine holds, such as the data owner's watermark key.
        facts: JSON-able facts about how the outcome came to be.
        device: where the judge runs models.
        allow_code: whether the user allowed architectures that name code.
        protection: the scheme by which the data owner protects, without its key.
        served: the models among the truths that are the victim's, and so answer from behind its defences.
        front: puts those defences in front of a responder.
    """

    truths: Mapping[str, Dataset | Model | Evidence]
    attack: BaseModel
    streams: Streams
    upstream: tuple[BaseModel, ...] = ()
    keys: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    allow_code: bool = False
    protection: Protection | None = None
    served: tuple[Model, ...] = ()
    front: Callable[[Responder], Responder] = field(default=lambda responder: responder)

    def behind_defences(self, model: Model, responder: Responder) -> Responder:
        """What answers for a model: the responder, behind the victim's serving defences if the model is the victim."""
        return self.front(responder) if any(model is one for one in self.served) else responder

    def get(self, name: str, kind: type[A]) -> A:
        """The truth of this name.

        Raises:
            TypeError: it is another kind of artefact (a mistake in a metric or in the plan).
        """
        found = self.truths[name]
        if not isinstance(found, kind):
            raise TypeError(f"truth {name!r} is a {type(found).__name__}, not a {kind.__name__}")
        return found


class Metric(BaseModel):
    """A frozen, validated configuration of a metric."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    info: ClassVar[MetricInfo]

    @abstractmethod
    def grade(self, case: Case) -> Graded: ...


def merge(parts: Iterable[Graded]) -> Graded:
    """All the parts in one; later names win where they clash."""
    parts = tuple(parts)
    return Graded(
        tuple(reading for part in parts for reading in part.readings),
        {name: curve for part in parts for name, curve in part.curves.items()},
        {name: column for part in parts for name, column in part.records.items()},
        {name: batch for part in parts for name, batch in part.gallery.items()},
        tuple(one for part in parts for one in part.texts),
    )
