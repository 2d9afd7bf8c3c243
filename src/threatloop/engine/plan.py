"""Plan: targets × scenarios × seeds as a graph of tasks. Nothing is spent before the whole plan is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from threatloop.core.catalogue import ATTACKS
from threatloop.core.errors import CorruptArtefact, InputError
from threatloop.core.measurement import Notice
from threatloop.engine.count_checks import check_counts
from threatloop.engine.estimate import Estimate, Estimator
from threatloop.engine.execute import Workspace, execute
from threatloop.engine.facts import TargetFacts
from threatloop.engine.figures import Figure
from threatloop.engine.plan_checks import check, inapplicable, unsupported, without_unfit
from threatloop.engine.seed_tasks import SeedTasks
from threatloop.engine.target_reading import facts_of
from threatloop.engine.task import Ref, Task
from threatloop.engine.task_book import models_in
from threatloop.engine.walk import expand
from threatloop.scenario.build import Audit, BuiltTarget, Condition, Scenario

USER_INPUT = ("split", "given", "endpoint")
"""Operations that fail only where the user's data or weights are at fault; quick."""


@dataclass
class Plan:
    """What will be run.

    Attributes:
        audit: the checked spec.
        facts: per target.
        tasks: by key, in an order in which every task comes after its inputs.
        figures: graded steps, with the name of their target.
        victims: per target, condition and seed, the accuracy of the victim that nobody attacked, and the victim.
        not_assessed: pairings that cannot be assessed or do not fit the budget, with the reason.
        loaded: tasks that had to be run to make the plan: reading data, drawing splits, reading weights.
        corrupt: one line for each corrupt artefact that was recomputed on the way.
        asked: how often each training was asked for, by key.
    """

    audit: Audit
    facts: Mapping[str, TargetFacts]
    tasks: dict[str, Task] = field(default_factory=dict)
    figures: list[tuple[str, Figure]] = field(default_factory=list)
    victims: dict[tuple[str, str, int], tuple[Ref, Ref]] = field(default_factory=dict)
    not_assessed: list[Notice] = field(default_factory=list)
    loaded: int = 0
    corrupt: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)

    def trainings(self) -> tuple[int, int]:
        """Models to be trained, and models that scenarios, arms and attacks asked for; the difference is shared."""
        sizes = {key: models_in(task) for key, task in self.tasks.items()}
        return sum(sizes[key] for key in self.asked), sum(sizes[key] * n for key, n in self.asked.items())

    def wanted(self) -> set[str]:
        """Keys that the run folder needs; other tasks run only where these need them."""
        graded = {ref.key for _, figure in self.figures for ref in (figure.grade, *figure.checks)}
        return graded | {quality.key for quality, _ in self.victims.values()}


def make_plan(audit: Audit, workspace: Workspace, estimator: Estimator | None = None) -> Plan:
    """Expand a checked spec. Reads data that is not in the store yet, since sizes and schemas decide the plan.

    Raises:
        InputError, Problems: bad data; a scenario that asks for more than the service grants.
    """
    plan = Plan(audit, {})
    plan.facts = {name: _facts(target, plan, workspace) for name, target in audit.targets.items()}
    plan.tasks.update({facts.load.key: facts.load for facts in plan.facts.values()})
    if audit.optional:
        audit, plan.not_assessed = without_unfit(audit, plan.facts)
        plan.audit = audit
    check(audit, plan.facts)
    cost = Estimate()
    for condition in audit.conditions:
        for scenario in audit.scenarios:
            for name in scenario.targets:
                cost = _add(plan, scenario, condition, plan.facts[name], estimator, cost, workspace)
    _try_what_was_brought(plan, workspace)
    check_counts(audit, plan.facts, workspace)
    return plan


def _facts(target: BuiltTarget, plan: Plan, workspace: Workspace) -> TargetFacts:
    try:
        facts, executed = facts_of(target, plan.audit, workspace)
    except CorruptArtefact as error:
        plan.corrupt.append(str(error))
        workspace.store.delete(error.key)
        facts, executed = facts_of(target, plan.audit, workspace)
    plan.loaded += executed
    return facts


def _try_what_was_brought(plan: Plan, workspace: Workspace) -> None:
    """Too few records, weights or an architecture that do not fit: reported before anything is trained."""
    has = workspace.store.has
    fresh = [task for key, task in plan.tasks.items() if not has(key)]
    for key, task in plan.tasks.items():
        if task.operation in USER_INPUT and not has(key):
            execute(task, workspace)
            plan.loaded += 1
    new = {task.local["target"] for key, task in plan.tasks.items() if task.operation == "train" and not has(key)}
    for name in sorted({task.local["target"] for task in fresh if task.operation in ("train", "given")}):
        _try_records(plan.facts[name], workspace)
    for name in sorted(new):
        from threatloop.models.weights import check_architecture

        facts = plan.facts[name]
        trained = facts.target.spec.train is None and not facts.target.spec.brought
        check_architecture(facts.architecture, facts.schema, allow_code=plan.audit.allow_code, trained=trained)


def _try_records(facts: TargetFacts, workspace: Workspace) -> None:
    """Records that a base model cannot read."""
    if facts.base is None:
        return
    from threatloop.models.language.loading import check_records

    try:
        check_records(facts.architecture, workspace.product(Ref(facts.load.key)).value.data)
    except InputError as error:
        raise InputError(f"targets.{facts.target.name}: {error}") from None


def _add(
    plan: Plan,
    scenario: Scenario,
    condition: Condition,
    facts: TargetFacts,
    estimator: Estimator | None,
    spent: Estimate,
    workspace: Workspace,
) -> Estimate:
    """Expand one cell, unless it cannot be assessed or does not fit ``max_cost``."""
    target, what = facts.target.name, _label(scenario, condition)
    seeds = plan.audit.seeds_of(target, scenario.name, condition.name)
    if not seeds:
        return spent
    if reason := unsupported(scenario, facts) or inapplicable(condition, facts):
        plan.not_assessed.append(Notice(target=target, scenario=scenario.name, what=what, why=reason))
        return spent
    tasks: dict[str, Task] = dict(plan.tasks)
    figures, victims, asked = [], {}, Counter[str]()
    for seed in seeds:
        of_seed = SeedTasks(plan.audit, facts, seed, tasks, scenario.protection, condition, asked)
        figures += expand(scenario, of_seed)
        victims[target, condition.name, seed] = of_seed.quality(), of_seed.honest()
    limits = plan.audit.spec.max_cost
    if limits is not None and estimator is not None:
        new = {key: task for key, task in tasks.items() if key not in plan.tasks and not workspace.store.has(key)}
        total = spent.plus(estimator.estimate(new.values(), plan.facts))
        if reason := total.over(limits):
            why = f"over budget: {reason}"
            plan.not_assessed.append(Notice(target=target, scenario=scenario.name, what=what, why=why))
            return spent
        spent = total
    plan.tasks.update(tasks)
    plan.victims.update(victims)
    plan.asked.update(asked)
    plan.figures += [(target, figure) for figure in figures]
    return spent


def _label(scenario: Scenario, condition: Condition) -> str:
    steps = " >> ".join(ATTACKS.name_of(type(step)) for step in scenario.steps)
    return f"{steps} under {condition.name}" if condition.name else steps
