"""Defences as detectors and as proofs: what monitors, inspections and verifications say of an attack's outcome."""
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Iterator, Mapping

from threatloop.core.assets import Dataset, Model
from threatloop.core.catalogue import DEFENCES
from threatloop.core.detection import Inspection, Verification
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Reading
from threatloop.core.training import Training
from threatloop.engine.operations.serve import Alarm, Front
from threatloop.models.responder import responder_of
from threatloop.scenario.lifecycle import PROOF
from threatloop.scenario.served import of_kind

BEFORE = "before"
"""The truth that is the model before it was tuned."""
SIGNIFICANT = 0.01
"""p-value at which an owner claims a model as his."""


def of_defences(
    case: Case, front: Front, training: Training | None, alarms: Mapping[str, Alarm], queries: int
) -> Iterator[Reading]:
    """Readings ``monitor.NAME.flagged``, ``.queries`` and ``.benign_flagged``, ``inspection.NAME.flagged`` and
    ``.score``, ``ownership.NAME.claimed``, ``.p`` and ``.evidence`` of the clone, and the same of the victim, as in
    ``.victim_claimed``. Shares are 0 or 1, one decision a seed, but for ``benign_flagged``, a share of
    clients; evidence is the proof's own statistic, such as the share of a trigger set that is answered as marked.

    In a baseline's arm they are the false alarms and false claims.
    """
    for name, alarm in alarms.items():
        yield from _watched(f"monitor.{name}", alarm, queries)
    model = case.truths["outcome"]
    if training is None or not isinstance(model, Model):
        return
    for inspection in of_kind(front.defences, Inspection):
        yield from _inspected(inspection, model, case, front, training)
    for verification in of_kind(front.defences, Verification):
        yield from _claimed(verification, model, case, front, training)


def _watched(name: str, alarm: Alarm, queries: int) -> Iterator[Reading]:
    if "reason" in alarm:
        yield Reading(f"{name}.flagged", None, 0, undefined=alarm["reason"])
        return
    after, clients = alarm["after"], alarm["clients"]
    yield Reading(f"{name}.flagged", float(after > 0), 1)
    never = f"none of {queries} queries was flagged"
    yield Reading(f"{name}.queries", float(after) if after else None, 1, undefined="" if after else never)
    if clients:
        yield Reading(f"{name}.benign_flagged", alarm["benign"] / clients, clients)


def _inspected(inspection: Inspection, model: Model, case: Case, front: Front, training: Training) -> Iterator[Reading]:
    name = f"inspection.{DEFENCES.name_of(type(inspection))}"
    offered, before = case.truths.get("crafted"), case.truths.get(BEFORE)
    assert offered is None or isinstance(offered, Dataset)
    assert before is None or isinstance(before, Model)
    try:
        found = inspection.inspect_tuned(model, offered, front.held, training, front.streams.child(name), before)
    except NotAssessable as reason:
        yield Reading(f"{name}.flagged", None, 0, undefined=str(reason))
        return
    yield Reading(f"{name}.flagged", float(found.flagged), 1)
    yield Reading(f"{name}.score", found.score, 1)


def _claimed(proof: Verification, clone: Model, case: Case, front: Front, training: Training) -> Iterator[Reading]:
    """The claim on the clone, and on the victim itself as it is served: a mark may be lost in either."""
    name = f"ownership.{DEFENCES.name_of(type(proof))}"
    outside, streams = case.get("test", Dataset), case.streams.of_seed().child(PROOF)
    for whose, model in (("", clone), ("victim_", case.truths.get("victim"))):
        if not isinstance(model, Model):
            continue
        bare = responder_of(model, case.device, allow_code=case.allow_code)
        suspect = case.behind_defences(model, bare)
        try:
            found = proof.claim(suspect.log_probs, front.held, outside, training, streams)
        except NotAssessable as reason:
            yield Reading(f"{name}.{whose}claimed", None, 0, undefined=str(reason))
            continue
        yield Reading(f"{name}.{whose}claimed", float(found.p_value <= SIGNIFICANT), 1)
        yield Reading(f"{name}.{whose}p", found.p_value, 1)
        yield Reading(f"{name}.{whose}evidence", found.statistic, 1)
