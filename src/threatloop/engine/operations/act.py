"""Run one attack with the access, resources and budget that the plan gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np

from threatloop import modality
from threatloop.core.access import Capability, Ledger
from threatloop.core.assets import Dataset, Evidence, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.catalogue import ATTACKS
from threatloop.core.cover import COVER
from threatloop.core.errors import AccessError, NotAssessable
from threatloop.core.protection import Detector
from threatloop.core.service import Service
from threatloop.core.step import Step
from threatloop.engine.operations.answers import REFERENCE_ANSWERS, told
from threatloop.engine.operations.protect import owner_of, protection_of
from threatloop.engine.operations.serve import Front, answered_alike, imitated
from threatloop.engine.operations.shadows import gather
from threatloop.engine.operations.store import taken
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.models.responder import local_service

ARTEFACT_MARK = "attack_artefact"


class Hides(Protocol):
    """An attack that infers a part of a record."""

    def hidden(self, data: Dataset) -> Dataset:
        """The records without that part."""


def act(task: Task, inputs: Mapping[str, Product]) -> Product:
    """What the attack returns. Facts: queries, stop reason, notes for the self-checks."""
    attack = attack_of(task.config["attack"])
    source = inputs["source"].value
    ledger, front = Ledger(task.config.get("limit")), Front.of(task, inputs)
    asked: Service | None = None
    if isinstance(source, Model):
        source = asked = _service(source, task, inputs, ledger, front)
    held = resources_of(attack, task, inputs)
    if Resource.VICTIM in attack.info.resources:
        held[Resource.VICTIM] = asked = _service(inputs[Resource.VICTIM.value].value, task, inputs, ledger, front)
    if Resource.DETECTOR in attack.info.resources:
        owner = owner_of(task, inputs, inputs[Resource.DETECTOR.value].value)
        held[Resource.DETECTOR] = Detector(owner, ledger)
    if Resource.STORE in attack.info.resources:
        held[Resource.STORE] = taken(task, inputs, ledger)
    bench = Bench(task.streams, held, Progress(), task.config["device"])
    try:
        outcome = attack.run(source, bench)
    except AccessError as refused:
        raise NotAssessable(str(refused)) from None
    # Who hides his questions pays for the others too.
    asked_in_all = ledger.spent * (COVER + 1 if front.cover is not None else 1)
    facts = {"queries": asked_in_all, "stop_reason": outcome.stop_reason, "notes": dict(bench.progress.notes)}
    if asked is not None:
        facts["alarms"] = front.alarms(asked.responder)
    return Product(_artefact(outcome.result, attack), facts)


def attack_of(written: Mapping[str, Any]) -> Step[Any]:
    """An attack object from its catalogue name and parameters."""
    return ATTACKS.load(written["name"]).model_validate(written["parameters"])


def _service(model: Model, task: Task, inputs: Mapping[str, Product], ledger: Ledger, front: Front) -> Service:
    grants = frozenset(Capability(name) for name in task.config["grants"])
    whole = local_service(model, grants, device=task.config["device"], allow_code=bool(task.local.get("allow_code")))
    return replace(whole, responder=front.watched(told(whole.responder, inputs)), grants=grants, ledger=ledger)


def resources_of(attack: Step[Any], task: Task, inputs: Mapping[str, Product]) -> dict[Resource, Any]:
    """The declared resources among the inputs; shadow chunks as one, the lifecycle as something that trains."""
    found: dict[Resource, Any] = {}
    for name in attack.info.resources | {Resource.FEEDBACK, Resource.PREVIOUS}:
        chunks = [inputs[key].value for key in sorted(inputs, key=_numbered) if key.partition("-")[0] == name.value]
        if name is Resource.LIFECYCLE:
            found[name] = imitated(task, inputs)
        elif name is Resource.OUT_OF_DISTRIBUTION:
            found[name] = _noise(inputs["query_pool"].value, task)
        elif name is Resource.PROTECTION:
            found[name] = protection_of(task.config["protection"])
        elif name is Resource.REFERENCE and chunks:
            allowed = bool(task.local.get("allow_code"))
            public = local_service(chunks[0], device=task.config["device"], allow_code=allowed)
            found[name] = replace(public, responder=told(public.responder, inputs, REFERENCE_ANSWERS))
        elif name is Resource.KNOWN_PAIRS:
            found[name] = tuple(inputs[f"{name}-{side}"].value for side in ("plain", "protected"))
        elif name is Resource.SHADOWS and chunks:
            found[name] = answered_alike(gather(chunks), inputs[Resource.CANDIDATES.value].value, task, inputs)
        elif name is Resource.PARTIAL and chunks:
            found[name] = cast("Hides", attack).hidden(replace(chunks[0], ids=np.arange(len(chunks[0]))))
        elif name is Resource.TARGETS and chunks:
            found[name] = replace(chunks[0], ids=np.arange(len(chunks[0])))
        elif name in (Resource.VICTIM, Resource.DETECTOR, Resource.STORE):
            continue
        elif name is Resource.CANDIDATES and chunks:
            # Record numbers may tell members from others; the attack gets positions instead.
            found[name] = replace(chunks[0], ids=np.arange(len(chunks[0])))
        elif chunks:
            found[name] = chunks[0]
    return found


def _numbered(name: str) -> tuple[str, int]:
    head, _, tail = name.partition("-")
    return head, int(tail) if tail.isdigit() else 0


def _noise(pool: Dataset, task: Task) -> Dataset:
    rng = task.streams.numpy("out-of-distribution")
    n = task.config["out_of_distribution"]
    x = modality.of(pool.schema).noise_records(pool.schema, n, rng)
    return Dataset(x, np.zeros(n, np.int64), pool.schema, np.full(n, -1, np.int64))


def _artefact(result: Any, attack: Step[Any]) -> Dataset | Model | Evidence:
    """What is stored: a stolen service becomes its model, marked as an attack's artefact."""
    if isinstance(result, Service):
        model = result.responder.model()
        return Model(
            model.architecture,
            model.schema,
            model.weights,
            {**model.notes, ARTEFACT_MARK: ATTACKS.name_of(type(attack))},
        )
    found: Dataset | Evidence = result
    return found
