"""What a run says about itself: ``run.json`` from the plan, the tally and what was collected."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from typing import Any

import numpy as np

from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.digests import digest_json
from threatloop.core.endpoint import Terms
from threatloop.core.measurement import MetricNote, Notice, RunRecord, VictimNote
from threatloop.core.study_note import StudyNote
from threatloop.engine.collect import Collected
from threatloop.engine.facts import table
from threatloop.engine.operations import module_of
from threatloop.engine.plan import Plan
from threatloop.engine.products import NotAssessed, decode
from threatloop.engine.profile import environment
from threatloop.engine.schedule import Tally
from threatloop.engine.sources import source_digest
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task
from threatloop.scenario.build import Audit, Scenario

FIGURES_COME_FROM = ("train", "act", "grade")
"""The operations between an attack's code and its figures."""


def identity(audit: Audit, started: datetime) -> str:
    return f"{started:%Y%m%dT%H%M%SZ}-{digest_json(audit.spec.model_dump(mode='json'))[:8]}"


def record_of(
    plan: Plan,
    command: str,
    workers: int,
    collected: Collected,
    tally: Tally,
    started: datetime,
    seconds: float,
    victims: tuple[VictimNote, ...],
    study: StudyNote | None = None,
    cpu_seconds: float | None = None,
) -> RunRecord:
    audit = plan.audit
    device = next(iter(plan.facts.values())).target.spec.device
    attacks = {type(step) for scenario in audit.scenarios for step in scenario.steps}
    errors = [_error(plan.tasks[key], why) for key, why in tally.failed.items()]
    errors += collected.lost
    facts = table(plan.facts)
    for name in facts:
        facts[name]["victim"] = _means(victims, name)
    return RunRecord(
        run=identity(audit, started),
        name=audit.spec.name,
        threatloop=metadata.version("threatloop"),
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        peak_memory_mib=round(peak_memory_mib(workers), 1),
        run_seed=audit.spec.seed,
        seeds=audit.spec.seeds,
        command=command,
        spec=audit.spec.model_dump(mode="json", exclude_none=True),
        targets=facts,
        scenarios={scenario.name: _scenario(scenario) for scenario in audit.scenarios},
        attacks={ATTACKS.name_of(cls): _about(cls) for cls in sorted(attacks, key=lambda cls: cls.__name__)},
        conditions={one.name: one.written() for one in audit.conditions if one.name},
        victims=victims,
        study=study,
        metrics=_metric_notes({name for cls in attacks for name in cls.info.metrics}),
        tasks=_counts(plan, tally),
        worker_seconds={name: round(value, 2) for name, value in sorted(tally.seconds.items())},
        cpu_seconds=cpu_seconds,
        environment=environment(device),
        errors=tuple(errors),
        not_assessed=(*plan.not_assessed, *_grouped(collected.not_assessed, audit.spec.seeds)),
        self_checks=tuple(collected.self_checks),
        notes=(*(f"recomputed: {line}" for line in tally.corrupt), *_cautions(plan)),
        gallery=tuple(collected.items),
    )


