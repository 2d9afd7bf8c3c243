"""The engine judges: metrics over an outcome, with truths that the attacker did not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Dataset, Evidence, Model
from threatloop.core.catalogue import METRICS
from threatloop.core.digests import digest_arrays, digest_json
from threatloop.core.endpoint import REMOTE, TERMS
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Graded, Reading, merge
from threatloop.core.step import Step
from threatloop.engine.operations.act import attack_of
from threatloop.engine.operations.judge_defences import of_defences
from threatloop.engine.operations.protect import OWNER, owner_key, protection_in
from threatloop.engine.operations.serve import Front
from threatloop.engine.products import Product
from threatloop.engine.task import Task

COPIED_FACTS = ("queries", "stop_reason", "notes")


def grade(task: Task, inputs: Mapping[str, Product]) -> Product:
    """Every metric of the attack on the outcome.

    Facts: the outcome's own, the gate's, the victim's notes, ``contents``, digests of victim and outcome, and
    ``by_labels``, the metrics that depend on nothing but the likeliest classes of an outcome whose front keeps them.
    """
    attack, front = attack_of(task.config["attack"]), Front.of(task, inputs)
    case = Case(
        {name: product.value for name, product in inputs.items()},
        attack,
        task.streams,
        tuple(attack_of(one) for one in task.config["upstream"]),
        {OWNER: owner_key(task.streams)},
        {"false_positive_rates": task.config["false_positive_rates"], "touched": _touched(inputs)},
        task.config["device"],
        bool(task.local.get("allow_code")),
        protection_in(task, inputs),
        _victims(attack, inputs),
        front.before,
    )
    graded = merge(_by(name, case) for name in task.config["metrics"])
    # What an attack on training data did is known of the data that it crafted, not of the model trained on it.
    of_attack = inputs.get("crafted", inputs["outcome"]).facts
    facts = {name: of_attack[name] for name in COPIED_FACTS if name in of_attack}
    # Under another name: ``seconds`` will be what this grading takes.
    facts["attack_seconds"] = of_attack.get("seconds", 0.0)
    training = training_of(task.config["training"], task.local) if "training" in task.config else None
    alarms, queries = of_attack.get("alarms", {}), int(facts.get("queries", 0))
    judged = Graded(tuple(of_defences(case, front, training, alarms, queries)))
    graded = merge((graded, judged))
    facts["contents"] = {name: _content(inputs[name].value) for name in ("victim", "outcome") if name in inputs}
    if isinstance(inputs["outcome"].value, Model) and front.keeps_labels:
        facts["by_labels"] = [name for name in task.config["metrics"] if METRICS.load(name).info.by_labels]
    return Product(graded, {**facts, **_victim_facts(inputs)})


def _content(artefact: Dataset | Model | Evidence) -> str:
    """Digest of what it is, however it was made: a filter that removed nothing leaves the very same victim."""
    if isinstance(artefact, Evidence):
        return digest_arrays(artefact.arrays)
    if isinstance(artefact, Model) and artefact.architecture.name in REMOTE:
        # How often it may be asked is no part of it.
        about = artefact.architecture.parameters
        return digest_json({name: value for name, value in about.items() if name not in TERMS})
    return artefact.digest


def _victims(attack: Step[Any], inputs: Mapping[str, Product]) -> tuple[Model, ...]:
    """The models that answer from behind the victim's defences; a thief's clone does not."""
    names = ["victim", *(["outcome"] if attack.crafts else [])]
    return tuple(inputs[name].value for name in names if name in inputs and isinstance(inputs[name].value, Model))


def _by(name: str, case: Case) -> Graded:
    metric = METRICS.load(name)()
    missing = sorted(metric.info.needs - set(case.truths))
    if missing:
        return _undefined(name, f"this scenario has no {', '.join(missing)}")
    try:
        return metric.grade(case)
    except NotAssessable as reason:
        return _undefined(name, str(reason))


def _undefined(name: str, reason: str) -> Graded:
    return Graded((Reading(name, None, 0, undefined=reason),))


def _touched(inputs: Mapping[str, Product]) -> list[int]:
    """Ids of the records that an attack may have touched, or holds; they say nothing about membership."""
    sets = [inputs[name].value for name in ("touched", "targets", "pool") if name in inputs]
    return sorted({int(number) for data in sets for number in data.ids})


def _victim_facts(inputs: Mapping[str, Product]) -> dict[str, Any]:
    if "victim" not in inputs:
        return {}
    found = inputs["victim"]
    return {"gate": found.facts.get("gate", ""), "decisions": found.facts.get("decisions", [])}
