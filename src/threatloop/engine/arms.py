"""What arms a scenario has: each is one way through its chain, and differs from the attack in one thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from threatloop.core.defence import Defence
from threatloop.core.measurement import (
    ADAPTIVE,
    ATTACK,
    BASELINE,
    CONTROL,
    FORM,
    MATCHED,
    ORACLE,
    SWEEP,
    SWEEP_BASELINE,
    SWEEP_CONTROL,
    UNBOUNDED,
    WITHOUT,
)
from threatloop.core.step import Step
from threatloop.engine.task import Ref
from threatloop.scenario.build import Scenario

DOUBLE = "double"
"""The control of lap 2 that spends both laps' budget in one."""


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
        informed: the attacker knows the victim's defences.
        matched: the victim of the first step is shrunk to the clean accuracy of the attacked one.
    """

    name: str
    steps: tuple[Step[Any], ...]
    graded_from: int = 1
    lap: int = 1
    start: Ref | None = None
    offers: tuple[Ref, ...] = ()
    extra: tuple[tuple[str, Ref], ...] = ()
    lift: bool = False
    informed: bool = False
    matched: bool = False


def other_arms(scenario: Scenario) -> Iterable[Arm]:
    single = len(scenario.steps) == 1
    for i, step in enumerate(scenario.steps, start=1):
        name = BASELINE if single else f"{WITHOUT}{i}"
        yield Arm(name, _replaced(scenario, i, step.as_baseline()), graded_from=i)
        if (control := step.as_control()) is not None:
            yield Arm(f"{CONTROL}{i}", _replaced(scenario, i, control), graded_from=i)
        if single and (unbounded := step.unbounded()) is not None:
            yield Arm(UNBOUNDED, (unbounded,))
    if not single and scenario.steps[0].crafts:
        steps = _replaced(scenario, 1, scenario.steps[0].as_baseline())
        yield Arm(f"{MATCHED}1", steps, graded_from=2, matched=True)
    if not single and scenario.steps[0].info.undoes:
        yield Arm(ORACLE, scenario.steps, graded_from=2, lift=True)
    yield from _sweep(scenario)


def defended_arms(scenario: Scenario, defences: Sequence[Defence]) -> Iterable[Arm]:
    """The attack as it is, every step's baseline, and the forms of an attacker who knows the defences."""
    single = len(scenario.steps) == 1
    yield Arm(ATTACK, scenario.steps)
    for i, step in enumerate(scenario.steps, start=1):
        yield Arm(BASELINE if single else f"{WITHOUT}{i}", _replaced(scenario, i, step.as_baseline()), graded_from=i)
    known = frozenset(one for defence in defences for one in defence.info.adaptations)
    forms = [step.forms(known) for step in scenario.steps]
    for k in range(max(map(len, forms), default=0)):
        steps = tuple(
            found[min(k, len(found) - 1)] if found else step for step, found in zip(scenario.steps, forms, strict=True)
        )
        yield Arm(ADAPTIVE if k == 0 else f"{ADAPTIVE}:{k + 1}", steps, informed=True)


def undefended_forms(scenario: Scenario, sets: Mapping[str, Sequence[Defence]]) -> Iterable[Arm]:
    """A single attack in every form that it takes under these conditions, where none of their defences stands.

    What a form gains by itself is no effect of a defence. Averaging over answers is left out, since there is nothing
    to average away, and so is another attack that stands in for this one.
    """
    if len(scenario.steps) != 1:
        return
    step = scenario.steps[0]
    for name, defences in sets.items():
        known = frozenset(one for defence in defences for one in defence.info.adaptations)
        for k, form in enumerate(step.forms(known), start=1):
            once = getattr(step, "expectation", None)
            one = form if once is None else form.model_copy(update={"expectation": once})
            if type(one) is type(step) and one != step:
                yield Arm(f"{FORM}{name}:{k}", (one,))


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
