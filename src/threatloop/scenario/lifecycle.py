"""The victim's lifecycle: collect → sanitise → train → repair → serve. Defences act where they would in life."""
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Architecture, Dataset, Model, concatenate
from threatloop.core.defence import Defence, Repair, Sanitiser, TrainingDefence
from threatloop.core.detection import Verification
from threatloop.core.protection import GateDecision, IngestGate, Registration
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.core.serving import Serving
from threatloop.core.training import Training
from threatloop.scenario.served import of_kind, served

PROOF = "proof"
"""Child of a seed's streams that ownership marks are drawn from, in training and in verification alike."""


@dataclass(frozen=True)
class Lifecycle:
    """What the defender does with his own records and what others offer.

    Attributes:
        training: how the model is trained, without defences.
        defences: in the order in which they were named; within a stage they act in this order.
        registered: what data owners deposited with the gate.
        tuning: by which recipe offers are trained on, where that happens after the own records; None: together.
    """

    training: Training
    defences: tuple[Defence, ...] = ()
    registered: tuple[Registration, ...] = ()
    tuning: Recipe | None = None

    def run(
        self, own: Dataset, offers: Sequence[Dataset], streams: Streams, start: Model | None = None
    ) -> tuple[Model, list[GateDecision]]:
        """The trained model and the gate's decision on each offer (none without a gate); refused offers are left out.

        All arms of a seed use the same streams, so that they differ in their data only. ``start`` is the model made
        of the own records, where offers are trained on afterwards.
        """
        accepted, decisions = self._ingested(offers, streams)
        data = concatenate([own, *accepted])
        trusted = np.arange(len(data)) < len(own)
        training = DefendedTraining(self.training, self.defences)
        if start is None:
            return training.made_of(data, trusted, streams, "train"), decisions
        return training.tuned(start, data, trusted, streams, self.tuning), decisions

    def _ingested(self, offers: Sequence[Dataset], streams: Streams) -> tuple[list[Dataset], list[GateDecision]]:
        gates = of_kind(self.defences, IngestGate)
        if not gates:
            return list(offers), []
        decisions = [self._decide(offer, gates, streams.child(f"gate-{i}")) for i, offer in enumerate(offers)]
        return [offer for offer, decision in zip(offers, decisions, strict=True) if decision.accepted], decisions

    def _decide(self, offer: Dataset, gates: Sequence[IngestGate], streams: Streams) -> GateDecision:
        """The first refusal, or the last gate's acceptance."""
        decisions = (gate.inspect(offer, self.registered, streams) for gate in gates)
        for decision in decisions:
            if not decision.accepted:
                break
        return decision


