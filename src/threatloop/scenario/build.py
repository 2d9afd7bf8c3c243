"""From a spec as text to a checked spec with attack and defence objects. Every problem is listed at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from threatloop.core.attack import Step
from threatloop.core.catalogue import ATTACKS, DEFENCES, Catalogue, enable_plugins, nearest
from threatloop.core.defence import Defence
from threatloop.core.errors import InputError, Problems, ThreatloopError
from threatloop.data.sources import Source, parse_source
from threatloop.scenario.chains import chain_problems
from threatloop.scenario.problems import line, spelled
from threatloop.scenario.read import read_content, value_problems
from threatloop.scenario.spec import ScenarioSpec, Spec, Target

B = TypeVar("B", bound=BaseModel)
MAX_SPEC_BYTES = 1 << 20


@dataclass(frozen=True)
class Scenario:
    """A scenario with its attack objects.

    Attributes:
        name: the name in the spec.
        steps: attacks in order; one for a single attack.
        laps: 1 or 2.
        targets: names of the targets it applies to.
    """

    name: str
    steps: tuple[Step[Any], ...]
    laps: int
    targets: tuple[str, ...]


@dataclass(frozen=True)
class BuiltTarget:
    """A target with its data source and defence objects."""

    name: str
    spec: Target
    source: Source
    defences: tuple[Defence, ...]


@dataclass(frozen=True)
class Audit:
    """A checked spec: everything resolved, nothing run.

    Attributes:
        spec: as the user wrote it.
        base: the folder that relative paths start from.
        targets: by name.
        scenarios: in the spec's order.
        allow_code: the user allowed names of code in the spec.
    """

    spec: Spec
    base: Path
    targets: Mapping[str, BuiltTarget]
    scenarios: tuple[Scenario, ...]
    allow_code: bool = False


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
    found: list[Any] = []
    try:
        spec = Spec.model_validate(deepcopy(content))
    except ValidationError as error:
        found = error.errors(include_url=False)
    if not odd and not found:
        return spec
    known = [place for place, _ in odd]
    lines = [f"{spelled(place)}: {problem}" for place, problem in odd]
    lines += [line(item, Spec) for item in found if not _covered(item["loc"], known)]
    raise Problems(where, [*lines, *further_problems(content, [*known, *(e["loc"] for e in found)], allow_code)])


def _covered(place: tuple[Any, ...], known: Sequence[tuple[Any, ...]]) -> bool:
    """Whether one of these places is this one, or holds it, as pydantic spells places."""
    spelt = [tuple(map(str, one)) for one in known]
    return any(tuple(map(str, place[: len(one)])) == one for one in spelt)


def further_problems(content: dict[Any, Any], faulty: Sequence[tuple[Any, ...]], allow_code: bool) -> list[str]:
    """What else is wrong, in whatever is left of each target and scenario when the faulty places are taken out."""
    rest = _without(content, faulty)
    targets, scenarios = _mapping(content.get("targets")), _mapping(rest.get("scenarios"))
    problems: list[str] = []
    with suppress(ValidationError):
        _enable(TypeAdapter(tuple[str, ...]).validate_python(rest.get("plugins", ())), problems)
    for name, written in targets.items():
        target = _mapping(written)
        problems += [] if allow_code else code_problems(name, target.get("train"), _mapping(target.get("model")).get("name"))
    for name, written in _mapping(rest.get("targets")).items():
        with suppress(ValidationError):
            _target(str(name), Target.model_validate(written), True, problems)
    for name, written in scenarios.items():
        with suppress(ValidationError):
            _scenario(str(name), ScenarioSpec.model_validate(written), tuple(map(str, targets)), problems)
    return problems


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _without(content: dict[Any, Any], faulty: Sequence[tuple[Any, ...]]) -> dict[Any, Any]:
    """A copy in which each of these places is left out, with the list around it where it stands in one."""
    rest = deepcopy(content)
    for place in faulty:
        at = rest
        for part, last in zip(place, [*[False] * (len(place) - 1), True], strict=True):
            if part in at and (last or not isinstance(at[part], dict)):
                at.pop(part)
            if not isinstance(at.get(part), dict):
                break
            at = at[part]
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
    targets = {name: _target(name, target, allow_code, problems) for name, target in spec.targets.items()}
    scenarios = [_scenario(name, item, tuple(targets), problems) for name, item in spec.scenarios.items()]
    if problems:
        raise Problems(where, problems)
    whole_targets = {name: target for name, target in targets.items() if target is not None}
    return Audit(spec, base, whole_targets, tuple(s for s in scenarios if s is not None), allow_code)


def _enable(plugins: tuple[str, ...], problems: list[str]) -> None:
    try:
        enable_plugins(plugins)
    except InputError as error:
        problems.append(f"plugins: {error}")


def code_problems(name: str, train: Any, model: Any) -> list[str]:
    """The names of code in a target, one line each."""
    return [
        f"targets.{name}: names code ({path}); read it, then allow it with --allow-code"
        for path in (train, model)
        if isinstance(path, str) and ":" in path
    ]


def _target(name: str, target: Target, allow_code: bool, problems: list[str]) -> BuiltTarget | None:
    at = f"targets.{name}"
    try:
        source = parse_source(target.data)
    except ThreatloopError as error:
        problems.append(f"{at}.data: {error}")
        return None
    if not allow_code:
        problems += code_problems(name, target.train, target.model.name if target.model else None)
    if target.weights and target.train:
        problems.append(f"{at}: has both `weights` and `train`; keep one")
    if target.weights and target.model is None:
        problems.append(f"{at}: has `weights` but no `model`; name the architecture that they belong to")
    if target.members and not target.weights:
        problems.append(f"{at}: has `members` but no `weights`; members are drawn here when the victim is trained here")
    shares = target.shares
    if shares.own + shares.contribution + shares.pool > 0.95:
        problems.append(f"{at}.shares: own + contribution + pool is over 0.95; leave at least 5 % as test set")
    defences = [_resolve(item, DEFENCES, f"{at}.defences[{i}]", problems) for i, item in enumerate(target.defences)]
    return BuiltTarget(name, target, source, tuple(d for d in defences if d is not None))


def _scenario(name: str, item: ScenarioSpec, targets: tuple[str, ...], problems: list[str]) -> Scenario | None:
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
    return Scenario(name, steps, item.laps, item.targets or targets)


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