def _counts(plan: Plan, tally: Tally) -> dict[str, int]:
    trained, asked = plan.trainings()
    return {
        "planned": tally.planned,
        "executed": tally.executed,
        "cached": tally.cached,
        "failed": len(tally.failed),
        "skipped": len(tally.skipped),
        "retried": tally.retried,
        "models_trained": trained,
        "models_requested": asked,
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    attacks = [ATTACKS.name_of(type(step)) for step in scenario.steps]
    return {"attacks": attacks, "laps": scenario.laps, **_swept(scenario)}


def _swept(scenario: Scenario) -> dict[str, Any]:
    """Which step's budget was varied, its field, and its value in the attack itself."""
    position, values = scenario.swept
    if not values:
        return {}
    step = scenario.steps[position]
    return {"sweep": {"step": position + 1, "field": step.info.sweep, "value": getattr(step, step.info.sweep)}}


def _cautions(plan: Plan) -> list[str]:
    """What a reader must know of the intervals where the user brought trained weights."""
    return [
        f"{name}: {_brought(facts.target.spec.endpoint)}, so all seeds attack one and the same model; intervals cover "
        "the attacks' randomness, not another training of the victim"
        for name, facts in plan.facts.items()
        if facts.target.spec.brought
    ] + [
        f"{name}: nobody named the records that the model was trained on, so what counts as held out here may have "
        "been among them"
        for name, facts in plan.facts.items()
        if not facts.members_known
    ]


def _brought(endpoint: Terms | None) -> str:
    if endpoint is None:
        return "trained weights were brought"
    return f"the model is served at {endpoint.place} (audit authorised by {endpoint.authorised_by})"


def _error(task: Task, why: str) -> Notice:
    return Notice(target=str(task.local.get("target", "")), what=task.label, why=why)


def _grouped(notices: list[Notice], seeds: int) -> list[Notice]:
    """One line for all the seeds that cannot be assessed for the same reason."""
    groups: dict[tuple[str, str, str, str], list[int]] = {}
    for notice in notices:
        groups.setdefault((notice.target, notice.scenario, notice.what, notice.why), []).append(notice.seed or 0)
    lines = []
    for (target, scenario, what, why), found in groups.items():
        reason = why if len(found) == seeds else f"{why} (seeds {', '.join(map(str, found))})"
        lines.append(Notice(target=target, scenario=scenario, what=what, why=reason))
    return lines


def _about(cls: Any) -> dict[str, Any]:
    info = cls.info
    return {
        "title": info.title,
        "direction": info.direction.value,
        "knowledge": info.knowledge,
        "needs": sorted(info.needs),
        "paper": info.paper,
        "atlas": list(info.atlas),
        "baseline": info.baseline,
        "metrics": list(info.metrics),
        "code": _code(cls),
    }


def _code(cls: Any) -> str:
    """Digest of the sources that an attack's figures come from: its own, its judges' and the operations'."""
    judges = [METRICS.path(name).partition(":")[0] for name in cls.info.metrics]
    modules = [cls.__module__, *judges, *map(module_of, FIGURES_COME_FROM)]
    return digest_json({name: source_digest(name) for name in modules})


def _metric_notes(names: set[str]) -> dict[str, MetricNote]:
    notes = {}
    for name in sorted(names):
        info = METRICS.load(name).info
        notes[name] = MetricNote(
            title=info.title, unit=info.unit, worst=info.worst, margin=info.margin, meaning=info.meaning
        )
    return notes


def victims_of(plan: Plan, store: Store, tally: Tally) -> tuple[VictimNote, ...]:
    """How well the victim of every target, condition and seed fits; without those that failed."""
    found = []
    for (target, condition, seed), (quality, victim) in plan.victims.items():
        key = quality.key
        if key in tally.failed or key in tally.skipped or not store.has(key):
            continue
        product = decode(store.get(key))
        if isinstance(product.value, NotAssessed):
            continue
        values = {reading.metric: reading.value for reading in product.value.readings}
        made = decode(store.get(victim.key, mmap=True)).facts if plan.tasks[victim.key].operation == "train" else {}
        found.append(
            VictimNote(
                target=target,
                condition=condition,
                seed=seed,
                test_accuracy=values.get("test_accuracy"),
                train_accuracy=values.get("train_accuracy"),
                test_loss=values.get("test_loss"),
                train_loss=values.get("train_loss"),
                seconds=made.get("seconds"),
                answer_seconds=product.facts.get("answer_seconds"),
            )
        )
    return tuple(found)


def _means(victims: Sequence[VictimNote], target: str) -> dict[str, dict[str, Any]]:
    """The mean over seeds of each figure of the target's victims, as it is."""
    found = {}
    for metric in ("train_accuracy", "test_accuracy", "train_loss", "test_loss"):
        of_target = [getattr(one, metric) for one in victims if one.target == target and not one.condition]
        if known := [value for value in of_target if value is not None]:
            found[metric] = {"mean": float(np.mean(known)), "seeds": len(known)}
    return found


def processor_seconds() -> float:
    """Processor time of this process and of the workers that have ended, so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_memory_mib(workers: int) -> float:
    """Upper bound of the resident memory of all processes together, in MiB: every worker as large as the largest."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return float(own + workers * largest) / 1024
