"""What a spec asks for against what its data and services can give: all problems at once, before any compute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.defence import Defence, Stage
from threatloop.core.errors import Problems
from threatloop.core.measurement import Notice
from threatloop.core.protection import IngestGate
from threatloop.core.schema import TextSchema
from threatloop.core.step import Direction, Step
from threatloop.engine.facts import TargetFacts
from threatloop.numerics.roc import MIN_FALSE_POSITIVES
from threatloop.scenario.build import Audit, Condition, Scenario
from threatloop.scenario.conditions import name_of

OF_MEMBERS = frozenset({"members", "nonmembers", "candidates", "canaries"})
AMONG_MEMBERS = frozenset({Resource.CANDIDATES, Resource.SHADOWS, Resource.PARTIAL})
BEFORE_SERVING = frozenset({Stage.DATA, Stage.TRAINING, Stage.MODEL})


def check(audit: Audit, facts: Mapping[str, TargetFacts]) -> None:
    """Compare a checked spec with the targets' schemas, sizes and access.

    Raises:
        Problems: defences that cannot read the records, parameters that do not fit the data, access that the service
            does not grant, false-positive rates that the data cannot resolve.
    """
    problems = [problem for target in facts.values() for problem in _of_target(target)]
    for condition in audit.conditions:
        reasons = [inapplicable(condition, target) for target in facts.values()]
        if all(reasons):
            problems += [f"defences.{condition.name}: {reason}" for reason in dict.fromkeys(reasons)]
    for scenario in audit.scenarios:
        for name in scenario.targets:
            if not unsupported(scenario, facts[name]):
                problems += [*_parameters(scenario, facts[name]), *_access(scenario, facts[name])]
    if problems:
        raise Problems("spec", problems)


def without_unfit(audit: Audit, facts: Mapping[str, TargetFacts]) -> tuple[Audit, list[Notice]]:
    """The audit without the optional conditions that fit none of its targets, and a line about each."""
    notices = []
    for condition in audit.conditions:
        reasons = [inapplicable(condition, target) for target in facts.values()]
        if condition.name in audit.optional and all(reasons):
            notices.append(Notice(what=f"defence {condition.name}", why=reasons[0]))
    return audit.without({notice.what.removeprefix("defence ") for notice in notices}), notices


def unsupported(scenario: Scenario, facts: TargetFacts) -> str:
    """Why a scenario cannot be assessed on these records; empty where it can."""
    for step in scenario.steps:
        if facts.schema.kind not in step.info.modalities:
            kinds = ", ".join(sorted(step.info.modalities))
            return f"{step.info.title} works on {kinds} records; {facts.target.name} holds {facts.schema.kind} records"
    if not facts.members_known and (judged := _judged_by_members(scenario)) is not None:
        return (
            f"{judged.info.title} is judged by the records that the model was trained on, and nobody named them; give "
            "their numbers in a file as `members:`"
        )
    if facts.target.spec.endpoint is not None:
        for step, missing in _lacking(scenario, facts):
            return f"{step.info.title} needs {', '.join(missing)}; {_refused(missing, facts)}"
    return ""


def _judged_by_members(scenario: Scenario) -> Step[Any] | None:
    """The first step on the model that was brought, or a copy of it, whose effect only its members can show."""
    for step in scenario.steps:
        if step.crafts:
            # From here on the victim is one that is trained in its place.
            return None
        needs = frozenset[str]().union(*(METRICS.load(name).info.needs for name in step.info.metrics))
        if needs & OF_MEMBERS or step.info.resources & AMONG_MEMBERS or step.info.targets == "candidates":
            return step
    return None


def inapplicable(condition: Condition, facts: TargetFacts) -> str:
    """Why a set of defences cannot be tried on this target; empty where it can."""
    return next((problem for defence in condition.defences for problem in _unfit(defence, facts)), "")


def _unfit(defence: Defence, facts: TargetFacts) -> Iterator[str]:
    """What keeps a defence from such a victim, one line each."""
    name, kind, spec = name_of(defence), facts.schema.kind, facts.target.spec
    if kind not in defence.info.modalities:
        yield f"{name} works on {', '.join(sorted(defence.info.modalities))} records; this target holds {kind} records"
        return
    if spec.brought and defence.info.stage in BEFORE_SERVING and not isinstance(defence, IngestGate):
        what = "weights" if spec.endpoint is None else "endpoint"
        yield (
            f"{name} acts before a model is served, and this one was brought; leave `{what}` out and it is trained "
            "here, or use defences that act on answers"
        )
    for problem in defence.unfit(facts.schema, facts.architecture):
        yield problem if problem.startswith(f"{name}: ") else f"{name}: {problem}"


def _of_target(facts: TargetFacts) -> Iterator[str]:
    at = f"targets.{facts.target.name}.defences"
    yield from (f"{at}: {problem}" for defence in facts.target.defences for problem in _unfit(defence, facts))
    yield from _canaries(facts)
    yield from _objectives(facts)
    shares = facts.target.spec.shares
    nonmembers = int(facts.records * min(shares.own + shares.contribution, 1 - shares.own - shares.contribution))
    for rate in facts.target.spec.false_positive_rates:
        needed, least = math.ceil(MIN_FALSE_POSITIVES / rate), MIN_FALSE_POSITIVES / max(nonmembers, 1)
        if nonmembers < needed:
            yield (
                f"targets.{facts.target.name}.false_positive_rates: {rate:g} needs {needed} non-members, this data "
                f"leaves about {nonmembers}; ask for {least:.2g} or more, or bring more records"
            )


def _canaries(facts: TargetFacts) -> Iterator[str]:
    """Where no canary can be planted: to find none would look like safety."""
    spec, at = facts.target.spec, f"targets.{facts.target.name}.canaries"
    if spec.canaries is None:
        return
    if not isinstance(facts.schema, TextSchema):
        yield f"{at}: canaries are planted in text; this target holds {facts.schema.kind} records: leave it out"
    elif spec.brought:
        what = "weights" if spec.endpoint is None else "endpoint"
        yield f"{at}: a model that was brought has seen none; leave it out, or leave `{what}` out to train one here"


def _objectives(facts: TargetFacts) -> Iterator[str]:
    """Recipes that learn from what the records are not."""
    for name, recipe in facts.recipes.items():
        if recipe.objective == "dpo" and not facts.paired:
            yield (
                f"targets.{facts.target.name}.{name}.objective: dpo learns from pairs of answers, and not every "
                "record is one; bring lines with `prompt`, `chosen` and `rejected` (data: {chat: FILE}), take our own "
                "(data: preferences), or learn by likelihood"
            )


def _parameters(scenario: Scenario, facts: TargetFacts) -> Iterator[str]:
    contributed = int(facts.target.spec.shares.contribution * facts.records)
    for at, step in configurations(scenario):
        for problem in step.problems(facts.schema, contributed):
            yield f"{at} on {facts.target.name}: {problem}"


def configurations(scenario: Scenario) -> Iterator[tuple[str, Step[Any]]]:
    """Every step as it will be run, at the values of its sweep too, with its place in the spec."""
    for step in scenario.steps:
        yield f"scenarios.{scenario.name}", step
    for _, step in scenario.swept[1]:
        yield f"scenarios.{scenario.name}.sweep", step


def _access(scenario: Scenario, facts: TargetFacts) -> Iterator[str]:
    """A scenario that asks for more than the service grants is a mistake in the spec, not a finding."""
    for step, missing in _lacking(scenario, facts):
        yield (
            f"scenarios.{scenario.name}: {ATTACKS.name_of(type(step))} needs {', '.join(missing)}; "
            f"targets.{facts.target.name}.access grants {_granted(facts)}: grant it, or leave the target out"
        )


def _refused(missing: Sequence[Capability], facts: TargetFacts) -> str:
    """Why an endpoint does not grant what is missing."""
    refusals = [facts.endpoint.refusal(one) for one in missing] if facts.endpoint is not None else []
    return next(filter(None, refusals), f"an endpoint grants {_granted(facts)}")


def _granted(facts: TargetFacts) -> str:
    return ", ".join(sorted(facts.grants)) or "nothing"


def _lacking(scenario: Scenario, facts: TargetFacts) -> Iterator[tuple[Step[Any], list[Capability]]]:
    """Steps that ask the victim for more than it grants, with what they lack; a thief's own clone grants all."""
    owned, grants = False, frozenset(facts.grants)
    for step in scenario.steps:
        direction = step.info.direction
        missing = sorted(step.required() - grants)
        asks = direction.source == "M" or Resource.VICTIM in step.info.resources
        if asks and missing and not (owned and direction.source == "M" and Resource.VICTIM not in step.info.resources):
            yield step, missing
        owned = direction is Direction.MODEL_TO_MODEL or (owned and direction.source == "M")
