"""Graded steps: the truths that each is judged by, and the checks of the attack itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.measurement import ATTACK
from threatloop.core.metric import Graded, Reading
from threatloop.core.step import Step
from threatloop.engine.arms import Arm
from threatloop.engine.products import Product
from threatloop.engine.seed_tasks import SeedTasks
from threatloop.engine.task import Ref
from threatloop.scenario.build import Scenario
from threatloop.scenario.conditions import name_of


@dataclass(frozen=True)
class Figure:
    """A graded step: where its readings go in the table, the task that holds them, and checks of the attack."""

    grade: Ref
    outcome: Ref
    source: Ref
    victim: Ref | None
    scenario: str
    condition: str
    defences: tuple[str, ...]
    seed: int
    step: int
    steps: int
    lap: int
    arm: str
    attack: str
    direction: str
    by_proxy: bool
    checks: tuple[Ref, ...] = ()


def figure(
    arm: Arm,
    i: int,
    meant: Step[Any],
    scenario: Scenario,
    tasks: SeedTasks,
    truths: dict[str, Ref],
    victim: Ref | None,
    upstream: Sequence[Step[Any]],
    poison: Ref | None = None,
) -> Figure:
    found = _truths(meant, tasks, truths, victim, upstream)
    return Figure(
        tasks.grade(meant, upstream, found),
        truths["outcome"],
        truths["source"],
        victim,
        scenario.name,
        tasks.condition.name,
        tuple(name_of(defence) for defence in tasks.defences),
        tasks.seed,
        i,
        len(scenario.steps),
        arm.lap,
        arm.name,
        ATTACKS.name_of(type(meant)),
        meant.info.direction.value,
        tasks.by_proxy and _retrains(scenario.steps[:i]),
        _checks(arm, meant, tasks, truths, poison),
    )


def not_computed(figure: Figure, why: str) -> Product:
    """In place of a figure's readings: the headline one, undefined."""
    headline = ATTACKS.load(figure.attack).info.metrics[0]
    return Product(Graded((Reading(headline, None, 0, undefined=why),)))


def _truths(
    meant: Step[Any],
    tasks: SeedTasks,
    truths: Mapping[str, Ref],
    victim: Ref | None,
    upstream: Sequence[Step[Any]],
) -> dict[str, Ref]:
    """What lies before the judge: what the metrics declare, and what tells which records the attack touched."""
    infos = [METRICS.load(name).info for name in meant.info.metrics]
    wanted = {name for info in infos for name in info.needs | info.may_use}
    found = {name: ref for name, ref in truths.items() if name in wanted or name == "outcome"}
    poisoned = any(step.crafts for step in upstream)
    for name in sorted(wanted - set(found)):
        if (ref := _truth(name, tasks, truths, poisoned)) is not None:
            found[name] = ref
    if victim is not None:
        found["victim"] = victim
    if "crafted" in truths:
        found["crafted"] = truths["crafted"]
    if "skewed" in wanted and meant.info.victim == "skewed":
        found["skewed"] = tasks.skewed(meant)
    if poisoned and "members" in found:
        found["touched"] = tasks.role("contribution")
    if Resource.QUERY_POOL in meant.info.resources and "candidates" in found:
        # No member is in the pool, and the attacker knows it: what he holds himself tells nothing about membership.
        found["pool"] = tasks.role("pool")
    if "stored" in wanted and Resource.STORE in meant.info.resources:
        found["stored"] = tasks.stored(meant)
    if "system_prompts" in wanted and meant.info.victim == "prompted":
        found["system_prompts"] = tasks.prompts(meant)
    for step in (meant, *upstream):
        if step.info.targets:
            found["targets"] = tasks.targets(step)
    return found


def _retrains(steps: Sequence[Step[Any]]) -> bool:
    """Whether a figure rests on models that the recipe trained in the victim's place."""
    return any(
        step.crafts or step.info.undoes or step.info.victim == "skewed" or Resource.SHADOWS in step.info.resources
        for step in steps
    )


def _checks(
    arm: Arm, meant: Step[Any], tasks: SeedTasks, truths: Mapping[str, Ref], poison: Ref | None
) -> tuple[Ref, ...]:
    """Checks of a membership probe: the split, and a leak that is certain."""
    if arm.name != ATTACK or tasks.condition.name or Resource.CANDIDATES not in meant.info.resources:
        return ()
    return (tasks.exchangeability(), tasks.planted_leak(meant, truths["source"], poison))


def _truth(name: str, tasks: SeedTasks, truths: Mapping[str, Ref], poisoned: bool) -> Ref | None:
    """A truth by name; None where this scenario has none.

    Behind a poisoning only the victim's own records count as members: the contribution was touched, or refused.
    """
    if name == "members" and poisoned:
        return tasks.role("own")
    if name in ("test", "members", "nonmembers", "candidates"):
        return tasks.role(name)
    if name == "canaries":
        return tasks.role(name) if tasks.facts.target.spec.canaries else None
    if name == "tuned_on":
        return tasks.role("contribution") if tasks.facts.target.spec.tuning and not poisoned else None
    if name == "held":
        return tasks.role("pool")
    if name == "original":
        return tasks.role("contribution")
    if name == "protected":
        return tasks.protected()
    if name == "protected_test":
        return tasks.protected("test")
    if name == "writer":
        return tasks.writer()
    if name == "own":
        return tasks.role("own")
    if name == "evaluator":
        return tasks.evaluator()
    if name in ("trained_on_outcome", "trained_on_original", "trained_on_protected"):
        records = int(tasks.facts.target.spec.shares.contribution * tasks.facts.records)
        data = truths["outcome"] if name == "trained_on_outcome" else tasks.role("contribution")
        data = tasks.protected() if name == "trained_on_protected" else data
        return tasks.fit(data, "trained-on-outcome", records)
    return None
