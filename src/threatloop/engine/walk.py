"""From a scenario in one seed to tasks: every arm walks the chain once, and every step of it is graded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from threatloop.core.attack import ModelToData
from threatloop.core.bench import Resource
from threatloop.core.measurement import ATTACK, REFERENCE
from threatloop.core.step import Direction, Step
from threatloop.engine.arms import DOUBLE, Arm, defended_arms, other_arms, undefended_forms
from threatloop.engine.figures import Figure, figure
from threatloop.engine.seed_tasks import SeedTasks
from threatloop.engine.task import Ref
from threatloop.scenario.build import Scenario


@dataclass(frozen=True)
class _Walked:
    """What an arm left behind: the outcome of every step, the data it contributed, and its own records among them."""

    outcomes: tuple[Ref, ...]
    crafted: tuple[Ref, ...]
    figures: tuple[Figure, ...]
    poison: Ref | None


def expand(scenario: Scenario, seed_tasks: SeedTasks) -> list[Figure]:
    """All figures of a scenario in one seed; their tasks are added to the plan.

    Under a condition there is one lap, and no arms beside the attack, its adaptive forms and the baselines.
    """
    if seed_tasks.condition.name:
        arms = defended_arms(scenario, seed_tasks.defences)
        return [figure for arm in arms for figure in _walk(arm, scenario, seed_tasks).figures]
    whole = _walk(Arm(ATTACK, scenario.steps), scenario, seed_tasks)
    figures = [*whole.figures]
    own, conditions = seed_tasks.defences, [one for one in seed_tasks.audit.conditions if one.name]
    forms = undefended_forms(scenario, {one.name: (*own, *one.defences) for one in conditions})
    for arm in (*other_arms(scenario), *forms):
        figures += _walk(arm, scenario, seed_tasks).figures
    figures += _references(scenario, seed_tasks, whole)
    if scenario.laps == 2:
        for arm in _second_lap(scenario, seed_tasks, whole):
            figures += _walk(arm, scenario, seed_tasks).figures
    return figures


def _second_lap(scenario: Scenario, tasks: SeedTasks, first: _Walked) -> Iterable[Arm]:
    """Feedback and every use of the same knowledge without feedback, at the same total budget.

    Lap 2 enters where data turns into a model: what was laundered in lap 1 stays laundered, and recovered records
    carry no mark.
    """
    recovered, clones = first.outcomes[-1], _models_stolen(scenario, first)
    previous = tuple((Resource.PREVIOUS.value, clone) for clone in clones[-1:])
    begin = next(i for i, s in enumerate(scenario.steps, start=1) if s.info.direction.target == "M")
    laundered = first.outcomes[begin - 2] if begin > 1 else _start(scenario, tasks)
    again, prior = tasks.like(laundered, recovered), tasks.prior(recovered)

    def lap(name: str, start: Ref, fed: Ref | None) -> Arm:
        feedback = ((Resource.FEEDBACK.value, fed),) if fed else ()
        return Arm(name, scenario.steps, begin, 2, start, first.crafted, (*previous, *feedback))

    yield lap("feedback", recovered, recovered)
    yield lap("restart", again, None)
    yield lap("prior", prior, prior)
    doubled = tuple(step.with_budget(2) for step in scenario.steps)
    yield Arm(DOUBLE, doubled, begin, 2, again, first.crafted)


def _models_stolen(scenario: Scenario, walked: _Walked) -> list[Ref]:
    pairs = zip(scenario.steps, walked.outcomes, strict=True)
    return [ref for step, ref in pairs if step.info.direction is Direction.MODEL_TO_MODEL]


def _start(scenario: Scenario, tasks: SeedTasks) -> Ref:
    first = scenario.steps[0]
    if first.info.direction.source == "M":
        return _attacked(first, tasks)
    if first.info.direction is Direction.DATA_TO_DATA and first.info.undoes:
        return tasks.protected()
    # What acts on a model that is served already starts from records that the model was not trained on.
    alone = not first.crafts and len(scenario.steps) == 1
    return tasks.role("test" if alone else "contribution")


def _attacked(first: Step[Any], tasks: SeedTasks) -> Ref:
    """The victim that a scenario on a model begins with."""
    if first.info.victim == "skewed":
        return tasks.victim([], gated=False, own=tasks.skewed(first))
    return tasks.honest()


def _attacked_by(step: Step[Any], source: Ref, tasks: SeedTasks) -> Ref:
    """The victim of a poisoning, as in the attack's own arm."""
    return tasks.victim([tasks.act(step, source, owned=False)], step)


