"""What attacks and probes share: what is true of a class, its configuration, and the guarded call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.cover import own_budgets
from threatloop.core.defence import Adaptation
from threatloop.core.errors import BudgetExhausted, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Schema
from threatloop.core.service import Service

EXPECTATION = 10
"""Answers averaged by an attacker who knows that they are drawn at random."""

S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")


class Direction(StrEnum):
    """What an attack uses, and what it obtains or harms."""

    DATA_TO_DATA = "D→D"
    DATA_TO_MODEL = "D→M"
    MODEL_TO_DATA = "M→D"
    MODEL_TO_MODEL = "M→M"

    @property
    def source(self) -> str:
        return self.value[0]

    @property
    def target(self) -> str:
        return self.value[-1]


@dataclass(frozen=True)
class AttackInfo:
    """What is true of every configuration of one attack class.

    Attributes:
        title: the field's standard name.
        direction: data on the class; no code branches on it.
        knowledge: what the attacker is assumed to know, in a sentence.
        modalities: schema kinds that it works on.
        metrics: catalogue names of the metrics that grade it, the headline figure first.
        paper: authors, year, title, arXiv id, section.
        baseline: catalogue name of the best that the attacker gets with everything he holds, minus this attack.
        needs: capabilities on the service it attacks, or on the one it holds as `Resource.VICTIM`.
        resources: what it holds beside its source.
        atlas: MITRE ATLAS technique ids.
        unchanged: it returns its source as it is, so that the plan needs no task for it.
        undoes: D→D only: catalogue names of the protections that it attacks, the usual one first. An attack that undoes
            none starts from held-out records, such as an evasion.
        sweep: the field of its budget that a spec may vary, such as ``epsilon`` or ``queries``.
        targets: where its `Resource.TARGETS` come from: ``test`` for records that nobody trains on, ``candidates``
            for records of which half are members.
        control: catalogue name of a matched control that does the same without aiming at a later step.
        adds_records: what it crafts holds records of its own, with ids −1, beside the contribution.
        victim: ``skewed`` where it attacks a victim whose own records the attack's ``skew`` has drawn; ``prompted``
            where it attacks one that is served behind as many secret system prompts as it has ``deployments``.
    """

    title: str
    direction: Direction
    knowledge: str
    modalities: frozenset[str]
    metrics: tuple[str, ...]
    paper: str
    baseline: str
    needs: frozenset[Capability] = frozenset()
    resources: frozenset[Resource] = frozenset()
    atlas: tuple[str, ...] = ()
    unchanged: bool = False
    undoes: tuple[str, ...] = ()
    sweep: str = ""
    targets: Literal["", "test", "candidates"] = ""
    control: str = ""
    adds_records: bool = False
    victim: Literal["honest", "skewed", "prompted"] = "honest"


@dataclass(frozen=True)
class Workload:
    """The size of a target, for estimates.

    Attributes:
        records: in the data set.
        classes: of its labels.
        width: numbers in one encoded record.
        recipe: of the victim.
        shadows: shadow models per seed.
    """

    records: int
    classes: int
    width: int
    recipe: Recipe
    shadows: int


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What an attack returned, and why it stopped: ``finished`` or ``query budget spent``."""

    result: T
    stop_reason: str


