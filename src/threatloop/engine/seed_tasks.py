"""The tasks of one target in one seed: each is made once and shared by every scenario and arm that asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from threatloop.core.access import ALL_CAPABILITIES
from threatloop.core.attack import Step
from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS, Catalogue
from threatloop.core.defence import IngestGate, Protection
from threatloop.core.digests import digest_file
from threatloop.core.endpoint import TERMS, Endpoint
from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.engine.facts import TargetFacts
from threatloop.engine.operations import module_of
from threatloop.engine.task import Ref, Task
from threatloop.scenario.build import Audit

SHADOW_CHUNK = {"mlp": 32}
"""Shadow models per task, for architectures that are trained many at a time; the others share out better singly."""
OTHER_CHUNK = 1
TRAINS = frozenset({"train", "fit", "shadows"})
"""Operations that train models; what an attack trains for itself is part of the attack."""


@dataclass
class SeedTasks:
    """Makes tasks. Asking twice for the same thing gives the same reference.

    Attributes:
        audit: the checked spec.
        facts: of the target.
        seed: number of the seed.
        tasks: all tasks of the plan by key; shared between seeds and targets.
        protection: how the data owner protects what he offers.
        asked: how often each training was asked for, by its key; more than once where it is shared.
    """

    audit: Audit
    facts: TargetFacts
    seed: int
    tasks: dict[str, Task]
    protection: Protection
    asked: Counter[str] = field(default_factory=Counter)
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self.streams = Streams(self.audit.spec.seed, (f"seed-{self.seed}",))

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
        config = {**canaries.model_dump(), "part": name}
        return self._add("canaries", config, inputs, self.streams.child("canaries"), f"plant canaries in {name}")

    def protected(self, role: str = "contribution") -> Ref:
        """The records of a role under their owner's protection."""
        config = {"protection": written(self.protection, DEFENCES)}
        modules = (type(self.protection).__module__,)
        inputs = {"data": self.role(role)}
        return self._add("protect", config, inputs, self.streams.child("mark"), f"protect {role}", modules)

    def targets(self, attack: Step[Any]) -> Ref:
        """The records that an attack is after."""
        config = {"count": int(getattr(attack, "targets", 1))}
        inputs = {"data": self.role(attack.info.targets)}
        if attack.info.targets == "candidates":
            # Contributed records are neither: the attacker knows that they are members, since he hands them in.
            inputs |= {"members": self.role("own"), "nonmembers": self.role("nonmembers")}
        return self._add("targets", config, inputs, self.streams.child("targets"), "choose targets")

    def skewed(self, attack: Step[Any]) -> Ref:
        """The victim's own records in the world that this seed's coin chose."""
        config = {"attack": written(attack, ATTACKS)}
        modules = (type(attack).__module__,)
        return self._add("skewed", config, {"own": self.role("own")}, self.streams.child("world"), "skew", modules)

    def victim(
        self, offers: Sequence[Ref], poison: Step[Any] | None = None, *, gated: bool = True, own: Ref | None = None
    ) -> Ref:
        """The model that the victim's lifecycle makes of its own records and these offers.

        ``poison`` marks the weights as an attack's artefact. ``gated`` False: nobody attacks and nothing is offered
        that a gate would see, so that its false alarms do not reach scenarios that have no contribution. ``own``
        stands in for the victim's own records.
        """
        inputs = {
            "own": own or self.role("own"),
            **{f"contribution-{i}": offer for i, offer in enumerate(offers, start=1)},
        }
        defences = [d for d in self.facts.target.defences if gated or not isinstance(d, IngestGate)]
        modules = [type(defence).__module__ for defence in defences]
        config: dict[str, Any] = {"training": self._training(), "defences": [written(d, DEFENCES) for d in defences]}
        if poison is not None:
            config["attack_artefact"] = ATTACKS.name_of(type(poison))
        if any(isinstance(defence, IngestGate) for defence in defences):
            inputs["registered"] = self.role("contribution")
            config["protection"] = written(self.protection, DEFENCES)
            modules.append(type(self.protection).__module__)
        records = self._share("own") + sum(self._share("contribution") for _ in offers)
        return self._add("train", config, inputs, self.streams, "train victim", modules, self._passes(records))

    def honest(self) -> Ref:
        """The victim that nobody attacked: the user's own weights or endpoint where they brought one."""
        spec = self.facts.target.spec
        if spec.endpoint is not None:
            return self._endpoint(spec.endpoint)
        if spec.weights is None:
            return self.victim([self.role("contribution")], gated=False)
        path = self.audit.base / spec.weights
        if not path.is_file():
            raise InputError(f"targets.{self.facts.target.name}.weights: no file {path}")
        config = {"architecture": self.facts.architecture.model_dump(mode="json"), "weights": digest_file(path)}
        return self._add(
            "given",
            config,
            {"data": Ref(self.facts.load.key)},
            Streams(self.audit.spec.seed, ("given",)),
            "read weights",
            local={"weights": str(path)},
        )

    def _endpoint(self, endpoint: Endpoint) -> Ref:
        """The model that the user's endpoint serves; how often it may be asked is no part of the key."""
        config = {"endpoint": endpoint.model_dump(mode="json", exclude=set(TERMS))}
        local = {"endpoint": endpoint.model_dump(mode="json")}
        streams = Streams(self.audit.spec.seed, ("given",))
        return self._add("endpoint", config, {"data": Ref(self.facts.load.key)}, streams, "reach endpoint", local=local)

    def fit(self, data: Ref, role: str, records: int) -> Ref:
        """A model that the engine trains for its own use."""
        config = {"training": self._training()}
        streams = self.streams.child(role)
        return self._add("fit", config, {"data": data}, streams, f"train {role}", (), self._passes(records))

    def evaluator(self) -> Ref:
        """An independent judge: trained on everything, by its own streams."""
        return self.fit(self.role("all"), "evaluator", self.facts.records)

    def surrogate(self) -> Ref:
        """A model that the attacker trains on his own pool by the victim's recipe; it has seen no member."""
        records = int(self.facts.target.spec.shares.pool * self.facts.records)
        return self.fit(self.role("pool"), "surrogate", records)

    def shadows(self, poison: Ref | None = None) -> dict[str, Ref]:
        """The shadow ensemble, in chunks; trained on the attacker's own ``poison`` too where the victim was."""
        total = self.facts.target.spec.shadows
        size = min(total, SHADOW_CHUNK.get(self.facts.architecture.name, OTHER_CHUNK))
        found = {}
        for i, first in enumerate(range(0, total, size)):
            count = min(size, total - first)
            config = {"training": self._training(), "first": first, "count": count, "total": total}
            label = f"train shadows {first + 1}-{first + count}"
            work = self._passes(self._share("members") * count)
            work["scoring_passes"] = float(count * 2 * self._share("members"))
            inputs = {"candidates": self.role("candidates"), **({"poison": poison} if poison else {})}
            found[f"{Resource.SHADOWS.value}-{i}"] = self._add(
                "shadows", config, inputs, self.streams.child("shadows"), label, (), work
            )
        return found

    def act(
        self,
        attack: Step[Any],
        source: Ref,
        *,
        owned: bool,
        lap: int = 1,
        extra: Mapping[str, Ref] | None = None,
        twice: int = 1,
        poison: Ref | None = None,
    ) -> Ref:
        """One attack on one source.

        ``owned``: the source is the attacker's own clone, with full access and nobody to count his queries. ``twice``
        is 2 where one lap has the budget of two. ``poison``: what this attacker put into the victim's training.
        """
        info, spec = attack.info, self.facts.target.spec
        # An attack on data that holds the victim asks the victim, whoever owns a clone by then.
        owned = owned and info.direction.source == "M" and not info.resources & {Resource.VICTIM, Resource.DETECTOR}
        config: dict[str, Any] = {"attack": written(attack, ATTACKS), "device": spec.device}
        modules = [type(attack).__module__]
        inputs = {"source": source, **(extra or {})}
        if info.direction.source == "M" or info.resources & {Resource.VICTIM, Resource.DETECTOR}:
            config["grants"] = sorted(ALL_CAPABILITIES if owned else spec.grants)
            cap = None if spec.query_cap is None else spec.query_cap * twice
            config["limit"] = None if owned else query_limit(attack, cap)
        if Resource.VICTIM in info.resources:
            inputs[Resource.VICTIM.value] = self.honest()
        if Resource.DETECTOR in info.resources:
            inputs[Resource.DETECTOR.value] = self.role("contribution")
        if Resource.KNOWN_PAIRS in info.resources:
            inputs[f"{Resource.KNOWN_PAIRS}-plain"] = self.role("pool")
            inputs[f"{Resource.KNOWN_PAIRS}-protected"] = self.protected("pool")
        if info.resources & {Resource.PROTECTION, Resource.DETECTOR}:
            config["protection"] = written(self.protection, DEFENCES)
            modules.append(type(self.protection).__module__)
        if Resource.TARGETS in info.resources:
            inputs[Resource.TARGETS.value] = self.targets(attack)
        if Resource.PARTIAL in info.resources:
            inputs[Resource.PARTIAL.value] = self.role("candidates")
        if info.resources & {Resource.QUERY_POOL, Resource.OUT_OF_DISTRIBUTION}:
            inputs[Resource.QUERY_POOL.value] = self.role("pool")
        if Resource.OUT_OF_DISTRIBUTION in info.resources:
            config["out_of_distribution"] = max(int(getattr(attack, "queries", 0)), 1000)
        if Resource.CANDIDATES in info.resources:
            inputs[Resource.CANDIDATES.value] = self.role("candidates")
        if Resource.SHADOWS in info.resources:
            inputs |= self.shadows(poison)
        if Resource.LIFECYCLE in info.resources:
            config["training"] = self._training()
        streams = self.streams.child(info.direction.value, f"lap-{lap}")
        name = ATTACKS.name_of(type(attack))
        return self._add("act", config, inputs, streams, name, modules, self._attack_work(attack))

    def like(self, data: Ref, like: Ref) -> Ref:
        """As many records of ``data`` as ``like`` has."""
        return self._add("like", {}, {"data": data, "like": like}, self.streams.child("lap-2"), "draw records")

    def prior(self, like: Ref) -> Ref:
        """Samples from the attacker's prior, as many as ``like`` has."""
        inputs = {"held": self.role("pool"), "like": like}
        return self._add("prior", {}, inputs, self.streams.child("lap-2"), "sample the prior")

    def quality(self) -> Ref:
        """How well the victim that nobody attacked fits."""
        inputs = {"victim": self.honest(), "members": self.role("members"), "test": self.role("test")}
        config = {"device": self.facts.target.spec.device}
        work = {"scoring_passes": float(self.facts.records)}
        return self._add("quality", config, inputs, self.streams, "victim's accuracy", (), work)

    def exchangeability(self) -> Ref:
        """Whether members can be told from non-members without asking the model."""
        inputs = {"candidates": self.role("candidates"), "members": self.role("members")}
        return self._add("exchangeability", {}, inputs, self.streams, "check the split")

    def planted_leak(self, probe: Step[Any], source: Ref, poison: Ref | None = None) -> Ref:
        """Whether a membership probe finds a leak that is certain, with the same shadows."""
        config: dict[str, Any] = {"attack": written(probe, ATTACKS), "device": self.facts.target.spec.device}
        inputs = {"source": source, Resource.CANDIDATES.value: self.role("candidates")}
        if Resource.QUERY_POOL in probe.info.resources:
            inputs[Resource.QUERY_POOL.value] = self.role("pool")
        if Resource.LIFECYCLE in probe.info.resources:
            config["training"] = self._training()
        if Resource.SHADOWS in probe.info.resources:
            inputs |= {**self.shadows(poison), "members": self.role("members")}
        modules = (type(probe).__module__,)
        work = self._attack_work(probe)
        return self._add("planted_leak", config, inputs, self.streams.child("planted"), "plant a leak", modules, work)

    def grade(self, attack: Step[Any], upstream: Sequence[Step[Any]], truths: Mapping[str, Ref]) -> Ref:
        """Every metric of an attack on an outcome."""
        metrics = attack.info.metrics
        config = {
            "attack": written(attack, ATTACKS),
            "upstream": [written(one, ATTACKS) for one in upstream],
            "metrics": list(metrics),
            "protection": written(self.protection, DEFENCES),
            "device": self.facts.target.spec.device,
            "false_positive_rates": list(self.facts.target.spec.false_positive_rates),
        }
        modules = [type(one).__module__ for one in (attack, *upstream)]
        modules += [METRICS.path(name).partition(":")[0] for name in metrics]
        modules.append(type(self.protection).__module__)
        work = {"scoring_passes": float(self.facts.records)}
        label = f"grade {ATTACKS.name_of(type(attack))}"
        return self._add("grade", config, truths, self.streams, label, modules, work)

    @cached_property
    def _split(self) -> Ref:
        spec = self.facts.target.spec
        config = {"shares": spec.shares.model_dump(), "fixed_members": self.by_proxy}
        return self._add("split", config, {"data": Ref(self.facts.load.key)}, self.streams, "split records")

    def _training(self) -> dict[str, Any]:
        return self.facts.training(self.audit.base)

    def _terms(self) -> dict[str, Any]:
        """How often an endpoint may be asked in this run."""
        endpoint = self.facts.target.spec.endpoint
        return {} if endpoint is None else {"terms": endpoint.model_dump(mode="json", include=set(TERMS))}

    def _share(self, role: str) -> int:
        shares = self.facts.target.spec.shares
        share = {"own": shares.own, "contribution": shares.contribution, "members": shares.own + shares.contribution}
        return int(share[role] * self.facts.records)

    def _passes(self, records: int) -> dict[str, float]:
        """Work of training on so many records: forward and backward passes over single records."""
        return {"training_passes": float(records * self.facts.recipe.epochs), "records": float(records)}

    def _attack_work(self, attack: Step[Any]) -> dict[str, float]:
        return attack.work(self.facts.workload)

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
            {"allow_code": self.audit.allow_code, "target": self.facts.target.name, **self._terms(), **(local or {})},
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


def query_limit(attack: Step[Any], cap: int | None) -> int | None:
    """The query budget of an attack: its own where it states one, never more than the target's cap."""
    limits = [int(limit) for limit in (getattr(attack, "queries", None), cap) if limit is not None]
    return min(limits, default=None)
