"""The tasks of one target in one seed: attacks, what they are given, and how they are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from threatloop.core.access import ALL_CAPABILITIES, Capability
from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS
from threatloop.core.cover import own_share
from threatloop.core.defence import Defence
from threatloop.core.detection import Inspection, Monitor, Verification
from threatloop.core.serving import InputFilter, Serving
from threatloop.core.step import Direction, Step
from threatloop.engine.model_tasks import ModelTasks
from threatloop.engine.operations.answers import ANSWERS, REFERENCE_ANSWERS
from threatloop.engine.operations.judge_defences import BEFORE
from threatloop.engine.operations.protect import WRITER
from threatloop.engine.task import Ref
from threatloop.engine.task_book import written
from threatloop.scenario.conditions import Condition
from threatloop.scenario.served import in_the_way

POOLED = frozenset({Resource.QUERY_POOL, Resource.OUT_OF_DISTRIBUTION})
ASKS_OWNER = frozenset({Resource.VICTIM, Resource.DETECTOR})


class SeedTasks(ModelTasks):
    """Tasks that attack and judge; each is made once and shared by every scenario and arm that asks for it."""

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
        informed: bool = False,
    ) -> Ref:
        """One attack on one source.

        ``owned``: the source is the attacker's own clone, with full access and nobody to count his queries. ``twice``
        is 2 where one lap has the budget of two. ``poison``: what this attacker put into the victim's training.
        ``informed``: he knows the victim's defences.
        """
        info, spec = attack.info, self.facts.target.spec
        # An attack on data that holds the victim asks the victim, whoever owns a clone by then.
        owned = owned and info.direction.source == "M" and not info.resources & ASKS_OWNER
        config: dict[str, Any] = {"attack": written(attack, ATTACKS), "device": spec.device}
        watched = not owned and any(isinstance(defence, Monitor) for defence in self.defences)
        asks = owned or watched or bool(attack.required())
        asked = self.honest() if owned else source
        if info.direction.source == "M" and not asks:
            source = self._anybody()
        modules, inputs = [type(attack).__module__], {"source": source, **(extra or {})}
        if info.direction.source == "M" or info.resources & ASKS_OWNER:
            config["grants"] = sorted(ALL_CAPABILITIES if owned else self.facts.grants)
            cap = None if spec.query_cap is None else spec.query_cap * twice
            if mixes := informed and watched and attack.questions:
                cap = None if cap is None else own_share(cap)
            config["limit"] = None if owned else query_limit(attack, cap)
            if asks and not owned:
                labels = attack.required() == {Capability.LABELS}
                standing = in_the_way(self.defences, labels=labels, informed=informed)
                self._serve(config, inputs, modules, (Serving, Monitor), standing)
                inputs |= {"prompts": self.prompts(attack)} if info.victim == "prompted" else {}
                filters = any(isinstance(defence, InputFilter) for defence in self.defences)
                if mixes:
                    config["mixing"], inputs["cover"] = True, self.role("pool")
                if informed and filters and Capability.GRADIENTS in attack.required():
                    config["informed"] = True
        self._provide_owner(info.resources, config, inputs, modules)
        if Resource.VICTIM in info.resources and not asks:
            inputs[Resource.VICTIM.value] = self._anybody()
        self._provide_data(attack, config, inputs)
        self._provide_store(attack, asked, config, inputs, modules)
        self._provide_training(attack, config, inputs, modules, poison, informed)
        if info.direction.source == "M" and asks:
            self._tell(attack, source, inputs)
        streams = self.streams.child(info.direction.value, f"lap-{lap}")
        name = ATTACKS.name_of(type(attack))
        return self._add("act", config, inputs, streams, name, modules, self._attack_work(attack))

    def _anybody(self) -> Ref:
        """Stands for any victim where nobody asks it, so that a surrogate is trained once for all sets of defences."""
        return replace(self, condition=Condition()).honest()

    def _serve(
        self,
        config: dict[str, Any],
        inputs: dict[str, Ref],
        modules: list[str],
        kinds: tuple[type[Defence], ...],
        among: Sequence[Defence] | None = None,
    ) -> None:
        """What stands in front of the victim, and the records that its thresholds come from; all where not said."""
        known = self.defences if among is None else among
        standing = [defence for defence in known if isinstance(defence, kinds)]
        if standing:
            config["serving"] = [written(defence, DEFENCES) for defence in standing]
            inputs["server"] = self.role("own")
            if any(isinstance(defence, Monitor) for defence in standing):
                inputs["strangers"] = self.role("test")
            modules += [type(defence).__module__ for defence in standing]

    def _provide_owner(
        self, resources: frozenset[Resource], config: dict[str, Any], inputs: dict[str, Ref], modules: list[str]
    ) -> None:
        """The victim, the owner's protection and his detector."""
        if Resource.VICTIM in resources:
            inputs[Resource.VICTIM.value] = self.honest()
        if Resource.DETECTOR in resources:
            inputs[Resource.DETECTOR.value] = self.role("contribution")
        if Resource.KNOWN_PAIRS in resources:
            inputs[f"{Resource.KNOWN_PAIRS}-plain"] = self.role("pool")
            inputs[f"{Resource.KNOWN_PAIRS}-protected"] = self.protected("pool")
        if resources & {Resource.PROTECTION, Resource.DETECTOR}:
            self._own(config, inputs, modules, known=Resource.DETECTOR in resources)

    def _provide_data(self, attack: Step[Any], config: dict[str, Any], inputs: dict[str, Ref]) -> None:
        """Records that the attacker holds."""
        resources = attack.info.resources
        if Resource.TARGETS in resources:
            inputs[Resource.TARGETS.value] = self.targets(attack)
        if Resource.PARTIAL in resources:
            inputs[Resource.PARTIAL.value] = self.role("candidates")
        if resources & POOLED:
            inputs[Resource.QUERY_POOL.value] = self.role("pool")
        if Resource.OUT_OF_DISTRIBUTION in resources:
            config["out_of_distribution"] = max(int(getattr(attack, "queries", 0)), 1000)
        if Resource.CANDIDATES in resources:
            inputs[Resource.CANDIDATES.value] = self.role("candidates")

    def _provide_training(
        self,
        attack: Step[Any],
        config: dict[str, Any],
        inputs: dict[str, Ref],
        modules: list[str],
        poison: Ref | None,
        informed: bool,
    ) -> None:
        """Shadow models and the victim's recipe; with its defences where the attacker imitates the victim knowingly."""
        resources = attack.info.resources
        if Resource.REFERENCE in resources:
            inputs[Resource.REFERENCE.value] = self.reference()
        if Resource.SHADOWS in resources:
            inputs |= self.shadows(poison, informed=informed)
        if Resource.LIFECYCLE in resources:
            config["training"] = self._training()
        # A thief's clone is his own product; he has no reason to hamper its training.
        imitates = attack.info.direction is not Direction.MODEL_TO_MODEL
        if informed and imitates and resources & {Resource.SHADOWS, Resource.LIFECYCLE}:
            standing = in_the_way(self.defences, labels=False, informed=True)
            serving = [one for one in standing if isinstance(one, Serving)]
            defences = [*self.lifecycle, *serving]
            config["imitated"] = [written(defence, DEFENCES) for defence in defences]
            inputs["imitator"] = self.role("pool")
            modules += [type(defence).__module__ for defence in defences]

    def answers(self, model: Ref) -> Ref:
        """What a model says of the candidates, for all that ask it about them."""
        config = {"device": self.facts.target.spec.device}
        inputs = {"model": model, "data": self.role("candidates")}
        work = {"scoring_passes": float(2 * self._share("members"))}
        return self._add("answers", config, inputs, self.streams, "read candidates", (), work)

    def _tell(self, attack: Step[Any], source: Ref, inputs: dict[str, Ref]) -> None:
        """Answers about the candidates, for an attack on a large model that wants them all."""
        if self.facts.base is None or Resource.CANDIDATES not in attack.info.resources:
            return
        if Capability.SCORES in attack.required():
            inputs[ANSWERS] = self.answers(source)
            if Resource.REFERENCE in attack.info.resources:
                inputs[REFERENCE_ANSWERS] = self.answers(self.reference())

    def like(self, data: Ref, like: Ref) -> Ref:
        """As many records of ``data`` as ``like`` has."""
        return self._add("like", {}, {"data": data, "like": like}, self.streams.child("lap-2"), "draw records")

    def prior(self, like: Ref) -> Ref:
        """Samples from the attacker's prior, as many as ``like`` has."""
        inputs = {"held": self.role("pool"), "like": like}
        return self._add("prior", {}, inputs, self.streams.child("lap-2"), "sample the prior")

    def quality(self) -> Ref:
        """How well the victim that nobody attacked fits."""
        inputs = {"victim": self.honest(), "test": self.role("test")}
        if self.facts.members_known:
            inputs["members"] = self.role("members")
        config: dict[str, Any] = {"device": self.facts.target.spec.device}
        modules: list[str] = []
        self._serve(config, inputs, modules, (Serving,))
        work = {"scoring_passes": float(self.facts.records)}
        return self._add("quality", config, inputs, self.streams, "victim's accuracy", modules, work)

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
        if Resource.REFERENCE in probe.info.resources:
            inputs[Resource.REFERENCE.value] = self.reference()
        if Resource.LIFECYCLE in probe.info.resources:
            config["training"] = self._training()
        if Resource.SHADOWS in probe.info.resources:
            inputs |= {**self.shadows(poison), "members": self.role("members")}
        self._tell(probe, source, inputs)
        modules = (type(probe).__module__,)
        work = self._attack_work(probe)
        return self._add("planted_leak", config, inputs, self.streams.child("planted"), "plant a leak", modules, work)

    def grade(self, attack: Step[Any], upstream: Sequence[Step[Any]], truths: Mapping[str, Ref]) -> Ref:
        """Every metric of an attack on an outcome."""
        metrics = attack.info.metrics
        config: dict[str, Any] = {
            "attack": written(attack, ATTACKS),
            "upstream": [written(one, ATTACKS) for one in upstream],
            "metrics": list(metrics),
            "device": self.facts.target.spec.device,
            "false_positive_rates": list(self.facts.target.spec.false_positive_rates),
        }
        modules = [type(one).__module__ for one in (attack, *upstream)]
        modules += [METRICS.path(name).partition(":")[0] for name in metrics]
        inputs = dict(truths)
        self._own(config, inputs, modules, known=bool({"original", "protected", WRITER} & set(truths)))
        judges = self._judges(attack)
        self._serve(config, inputs, modules, (Serving, *judges))
        if any(isinstance(defence, judges) for defence in self.defences):
            config["training"] = self._training()
            if Inspection in judges and self.facts.target.spec.tuning is not None:
                inputs[BEFORE] = self.victim([], gated=False)
        work = {"scoring_passes": float(self.facts.records)}
        label = f"grade {ATTACKS.name_of(type(attack))}"
        return self._add("grade", config, inputs, self.streams, label, modules, work)

    def _judges(self, attack: Step[Any]) -> tuple[type[Defence], ...]:
        """Defences that are themselves judged by what such an attack leaves behind."""
        if attack.info.direction is Direction.MODEL_TO_MODEL:
            return (Verification,)
        return (Inspection,) if attack.crafts else ()

    def _attack_work(self, attack: Step[Any]) -> dict[str, float]:
        return attack.work(self.facts.workload)


def query_limit(attack: Step[Any], cap: int | None) -> int | None:
    """The query budget of an attack: its own where it states one, never more than the target's cap."""
    limits = [int(limit) for limit in (getattr(attack, "queries", None), cap) if limit is not None]
    return min(limits, default=None)
