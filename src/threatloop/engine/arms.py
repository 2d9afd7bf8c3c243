"""From a scenario in one seed to tasks: every arm walks the chain once, and every step of it is graded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from threatloop.core.attack import Direction, Step
from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.measurement import (
    ATTACK,
    BASELINE,
    CONTROL,
    ORACLE,
    REFERENCE,
    SWEEP,
    SWEEP_BASELINE,
    SWEEP_CONTROL,
    UNBOUNDED,
    WITHOUT,
)
from threatloop.engine.seed_tasks import SeedTasks
from threatloop.engine.task import Ref
from threatloop.scenario.build import Scenario

DOUBLE = "double"
"""The control of lap 2 that spends both laps' budget in one."""


@dataclass(frozen=True)
class Figure:
    """A graded step: where its readings go in the table, the task that holds them, and checks of the attack."""

    grade: Ref
    outcome: Ref
    source: Ref
    victim: Ref | None
    scenario: str
    seed: int
    step: int
    steps: int
    lap: int
    arm: str
    attack: str
    direction: str
    by_proxy: bool
    checks: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One way through a chain.

    Attributes:
        name: as in the measurement table.
        steps: what is run; baselines stand where the arm replaces a step.
        graded_from: 1-based; earlier steps are the same as in the ``attack`` arm, and are not run in lap 2.
        lap: 1 or 2.
        start: what the chain starts from, or None for its natural start.
        offers: contributions of the lap before; the gate decides about them again, in the same way.
        extra: feedback and the clone of the lap before.
        lift: the first step is replaced by the engine's own lifting of the protection.
    """

    name: str
    steps: tuple[Step[Any], ...]
    graded_from: int = 1
    lap: int = 1
    start: Ref | None = None
    offers: tuple[Ref, ...] = ()
    extra: tuple[tuple[str, Ref], ...] = ()
    lift: bool = False


@dataclass(frozen=True)
class _Walked:
    """What an arm left behind: the outcome of every step, and the data it contributed."""

    outcomes: tuple[Ref, ...]
    crafted: tuple[Ref, ...]
    figures: tuple[Figure, ...]


def expand(scenario: Scenario, seed_tasks: SeedTasks) -> list[Figure]:
    """All figures of a scenario in one seed; their tasks are added to the plan."""
    whole = _walk(Arm(ATTACK, scenario.steps), scenario, seed_tasks)
    figures = [*whole.figures]
    for arm in _other_arms(scenario):
        figures += _walk(arm, scenario, seed_tasks).figures
    if len(scenario.steps) > 1:
        figures += _victim_reference(scenario, seed_tasks, whole)
    if scenario.laps == 2:
        for arm in _second_lap(scenario, seed_tasks, whole):
            figures += _walk(arm, scenario, seed_tasks).figures
    return figures


def _other_arms(scenario: Scenario) -> Iterable[Arm]:
    single = len(scenario.steps) == 1
    for i, step in enumerate(scenario.steps, start=1):
        name = BASELINE if single else f"{WITHOUT}{i}"
        yield Arm(name, _replaced(scenario, i, step.as_baseline()), graded_from=i)
        if (control := step.as_control()) is not None:
            yield Arm(f"{CONTROL}{i}", _replaced(scenario, i, control), graded_from=i)
        if single and (unbounded := step.unbounded()) is not None:
            yield Arm(UNBOUNDED, (unbounded,))
    if not single and scenario.steps[0].info.undoes:
        yield Arm(ORACLE, scenario.steps, graded_from=2, lift=True)
    yield from _sweep(scenario)


def _replaced(scenario: Scenario, i: int, step: Step[Any]) -> tuple[Step[Any], ...]:
    """The scenario's steps with the i-th, counted from 1, replaced."""
    return (*scenario.steps[: i - 1], step, *scenario.steps[i:])


def _sweep(scenario: Scenario) -> Iterable[Arm]:
    """One step's budget at other values; with its baseline and its control where those have the same budget."""
    position, values = scenario.swept
    i = position + 1
    for value, step in values:
        found: list[tuple[str, Step[Any] | None]] = [(SWEEP, step), (SWEEP_CONTROL, step.as_control())]
        if step.info.sweep in type(baseline := step.as_baseline()).model_fields:
            found.append((SWEEP_BASELINE, baseline))
        for prefix, one in found:
            if one is not None:
                yield Arm(f"{prefix}{value:g}", _replaced(scenario, i, one), graded_from=i)


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
    # What evades needs no protection to be undone: it starts from records that the model was not trained on.
    alone = first.info.direction is Direction.DATA_TO_DATA and len(scenario.steps) == 1
    return tasks.role("test" if alone else "contribution")