@dataclass(frozen=True)
class DefendedTraining:
    """Training as the victim trains: sanitise, train, repair. For the victim, and for whoever imitates him.

    Whoever asks for soft targets, another recipe, architecture or start wants a model of his own and gets it without
    defences.

    Attributes:
        plain: without defences.
        defences: of any stage; those of other stages are passed over.
        held: what `serve` sets the thresholds of serving defences by; without it they are left out.
        streams: of `serve`.
    """

    plain: Training
    defences: tuple[Defence, ...]
    held: Dataset | None = None
    streams: Streams = field(default_factory=lambda: Streams(0))

    @property
    def architecture(self) -> Architecture:
        return self.plain.architecture

    @property
    def recipe(self) -> Recipe:
        return self.plain.recipe

    def made_of(self, data: Dataset, trusted: npt.NDArray[np.bool_], streams: Streams, role: str) -> Model:
        """The model made of these records; ``trusted`` bool (n,) marks the defender's own."""
        data, trusted = self._sanitised(data, trusted, streams)
        training = self._trained()
        return self._repaired(training.fit(data, streams.child(role)), data, trusted, training, streams)

    def tuned(
        self, start: Model, data: Dataset, trusted: npt.NDArray[np.bool_], streams: Streams, recipe: Recipe | None
    ) -> Model:
        """What becomes of a model made of the trusted records when it is tuned on the others."""
        data, trusted = self._sanitised(data, trusted, streams, start)
        training, offered = self._trained(), data.take(~trusted)
        model = start
        if len(offered):
            for i, defence in enumerate(of_kind(self.defences, TrainingDefence)):
                draws = streams.child(f"tuned-on-{i}")
                offered = defence.tuned_on(offered, data.take(trusted), draws)
                training = defence.tuned_by(training, data.take(trusted), draws)
            model = training.fit(offered, streams.child("tune"), recipe=recipe, init=start)
        return self._repaired(model, data, trusted, training, streams, start)

    def _sanitised(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], streams: Streams, start: Model | None = None
    ) -> tuple[Dataset, npt.NDArray[np.bool_]]:
        for i, sanitiser in enumerate(of_kind(self.defences, Sanitiser)):
            kept = sanitiser.keep_beside(start, data, trusted, self.plain, streams.child(f"sanitise-{i}"))
            data, trusted = data.take(kept), trusted[kept]
        return data, trusted

    def _repaired(
        self,
        model: Model,
        data: Dataset,
        trusted: npt.NDArray[np.bool_],
        training: Training,
        streams: Streams,
        start: Model | None = None,
    ) -> Model:
        for i, repair in enumerate(of_kind(self.defences, Repair)):
            draws = streams.child(f"repair-{i}")
            if start is None:
                model = repair.repair_all(model, data, trusted, training, draws)
            else:
                model = repair.repair_tuned(model, start, data, trusted, training, draws)
        return model

    def fit(
        self,
        data: Dataset,
        streams: Streams,
        *,
        soft_targets: npt.NDArray[np.float32] | None = None,
        architecture: Architecture | None = None,
        recipe: Recipe | None = None,
        init: Model | None = None,
    ) -> Model:
        """See `threatloop.core.training.Training.fit`."""
        given: dict[str, Any] = {
            "soft_targets": soft_targets,
            "architecture": architecture,
            "recipe": recipe,
            "init": init,
        }
        if any(one is not None for one in given.values()):
            return self.plain.fit(data, streams, **given)
        return self.made_of(data, np.ones(len(data), np.bool_), strangers(streams), "imitate")

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks`` (K, n); all at once where only the training itself is defended."""
        if of_kind(self.defences, Sanitiser) or of_kind(self.defences, Repair):
            return [self.fit(pool.take(mask), one) for mask, one in zip(masks, streams, strict=True)]
        return self._trained().fit_many(pool, masks, [strangers(one) for one in streams])

    def answers(self, models: Sequence[Model], data: Dataset) -> npt.NDArray[np.float32]:
        """Log-probabilities (K, n, ...) of every model on every record, as `serve` serves them."""
        if self.held is None or not of_kind(self.defences, Serving):
            return self.plain.answers(models, data)
        return np.stack([self.serve(model).log_probs(data.x) for model in models])

    def serve(self, model: Model) -> Service:
        """The model as a service that the caller owns, served as the victim is."""
        service = self.plain.serve(model)
        if self.held is None:
            return service
        return replace(service, responder=served(service.responder, self.defences, self.held, self.streams))

    def module(self, model: Model) -> Any:
        """The network, in eval mode."""
        return self.plain.module(model)

    def with_recipe(self, recipe: Recipe) -> Training:
        """The same lifecycle around training by another recipe."""
        return replace(self, plain=self.plain.with_recipe(recipe))

    def _trained(self) -> Training:
        training = self.plain
        # What plants a mark wraps whatever trains, wherever it was named.
        for defence in sorted(of_kind(self.defences, TrainingDefence), key=lambda one: isinstance(one, Verification)):
            training = defence.applied(training)
        return training


def strangers(streams: Streams) -> Streams:
    """Streams of whoever imitates the victim: he knows the scheme of an ownership mark, and draws his own secret."""
    seed, *rest = streams.path or ("",)
    return Streams(streams.run_seed, (f"imitator-{seed}", *rest))
