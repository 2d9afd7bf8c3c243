"""The tasks of one target in one seed, below models and attacks: roles of the split, and how a task is entered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from threatloop.core.catalogue import DEFENCES, Catalogue
from threatloop.core.defence import Defence
from threatloop.core.endpoint import TERMS
from threatloop.core.protection import Protection, WrittenMark
from threatloop.core.seeds import Streams
from threatloop.core.step import Step
from threatloop.engine.facts import TargetFacts
from threatloop.engine.operations import module_of
from threatloop.engine.operations.protect import WRITER
from threatloop.engine.task import Ref, Task
from threatloop.scenario.build import Audit, Condition

TRAINS = frozenset({"train", "match", "fit", "shadows"})
"""Operations that train models, a search counted as one; what an attack trains for itself is part of the attack."""


@dataclass
class TaskBook:
    """Makes tasks. Asking twice for the same thing gives the same reference.

    Attributes:
        audit: the checked spec.
        facts: of the target.
        seed: number of the seed.
        tasks: all tasks of the plan by key; shared between seeds and targets.
        protection: how the data owner protects what he offers.
        condition: the defences that are tried.
        asked: how often each training was asked for, by its key; more than once where it is shared.
    """

    audit: Audit
    facts: TargetFacts
    seed: int
    tasks: dict[str, Task]
    protection: Protection
    condition: Condition = field(default_factory=Condition)
    asked: Counter[str] = field(default_factory=Counter)
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self.streams = Streams(self.audit.spec.seed, (f"seed-{self.seed}",))

    @property
    def defences(self) -> tuple[Defence, ...]:
        """The target's own and those of the condition."""
        return (*self.facts.target.defences, *self.condition.defences)

    @property
    def by_proxy(self) -> bool:
        """Whether whatever must retrain stands in for a model that the user brought."""
        return self.facts.target.spec.brought

    def role(self, name: str) -> Ref:
        """The records of a role of this seed's split; with canaries planted where the spec asks for them."""
        canaries = self.facts.target.spec.canaries
        if canaries is None or name not in ("own", "members", "candidates", "canaries"):
            return Ref(self._split.key, name)
        inputs = {"data": Ref(self._split.key, "own" if name == "canaries" else name)}
        config = {**canaries.model_dump(mode="json"), "part": name}
        return self._add("canaries", config, inputs, self.streams.child("canaries"), f"plant canaries in {name}")

    def protected(self, role: str = "contribution") -> Ref:
        """The records of a role under their owner's protection."""
        config, inputs, modules = dict[str, Any](), {"data": self.role(role)}, list[str]()
        self._own(config, inputs, modules)
        if WRITER in inputs:
            config["device"] = self.facts.target.spec.device
        return self._add("protect", config, inputs, self.streams.child("mark"), f"protect {role}", modules)

    def prompts(self, attack: Step[Any]) -> Ref:
        """The system prompts that the victim of such an attack is served behind."""
        config = {"count": int(getattr(attack, "deployments", 1)), "given": self.facts.target.spec.system_prompts}
        return self._add("prompts", config, {}, self.streams.child("system-prompts"), "draw system prompts")

    def stored(self, attack: Step[Any]) -> Ref:
        """The documents whose vectors such an attack took: some of the victim's own records."""
        config = {"count": int(getattr(attack, "documents", 1))}
        return self._add("targets", config, {"data": self.role("own")}, self.streams.child("store"), "fill the store")

    def base(self) -> Ref:
        """The base model that the target's architecture adapts, as it is; one for all seeds."""
        config = {"architecture": self.facts.architecture.model_dump(mode="json")}
        streams = Streams(self.audit.spec.seed, ("given",))
        return self._add("base", config, {"data": Ref(self.facts.load.key)}, streams, "take the base model")

    def writer(self) -> Ref:
        """The model that the data owner writes with: the base of the target's model, or one made of his records."""
        if self.facts.base is not None:
            return self.base()
        work = self._passes(self._share("contribution"))
        config, inputs = {"training": self._training()}, {"data": self.role("contribution")}
        return self._add("fit", config, inputs, self.streams.child("writer"), "train the owner's model", (), work)

    def _own(self, config: dict[str, Any], inputs: dict[str, Ref], modules: list[str], *, known: bool = True) -> None:
        """The owner's protection; with the model that he writes with, where it needs one and this task is his."""
        config["protection"] = written(self.protection, DEFENCES)
        modules.append(type(self.protection).__module__)
        if known and isinstance(self.protection, WrittenMark):
            inputs[WRITER] = self.writer()

    @cached_property
    def _split(self) -> Ref:
        spec = self.facts.target.spec
        config: dict[str, Any] = {
            "shares": spec.shares.model_dump(),
            "fixed_members": self.by_proxy and self.facts.members_known,
        }
        if self.facts.divided:
            config["divided"] = True
        return self._add("split", config, {"data": Ref(self.facts.load.key)}, self.streams, "split records")

    def _training(self) -> dict[str, Any]:
        return self.facts.training(self.audit.base)

    def _local(self) -> dict[str, Any]:
        """How often an endpoint may be asked in this run, and where a base model lies."""
        endpoint, found = self.facts.target.spec.endpoint, dict[str, Any]()
        if endpoint is not None:
            found["terms"] = endpoint.model_dump(mode="json", include=set(TERMS))
        if self.facts.base is not None:
            found["bases"] = {self.facts.base.digest: str(self.facts.base.path)}
        return found

    def _share(self, role: str) -> int:
        shares = self.facts.target.spec.shares
        share = {"own": shares.own, "contribution": shares.contribution, "members": shares.own + shares.contribution}
        return int(share[role] * self.facts.records)

    def _passes(self, records: int) -> dict[str, float]:
        """Work of training on so many records: forward and backward passes over single records."""
        return {"training_passes": float(records * self.facts.recipe.epochs), "records": float(records)}

    def _add(
        self,
        operation: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, Ref],
        streams: Streams,
        label: str,
        modules: Sequence[str] = (),
        work: Mapping[str, float] | None = None,
        local: Mapping[str, Any] | None = None,
    ) -> Ref:
        numeric = operation not in ("split", "like")
        task = Task(
            operation,
            config,
            dict(inputs),
            streams,
            (module_of(operation), *modules),
            self.facts.profile if numeric else "",
            {"allow_code": self.audit.allow_code, "target": self.facts.target.name, **self._local(), **(local or {})},
            f"{self.facts.target.name} seed {self.seed}: {label}",
            dict(work or {}),
        )
        self.tasks.setdefault(task.key, task)
        if operation in TRAINS:
            self.asked[task.key] += 1
        return Ref(task.key)


def models_in(task: Task) -> int:
    """How many models a task trains."""
    return int(task.config.get("count", 1)) if task.operation in TRAINS else 0


def written(thing: BaseModel, catalogue: Catalogue[Any]) -> dict[str, Any]:
    """An attack or defence as its catalogue name and parameters."""
    return {"name": catalogue.name_of(type(thing)), "parameters": thing.model_dump(mode="json")}