def _walk(arm: Arm, scenario: Scenario, tasks: SeedTasks) -> _Walked:
    source = arm.start or _start(scenario, tasks)
    victim = source if scenario.steps[0].info.direction.source == "M" else None
    owned, outcomes, crafted, figures = False, [], [], []
    poison: Ref | None = None
    for i, (step, meant) in enumerate(zip(arm.steps, scenario.steps, strict=True), start=1):
        if arm.lap > 1 and i < arm.graded_from:
            continue
        direction = meant.info.direction
        outcome = _run(arm, i, step, source, owned, tasks, poison)
        truths = {"source": source, "outcome": outcome}
        if meant.crafts:
            crafted.append(outcome)
            victim = tasks.victim([*arm.offers, outcome], None if step.info.unchanged else step)
            if arm.matched and i == 1:
                victim = tasks.matched(_attacked_by(meant, source, tasks), [outcome])
            truths |= {"crafted": outcome, "outcome": victim}
            poison = outcome if step.info.adds_records else poison
            outcome, owned = victim, False
        if i >= arm.graded_from:
            upstream = scenario.steps[: i - 1]
            asked = tasks.honest() if victim is None and Resource.VICTIM in meant.info.resources else victim
            # At another budget it is judged by that budget; a baseline is judged by the attack that it stands in for.
            judged = step if type(step) is type(meant) else meant
            figures.append(figure(arm, i, judged, scenario, tasks, truths, asked, upstream, poison))
        owned = owned or direction is Direction.MODEL_TO_MODEL
        source = outcome
        outcomes.append(outcome)
    return _Walked(tuple(outcomes), tuple(crafted), tuple(figures), poison)


def _run(
    arm: Arm, i: int, step: Step[Any], source: Ref, owned: bool, tasks: SeedTasks, poison: Ref | None = None
) -> Ref:
    """What a step makes of its source; the engine itself lifts the protection where the arm says so."""
    if arm.lift and i == 1:
        return tasks.role("contribution")
    if step.info.unchanged:
        return source
    return tasks.act(
        step,
        source,
        owned=owned,
        lap=arm.lap,
        extra=_extra(step, arm),
        twice=2 if arm.name == DOUBLE else 1,
        poison=poison,
        informed=arm.informed,
    )


def _extra(step: Step[Any], arm: Arm) -> Mapping[str, Ref]:
    """Feedback reaches the steps that query a model; others start from it anyway."""
    return dict(arm.extra) if step.info.direction is Direction.MODEL_TO_MODEL else {}


def _references(scenario: Scenario, tasks: SeedTasks, whole: _Walked) -> list[Figure]:
    """The last step on another model, which sets a scale.

    ``victim`` instead of the clone: how much the theft loses. For one attack that recovers data, a model that has seen
    no member, so that what the attack makes of it is no leak: ``base``, which the victim was tuned from, or
    ``surrogate``, which the attacker trains on his own pool.
    """
    *before, last = scenario.steps
    if not before and isinstance(last, ModelToData) and last.required():
        name = "surrogate" if tasks.facts.base is None else "base"
        return [_reference(name, tasks.reference(), scenario, tasks, whole)]
    if before and before[-1].info.direction is Direction.MODEL_TO_MODEL:
        victim = whole.outcomes[-3] if len(before) > 1 else tasks.honest()
        return [_reference("victim", victim, scenario, tasks, whole)]
    return []


def _reference(name: str, source: Ref, scenario: Scenario, tasks: SeedTasks, whole: _Walked) -> Figure:
    *before, last = scenario.steps
    arm = Arm(f"{REFERENCE}{name}", scenario.steps)
    outcome = tasks.act(last, source, owned=True, poison=whole.poison)
    truths = {"source": source, "outcome": outcome}
    return figure(arm, len(scenario.steps), last, scenario, tasks, truths, source, before, whole.poison)
