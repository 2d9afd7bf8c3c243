"""From a spec as text to a checked spec with attack and defence objects. Every problem is listed at once."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from threatloop.core.catalogue import enable_plugins
from threatloop.core.errors import InputError, Problems
from threatloop.scenario.conditions import Condition
from threatloop.scenario.problems import line, spelled
from threatloop.scenario.read import read_content, value_problems
from threatloop.scenario.resolve import (
    BuiltTarget,
    Scenario,
    built_condition,
    built_scenario,
    built_target,
    code_problems,
)
from threatloop.scenario.spec import ScenarioSpec, Spec, Target

__all__ = ["Audit", "BuiltTarget", "Condition", "Scenario", "build", "parse_spec", "read_spec"]

MAX_SPEC_BYTES = 1 << 20

Place = tuple[Any, ...]
Cell = tuple[str, str, str]
"""Names of a target, a scenario and a condition."""


@dataclass(frozen=True)
class Audit:
    """A checked spec: everything resolved, nothing run.

    Attributes:
        spec: as the user wrote it.
        base: the folder that relative paths start from.
        targets: by name.
        scenarios: in the spec's order.
        allow_code: the user allowed names of code in the spec.
        conditions: sets of defences, in the spec's order; the first is the empty one.
        chosen: seeds of the cells that are run; None for all cells with all seeds of the spec.
        optional: conditions that nobody asked for by name; those that fit no target are left out.
    """

    spec: Spec
    base: Path
    targets: Mapping[str, BuiltTarget]
    scenarios: tuple[Scenario, ...]
    allow_code: bool = False
    conditions: tuple[Condition, ...] = (Condition(),)
    chosen: Mapping[Cell, tuple[int, ...]] | None = None
    optional: frozenset[str] = frozenset()

    def without(self, names: Collection[str]) -> Audit:
        """The same without these conditions, in the spec too."""
        spec = self.spec.model_copy(update={"defences": _others(self.spec.defences, names)})
        return replace(self, spec=spec, conditions=tuple(one for one in self.conditions if one.name not in names))

    def seeds_of(self, target: str, scenario: str, condition: str) -> Sequence[int]:
        """The seeds with which a scenario is run on a target under a condition."""
        if self.chosen is None:
            return range(self.spec.seeds)
        return self.chosen.get((target, scenario, condition), ())


def _others(defences: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: one for name, one in defences.items() if name not in names}


def read_spec(path: Path, *, allow_code: bool = False) -> Spec:
    """The spec of a YAML or JSON file.

    Args:
        path: of the file.
        allow_code: don't list names of code among the problems.

    Raises:
        InputError: missing or unreadable, too large, not YAML, or more YAML than a spec has.
        Problems: every unknown key and bad value of the file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give the path of a spec file") from None
    if len(raw) > MAX_SPEC_BYTES:
        raise InputError(f"{path}: {len(raw)} bytes; a spec has at most {MAX_SPEC_BYTES}")
    return parse_spec(raw, str(path), allow_code=allow_code)


def parse_spec(written: bytes | str | Mapping[str, Any], where: str, *, allow_code: bool = False) -> Spec:
    """The spec in this text, or of this mapping of plain values, which is copied; see `read_spec`."""
    content = dict(written) if isinstance(written, Mapping) else read_content(written, where)
    if not isinstance(content, dict):
        raise InputError(f"{where}: a spec is a mapping with `targets:` and `scenarios:`")
    odd = value_problems(content, where)
    known = [place for place, _ in odd]
    sound, found = _without(content, [_whole_attack(place) for place in known]), []
    try:
        spec = Spec.model_validate(_copied(sound))
    except ValidationError as error:
        found = [item for item in error.errors(include_url=False) if not _follows(item["loc"], known)]
    if not odd and not found:
        return spec
    lines = [f"{spelled(place)}: {problem}" for place, problem in odd]
    lines += dict.fromkeys(line(item, Spec) for item in found)
    faulty = [item["loc"][:-1] if item["loc"][-1:] == ("[key]",) else item["loc"] for item in found]
    raise Problems(where, [*lines, *_further_problems(content, sound, _without(sound, faulty), allow_code)])


