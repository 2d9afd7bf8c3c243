"""From the entries of a spec to attack, defence and source objects. What is wrong is collected, not raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from threatloop.core.catalogue import ATTACKS, DEFENCES, Catalogue, nearest
from threatloop.core.defence import Defence
from threatloop.core.errors import InputError, ThreatloopError
from threatloop.core.protection import Protection
from threatloop.core.step import Step
from threatloop.data.sources import Source, parse_source
from threatloop.scenario.chains import chain_problems
from threatloop.scenario.conditions import Condition, set_problems
from threatloop.scenario.problems import line, spelled
from threatloop.scenario.spec import ScenarioSpec, Target

B = TypeVar("B", bound=BaseModel)
USUAL_MARK = "spread_spectrum"


@dataclass(frozen=True)
class Scenario:
    """A scenario with its attack objects.

    Attributes:
        name: the name in the spec.
        steps: attacks in order; one for a single attack.
        laps: 1 or 2.
        targets: names of the targets it applies to.
        protection: how the data owner protects what he offers.
        swept: position of the step whose budget is varied, from 0, and that step at every other value.
    """

    name: str
    steps: tuple[Step[Any], ...]
    laps: int
    targets: tuple[str, ...]
    protection: Protection
    swept: tuple[int, tuple[tuple[float, Step[Any]], ...]] = (0, ())


@dataclass(frozen=True)
class BuiltTarget:
    """A target with its data source and defence objects."""

    name: str
    spec: Target
    source: Source
    defences: tuple[Defence, ...]


def code_problems(name: str, train: Any, model: Any) -> list[str]:
    """The names of code in a target, one line each."""
    return [
        f"{spelled(('targets', name))}: names code ({path}); read it, then allow it with --allow-code"
        for path in (train, model)
        if isinstance(path, str) and ":" in path
    ]


def built_target(name: str, target: Target, allow_code: bool, problems: list[str]) -> BuiltTarget | None:
    """The target with its source and defences; what is wrong is added to ``problems``. None without a source."""
    at = f"targets.{name}"
    try:
        source = parse_source(target.data)
    except ThreatloopError as error:
        problems.append(f"{at}.data: {str(error).removeprefix('data: ')}")
        return None
    if not allow_code:
        problems += code_problems(name, target.train, target.model.name if target.model else None)
    several = [name for name in ("weights", "endpoint", "train") if getattr(target, name)]
    if len(several) > 1:
        problems.append(f"{at}: has both `{several[0]}` and `{several[1]}`; keep one")
    if target.endpoint and "access" in target.model_fields_set:
        beyond = sorted(set(target.access) - set(target.grants))
        allowed = ", ".join(target.endpoint.capabilities)
        problems += [f"{at}.access: an endpoint cannot grant {one}; allowed: {allowed}" for one in beyond]
    if target.weights and target.model is None:
        problems.append(f"{at}: has `weights` but no `model`; name the architecture that they belong to")
    if target.members and not target.brought:
        problems.append(
            f"{at}: has `members` but no `weights` or `endpoint`; a victim that is trained here has its members drawn"
        )
    shares = target.shares
    if shares.own + shares.contribution + shares.pool > 0.95:
        problems.append(f"{at}.shares: own + contribution + pool is over 0.95; leave at least 5 % as test set")
    defences = [_resolve(item, DEFENCES, f"{at}.defences[{i}]", problems) for i, item in enumerate(target.defences)]
    found = tuple(defence for defence in defences if defence is not None)
    problems += set_problems(found, f"{at}.defences")
    return BuiltTarget(name, target, source, found)


def built_condition(
    name: str, written: tuple[str | dict[str, Any], ...], targets: tuple[BuiltTarget, ...], problems: list[str]
) -> Condition:
    """The set of defences; what is wrong with it, alone or beside a target's own, is added to ``problems``."""
    at = f"defences.{name}"
    found = [_resolve(item, DEFENCES, f"{at}[{i}]", problems) for i, item in enumerate(written)]
    condition = Condition(name, tuple(defence for defence in found if defence is not None))
    if not written:
        problems.append(f"{at}: is empty; leave it out, since every scenario runs on the targets as they are anyway")
    alone = set_problems(condition.defences, at)
    problems += alone
    for target in () if alone else targets:
        beside = f"{at} beside targets.{target.name}.defences"
        problems += set_problems((*target.defences, *condition.defences), beside)
    return condition