class Step(BaseModel, Generic[S]):
    """What attacks and probes share: a frozen configuration and the guarded call."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    info: ClassVar[AttackInfo]

    @abstractmethod
    def _act(self, source: Any, bench: Bench) -> Any:
        """Call the base's method; bases override this, attacks do not."""

    def required(self) -> frozenset[Capability]:
        """The capabilities that this configuration uses: ``info.needs``, or fewer."""
        return self.info.needs

    def work(self, workload: Workload) -> dict[str, float]:
        """What the plan's estimate counts: ``training_passes``, ``scoring_passes`` (of single records), ``seconds``."""
        return {"scoring_passes": float(workload.records)}

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """What makes this configuration impossible on such data, one line each; found before any compute is spent.

        Args:
            schema: of the records that it would work on, of a modality in ``info.modalities``.
            records: how many there are, ≥ 0: for a D→M attack those it contributes.
        """
        return []

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """What makes this configuration impossible with one seed's records, one line each; found before any training.

        Args:
            per_class: for a D→M attack, records of each class that it contributes.
            targets: records that its `Resource.TARGETS` can be taken from; 0 where it has none.
        """
        return []

    def with_budget(self, factor: int) -> Step[Any]:
        """The same attack with its query budget multiplied, where it states one."""
        queries = getattr(self, "queries", None)
        return self if queries is None else self.model_copy(update={"queries": queries * factor})

    def at(self, value: float) -> Self:
        """The same attack with its swept field at another value.

        Raises:
            ValidationError: the value is not allowed.
        """
        kind = type(getattr(self, self.info.sweep))
        given = int(value) if kind is int and float(value).is_integer() else value
        return type(self).model_validate({**self.model_dump(), self.info.sweep: given})

    def unbounded(self) -> Step[Any] | None:
        """The same attack with a budget at which it must win completely, for a self-check; None where there is none."""
        return None

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """This attack by an attacker who knows the victim's defences; empty where no such form is known.

        What reads the model itself, imitates its training, or asks for labels alone where scores are defended, adapts
        without change: the plan hands it the defended model and the defended lifecycle. Subclasses add forms of their
        own.
        """
        info, forms = self.info, list[Step[Any]]()
        looks_inside = bool(self.required() & {Capability.GRADIENTS, Capability.WEIGHTS})
        imitates = info.direction is not Direction.MODEL_TO_MODEL and info.resources & {
            Resource.SHADOWS,
            Resource.LIFECYCLE,
        }
        falls_back = Adaptation.LABELS in to and self.required() == {Capability.LABELS}
        if looks_inside or falls_back or (Adaptation.LIFECYCLE in to and imitates):
            forms.append(self)
        if Adaptation.EXPECTATION in to and "expectation" in type(self).model_fields:
            forms = [self.model_copy(update={"expectation": EXPECTATION})]
        return tuple(forms)

    @property
    def crafts(self) -> bool:
        """Whether it yields training data, which the victim's lifecycle turns into a model."""
        return False

    @property
    def questions(self) -> bool:
        """Whether it asks a model for answers; what looks inside asks nothing that a monitor sees."""
        asks = self.info.direction.source == "M" or Resource.VICTIM in self.info.resources
        return asks and not self.required() & {Capability.GRADIENTS, Capability.WEIGHTS}

    def forms(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """`adapted`; and where questions are watched, with the share of the budget that is not spent on cover.

        The plan mixes the benign ones in. An attack that states no budget asks as much as before, and more in all.
        """
        found = self.adapted(to - {Adaptation.MIXING})
        if Adaptation.MIXING not in to or not self.questions:
            return found
        return tuple(one.model_copy(update=own_budgets(one)) for one in found or (self,))

    def as_control(self) -> Step[Any] | None:
        """The matched control ``info.control`` with the fields that both have, or None."""
        return self._as(self.info.control) if self.info.control else None

    def as_baseline(self) -> Step[Any]:
        """The baseline of this very configuration: the catalogue's row ``info.baseline`` with the fields both have.

        The catalogue is passed over by attacks that build their baseline themselves.
        """
        return self._as(self.info.baseline)

    def _as(self, row: str) -> Step[Any]:
        """An attack of this row with the fields that both have."""
        from threatloop.core.catalogue import ATTACKS

        other = ATTACKS.load(row)
        shared = {name: value for name, value in self if name in other.model_fields}
        return other(**shared)

    def run(self, source: Any, bench: Bench) -> Outcome[Any]:
        """Run with just the declared access; a spent budget ends it with its best result so far.

        Raises:
            AccessError: the attack uses what it did not declare or was not granted.
            NotAssessable: the budget ended it before any usable result.
        """
        if isinstance(source, Service):
            source = source.narrowed(self.required())
        if Resource.VICTIM in bench.resources:
            victim = bench.service().narrowed(self.required())
            bench = replace(bench, resources={**bench.resources, Resource.VICTIM: victim})
        try:
            return Outcome(self._act(source, bench), "finished")
        except BudgetExhausted as spent:
            if bench.progress.best is None:
                raise NotAssessable(f"the query budget ended it before any usable result: {spent}") from None
            return Outcome(bench.progress.best, "query budget spent")
