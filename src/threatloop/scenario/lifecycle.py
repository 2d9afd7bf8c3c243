"""The victim's lifecycle: collect → sanitise → train → repair → serve. Defences act where they would in life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threatloop.core.assets import Dataset, Model, concatenate
from threatloop.core.defence import Defence, GateDecision, IngestGate, Registration
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


@dataclass(frozen=True)
class Lifecycle:
    """What the defender does with his own records and what others offer.

    Attributes:
        training: how the model is trained.
        defences: in the order in which they were named.
        registered: what data owners deposited with the gate.
    """

    training: Training
    defences: tuple[Defence, ...] = ()
    registered: tuple[Registration, ...] = ()

    def run(self, own: Dataset, offers: Sequence[Dataset], streams: Streams) -> tuple[Model, list[GateDecision]]:
        """The trained model and the gate's decision on each offer (none without a gate); refused offers are left out.

        All arms of a seed use the same streams, so that they differ in their data only.
        """
        gates = [defence for defence in self.defences if isinstance(defence, IngestGate)]
        if not gates:
            return self.training.fit(concatenate([own, *offers]), streams.child("train")), []
        decisions = [self._decide(offer, gates, streams.child(f"gate-{i}")) for i, offer in enumerate(offers)]
        accepted = [offer for offer, decision in zip(offers, decisions, strict=True) if decision.accepted]
        return self.training.fit(concatenate([own, *accepted]), streams.child("train")), decisions

    def _decide(self, offer: Dataset, gates: Sequence[IngestGate], streams: Streams) -> GateDecision:
        """The first refusal, or the last gate's acceptance."""
        decisions = (gate.inspect(offer, self.registered, streams) for gate in gates)
        for decision in decisions:
            if not decision.accepted:
                break
        return decision