def built_scenario(name: str, item: ScenarioSpec, targets: tuple[str, ...], problems: list[str]) -> Scenario | None:
    """The scenario with its attacks; what is wrong is added to ``problems``."""
    at = f"scenarios.{name}"
    if (item.attack is None) == (item.chain is None):
        problems.append(f"{at}: needs exactly one of `attack` and `chain`")
        return None
    if item.chain is not None and len(item.chain) < 2:
        problems.append(f"{at}.chain: needs at least two steps; use `attack` for one")
    for target in item.targets or ():
        if target not in targets:
            problems.append(f"{at}.targets: unknown target {target!r}{nearest(target, targets)}")
    twice = sorted({target for target in item.targets or () if (item.targets or ()).count(target) > 1})
    problems += [f"{at}.targets: names {target!r} more than once" for target in twice]
    written = item.chain if item.chain is not None else (item.attack,)
    labels = [f"{at}.chain[{i}]" for i in range(len(written))] if item.chain is not None else [f"{at}.attack"]
    found = [_resolve(one, ATTACKS, label, problems) for one, label in zip(written, labels, strict=True)]
    steps = tuple(step for step in found if step is not None)
    if None not in found:
        problems += [f"{at}: {problem}" for problem in chain_problems(steps, item.laps)]
    protection = _protection(item, steps, at, problems)
    if protection is None:
        return None
    return Scenario(name, steps, item.laps, item.targets or targets, protection, _swept(item, steps, at, problems))


def _protection(item: ScenarioSpec, steps: tuple[Step[Any], ...], at: str, problems: list[str]) -> Protection | None:
    """What the spec names, or what the first step attacks, or the mark that a gate looks for."""
    undoes = steps[0].info.undoes if steps else ()
    found = _resolve(item.protection or (undoes or (USUAL_MARK,))[0], DEFENCES, f"{at}.protection", problems)
    if found is None:
        return None
    if not isinstance(found, Protection):
        problems.append(f"{at}.protection: {DEFENCES.name_of(type(found))} protects no data")
        return None
    name = DEFENCES.name_of(type(found))
    meets = any(step.info.undoes or step.info.unchanged or step.crafts for step in steps)
    if item.protection is not None and steps and not meets:
        problems.append(f"{at}.protection: no step here meets protected data; leave it out")
    if undoes and name not in undoes:
        attack = ATTACKS.name_of(type(steps[0]))
        problems.append(f"{at}.protection: {attack} does not attack {name!r}; allowed: {', '.join(undoes)}")
    return found


def _swept(
    item: ScenarioSpec, steps: tuple[Step[Any], ...], at: str, problems: list[str]
) -> tuple[int, tuple[tuple[float, Step[Any]], ...]]:
    """The first step that has a budget to vary, at every value that the spec names."""
    position = next((i for i, step in enumerate(steps) if step.info.sweep), None)
    if not item.sweep:
        return 0, ()
    if position is None:
        problems.append(f"{at}.sweep: no step here has a budget that could be varied; leave it out")
        return 0, ()
    step, found = steps[position], []
    twice = sorted({value for value in item.sweep if item.sweep.count(value) > 1})
    problems += [f"{at}.sweep: {value:g} appears twice; keep one" for value in twice]
    for value in item.sweep:
        try:
            found.append((value, step.at(value)))
        except ValidationError as error:
            problems += [f"{at}.sweep: {line(one, type(step))}" for one in error.errors(include_url=False)]
    return position, tuple(found)


def _resolve(
    written: str | Mapping[str, Any] | None, catalogue: Catalogue[B], at: str, problems: list[str]
) -> B | None:
    parameters = {"name": written} if isinstance(written, str) else dict(written or {})
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        problems.append(f"{at}: needs a `name`")
        return None
    try:
        cls = catalogue.load(name)
        return cls.model_validate(parameters)
    except ValidationError as error:
        problems += [f"{at} ({name}): {line(item, cls)}" for item in error.errors(include_url=False)]
    except InputError as error:
        problems.append(f"{at}: {error}")
    except (ImportError, AttributeError) as error:
        problems.append(f"{at}: {catalogue.path(name)} cannot be loaded ({error}); mend or remove that plugin")
    return None