def _whole_attack(place: Place) -> Place:
    """The attack or chain that holds this place, since half an attack has other faults; or the place."""
    return place[:3] if place[:1] == ("scenarios",) and place[2:3] in (("attack",), ("chain",)) else place


def _follows(place: Place, taken_out: Sequence[Place]) -> bool:
    """Whether what is wrong here can come from what was taken out: above it, or at the same place."""
    return any(place == one[: len(place)] for one in taken_out)


def _further_problems(
    content: dict[Any, Any], sound: dict[Any, Any], rest: dict[Any, Any], allow_code: bool
) -> list[str]:
    """What else is wrong with each target and scenario, without the faulty places.

    Args:
        content: as it was written.
        sound: without values that no spec can hold.
        rest: of this, what pydantic found no fault with.
        allow_code: names of code are no problem.
    """
    problems: list[str] = []
    with suppress(ValidationError):
        _enable(TypeAdapter(tuple[str, ...]).validate_python(rest.get("plugins", ())), problems)
    names = tuple(_mapping(sound.get("targets")))
    for name in () if allow_code else names:
        target = _mapping(sound["targets"][name])
        problems += code_problems(name, target.get("train"), _mapping(target.get("model")).get("name"))
    for name, written in _mapping(rest.get("targets")).items():
        with suppress(ValidationError):
            built_target(name, Target.model_validate(written), True, problems)
    for name, written in _mapping(rest.get("defences")).items():
        if isinstance(written, list):
            built_condition(str(name), tuple(written), (), problems)
    for name, left in _mapping(rest.get("scenarios")).items():
        written = _stood_in(_mapping(content["scenarios"][name]), left)
        with suppress(ValidationError):
            built_scenario(name, ScenarioSpec.model_validate(written), names, problems)
    return problems


def _stood_in(scenario: dict[Any, Any], left: Any) -> Any:
    """What is left of a scenario; where its attack or chain was taken out, any sound one in its place."""
    if isinstance(left, dict) and not {"attack", "chain"} & left.keys() and {"attack", "chain"} & scenario.keys():
        return {**left, "attack": "identity", "laps": 1}
    return left


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _copied(value: Any) -> Any:
    """The same lists and mappings anew, around the same values."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _without(content: dict[Any, Any], faulty: Sequence[Place]) -> dict[Any, Any]:
    """A copy in which each of these places is left out, with the list around it where it stands in one."""
    rest: dict[Any, Any] = _copied(content)
    for place in faulty:
        at = rest
        for i, part in enumerate(place):
            if i + 1 < len(place) and isinstance(at.get(part), dict):
                at = at[part]
            else:
                at.pop(part, None)
                break
    return rest


def build(spec: Spec, base: Path, *, allow_code: bool = False, where: str = "spec") -> Audit:
    """Resolve every name of a spec. With ``allow_code``, modules beside the spec can be imported from here on.

    Raises:
        Problems: all unknown attacks, bad parameters, chains that do not compose, code without permission.
    """
    if allow_code and str(base) not in sys.path:
        sys.path.insert(0, str(base))
    problems: list[str] = []
    _enable(spec.plugins, problems)
    targets = {name: built_target(name, target, allow_code, problems) for name, target in spec.targets.items()}
    scenarios = [built_scenario(name, item, tuple(targets), problems) for name, item in spec.scenarios.items()]
    beside = tuple(target for target in targets.values() if target is not None)
    conditions = [built_condition(name, item, beside, problems) for name, item in spec.defences.items()]
    if problems:
        raise Problems(where, problems)
    whole_targets = {name: target for name, target in targets.items() if target is not None}
    whole_scenarios = tuple(scenario for scenario in scenarios if scenario is not None)
    return Audit(spec, base, whole_targets, whole_scenarios, allow_code, (Condition(), *conditions))


def _enable(plugins: tuple[str, ...], problems: list[str]) -> None:
    try:
        enable_plugins(plugins)
    except InputError as error:
        problems.append(f"plugins: {error}")
