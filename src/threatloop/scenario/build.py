"""From a spec as text to a checked spec with attack and defence objects. Every problem is listed at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from threatloop.core.attack import Direction, Probe, Step, composition_problems
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS, Catalogue, enable_plugins, nearest
from threatloop.core.defence import Defence
from threatloop.core.errors import InputError, Problems, ThreatloopError
from threatloop.data.sources import Source, parse_source
from threatloop.scenario.problems import line
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


def read_spec(path: Path) -> Spec:
    """The spec of a YAML or JSON file.

    Raises:
        InputError: missing or unreadable, too large, not YAML.
        Problems: every unknown key and bad value of the file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give the path of a spec file") from None
    if len(raw) > MAX_SPEC_BYTES:
        raise InputError(f"{path}: {len(raw)} bytes; a spec has at most {MAX_SPEC_BYTES}")
    return parse_spec(raw, str(path))


def parse_spec(raw: bytes | str, where: str) -> Spec:
    """The spec in this text; see `read_spec`."""
    try:
        content = _content(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{where}: not YAML{place}: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: a spec is a mapping with `targets:` and `scenarios:`")
    try:
        return Spec.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise Problems(where, [*(line(item, Spec) for item in found), *_further_problems(content, found)]) from None


def _content(raw: bytes | str) -> Any:
    """JSON where it is JSON: YAML refuses its tabs and misreads its escapes beyond the 16-bit plane."""
    try:
        return json.loads(raw)
    except ValueError:
        return yaml.safe_load(raw)


def _further_problems(content: dict[Any, Any], found: Sequence[Any]) -> list[str]:
    """What is wrong beside these errors: the names in whatever is left when the faulty entries are taken out."""
    rest = deepcopy(content)
    for item in found:
        *above, last = item["loc"] or (None,)
        at: Any = rest
        for part in above:
            at = at.get(part) if isinstance(at, dict) else None
        if isinstance(at, dict):
            at.pop(last, None)
    try:
        build(Spec.model_validate(rest), Path(sys.path[0]), allow_code=True)
    except ValidationError:
        return []
    except Problems as others:
        return list(others.problems)
    return []


def build(spec: Spec, base: Path, *, allow_code: bool = False, where: str = "spec") -> Audit:
    """Resolve every name of a spec. With ``allow_code``, modules beside the spec can be imported from here on.

    Raises:
        Problems: all unknown attacks, bad parameters, chains that do not compose, code without permission.
    """
    if allow_code and str(base) not in sys.path:
        sys.path.insert(0, str(base))
    problems: list[str] = []
    try:
        enable_plugins(spec.plugins)
    except InputError as error:
        problems.append(f"plugins: {error}")
    targets = {name: _target(name, target, allow_code, problems) for name, target in spec.targets.items()}
    scenarios = [_scenario(name, item, tuple(targets), problems) for name, item in spec.scenarios.items()]
    if problems:
        raise Problems(where, problems)
    whole_targets = {name: target for name, target in targets.items() if target is not None}
    return Audit(spec, base, whole_targets, tuple(s for s in scenarios if s is not None), allow_code)


def _target(name: str, target: Target, allow_code: bool, problems: list[str]) -> BuiltTarget | None:
    at = f"targets.{name}"
    try:
        source = parse_source(target.data)
    except ThreatloopError as error:
        problems.append(f"{at}.data: {error}")
        return None
    code = [target.train, target.model.name if target.model else None]
    problems += [
        f"{at}: names code ({path}); read it, then allow it with --allow-code"
        for path in code
        if path and ":" in path and not allow_code
    ]
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
    written = item.chain if item.chain is not None else (item.attack,)
    labels = [f"{at}.chain[{i}]" for i in range(len(written))] if item.chain is not None else [f"{at}.attack"]
    found = [_resolve(one, ATTACKS, label, problems) for one, label in zip(written, labels, strict=True)]
    steps = tuple(step for step in found if step is not None)
    problems += [f"{at}: {problem}" for problem in composition_problems(steps)]
    problems += [f"{at}: {problem}" for problem in _metric_problems(steps)]
    if item.laps == 2 and steps and not _closes(steps):
        problems.append(f"{at}.laps: 2 needs a chain that starts from data and ends by recovering data")
    return Scenario(name, steps, item.laps, item.targets or targets)


def _closes(steps: tuple[Step[Any], ...]) -> bool:
    first, last = steps[0].info.direction, steps[-1].info.direction
    return first.source == "D" and last is Direction.MODEL_TO_DATA and not isinstance(steps[-1], Probe)


def _metric_problems(steps: tuple[Step[Any], ...]) -> list[str]:
    known = METRICS.names()
    names = [(type(step).__name__, metric) for step in steps for metric in step.info.metrics]
    return [f"{attack} names the unknown metric {m!r}{nearest(m, known)}" for attack, m in names if m not in known]


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