def _attacked(first: Step[Any], tasks: SeedTasks) -> Ref:
    """The victim that a scenario on a model begins with."""
    if first.info.victim == "skewed":
        return tasks.victim([], gated=False, own=tasks.skewed(first))
    return tasks.honest()


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
        if direction is Direction.DATA_TO_MODEL:
            crafted.append(outcome)
            victim = tasks.victim([*arm.offers, outcome], None if step.info.unchanged else step)
            truths |= {"crafted": outcome, "outcome": victim}
            poison = outcome if step.info.adds_records else poison
            outcome, owned = victim, False
        if i >= arm.graded_from:
            upstream = scenario.steps[: i - 1]
            asked = tasks.honest() if victim is None and Resource.VICTIM in meant.info.resources else victim
            # At another budget it is judged by that budget; a baseline is judged by the attack that it stands in for.
            judged = step if type(step) is type(meant) else meant
            figures.append(_figure(arm, i, judged, scenario, tasks, truths, asked, upstream, poison))
        owned = owned or direction is Direction.MODEL_TO_MODEL
        source = outcome
        outcomes.append(outcome)
    return _Walked(tuple(outcomes), tuple(crafted), tuple(figures))


def _run(
    arm: Arm, i: int, step: Step[Any], source: Ref, owned: bool, tasks: SeedTasks, poison: Ref | None = None
) -> Ref:
    """What a step makes of its source; the engine itself lifts the protection where the arm says so."""
    if arm.lift and i == 1:
        return tasks.role("contribution")
    if step.info.unchanged:
        return source
    twice = 2 if arm.name == DOUBLE else 1
    return tasks.act(step, source, owned=owned, lap=arm.lap, extra=_extra(step, arm), twice=twice, poison=poison)


def _extra(step: Step[Any], arm: Arm) -> Mapping[str, Ref]:
    """Feedback reaches the steps that query a model; others start from it anyway."""
    return dict(arm.extra) if step.info.direction is Direction.MODEL_TO_MODEL else {}


def _figure(
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
    infos = [METRICS.load(name).info for name in meant.info.metrics]
    wanted = {name for info in infos for name in info.needs | info.may_use}
    found = {name: ref for name, ref in truths.items() if name in wanted or name == "outcome"}
    poisoned = any(step.info.direction is Direction.DATA_TO_MODEL for step in upstream)
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
    for step in (meant, *upstream):
        if step.info.targets:
            found["targets"] = tasks.targets(step)
    return Figure(
        tasks.grade(meant, upstream, found),
        truths["outcome"],
        truths["source"],
        victim,
        scenario.name,
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


def _retrains(steps: Sequence[Step[Any]]) -> bool:
    """Whether a figure rests on models that the recipe trained in the victim's place."""
    return any(
        step.info.direction is Direction.DATA_TO_MODEL or step.info.undoes or Resource.SHADOWS in step.info.resources
        for step in steps
    )


def _checks(
    arm: Arm, meant: Step[Any], tasks: SeedTasks, truths: Mapping[str, Ref], poison: Ref | None
) -> tuple[Ref, ...]:
    """Checks of a membership probe: the split, and a leak that is certain."""
    if arm.name != ATTACK or Resource.CANDIDATES not in meant.info.resources:
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
    if name == "held":
        return tasks.role("pool")
    if name == "original":
        return tasks.role("contribution")
    if name == "protected":
        return tasks.protected()
    if name == "protected_test":
        return tasks.protected("test")
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


def _victim_reference(scenario: Scenario, tasks: SeedTasks, whole: _Walked) -> list[Figure]:
    """The last step on the victim itself instead of on the clone: how much the theft loses."""
    *_, before, last = scenario.steps
    if before.info.direction is not Direction.MODEL_TO_MODEL:
        return []
    victim = whole.outcomes[-3] if len(scenario.steps) > 2 else tasks.honest()
    outcome = tasks.act(last, victim, owned=True)
    arm = Arm(f"{REFERENCE}victim", scenario.steps)
    truths = {"source": victim, "outcome": outcome}
    return [_figure(arm, len(scenario.steps), last, scenario, tasks, truths, victim, scenario.steps[:-1])]
