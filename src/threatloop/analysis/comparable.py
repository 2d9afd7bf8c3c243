"""Whether two runs can be compared at all, and whether their seeds are pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from threatloop.core.measurement import Measurement, RunRecord

_STRENGTH: Final = ("shares", "shadows", "canaries", "query_cap")
"""Fields of a target that change the data or the attackers rather than the defender."""
_ATTACK: Final = ("attack", "chain", "protection")
_DATA: Final = ("digest", "kind", "records", "classes", "class_counts")
_METRIC: Final = ("unit", "worst", "margin")
_MACHINE: Final = ("torch", "device", "dtype")


def obstacles(before: RunRecord, after: RunRecord) -> list[str]:
    """What makes a comparison meaningless, one line each: code, data, splits, attackers, metrics.

    Model, recipe, weights, defences and conditions may differ: they are what is compared.
    """
    found = []
    if before.threatloop != after.threatloop:
        found.append(_differs("threatloop", before.threatloop, after.threatloop, "run both with one version"))
    for what, a, b in (("target", before.targets, after.targets), ("scenario", before.scenarios, after.scenarios)):
        if not a.keys() & b.keys():
            found.append(f"no {what} is in both: {_names(a)} and {_names(b)}; name them alike")
    for attack in _shared(before.attacks, after.attacks):
        codes = [record.attacks[attack].get("code") for record in (before, after)]
        if None not in codes and codes[0] != codes[1]:
            found.append(f"attacks.{attack}: its code, or that of what judges it, differs; run both with one version")
    for target in _shared(before.targets, after.targets):
        found += _of_target(target, before, after)
    for scenario in _shared(before.scenarios, after.scenarios):
        found += _of_scenario(scenario, before, after)
    for metric in _shared(before.metrics, after.metrics):
        for field in _METRIC:
            a, b = getattr(before.metrics[metric], field), getattr(after.metrics[metric], field)
            found += [] if a == b else [_differs(f"metrics.{metric}.{field}", a, b, "run both with one version")]
    return found


def remarks(before: RunRecord, after: RunRecord) -> tuple[str, ...]:
    """What a reader must know of the comparison without its being meaningless."""
    lines = []
    for what, a, b in (
        ("target", before.targets, after.targets),
        ("scenario", before.scenarios, after.scenarios),
        ("condition", before.conditions, after.conditions),
    ):
        lines += [f"{what} {name}: only in the first run, so it is not compared" for name in a if name not in b]
        lines += [f"{what} {name}: only in the second run, so it is not compared" for name in b if name not in a]
    for name in _shared(before.conditions, after.conditions):
        x, y = before.conditions[name], after.conditions[name]
        lines += [] if x == y else [f"condition {name}: {_set(x)} and {_set(y)}, compared under one name"]
    for key in _MACHINE:
        one, other = before.environment.get(key), after.environment.get(key)
        lines += [] if one == other else [f"{key}: {one} and {other}"]
    return tuple(lines)


def paired_targets(
    before: RunRecord, after: RunRecord, rows: tuple[Iterable[Measurement], Iterable[Measurement]]
) -> frozenset[str]:
    """The targets whose seeds of one number are the same split with the same streams in both runs."""
    if before.run_seed != after.run_seed:
        return frozenset()
    a, b = (_splits(one) for one in rows)
    differing = {place[0] for place, key in a.items() if b.get(place, key) != key}
    return frozenset(set(before.targets) & set(after.targets)) - differing


def _splits(rows: Iterable[Measurement]) -> dict[tuple[str, str, int], str]:
    """The store key of the data that first steps on data start from, by target, scenario and seed."""
    return {
        (row.target, row.scenario, row.seed): row.dataset
        for row in rows
        if row.step == 1 and row.lap == 1 and row.direction.startswith("D") and row.dataset
    }


def _of_target(name: str, before: RunRecord, after: RunRecord) -> Iterator[str]:
    a, b = before.targets[name], after.targets[name]
    for field in _DATA:
        if field in a and field in b and a[field] != b[field]:
            yield _differs(f"targets.{name}: the data differ in {field}", a[field], b[field], "audit the same data")
            break
    specs = [record.spec.get("targets", {}).get(name, {}) for record in (before, after)]
    for field in _STRENGTH:
        x, y = (spec.get(field) for spec in specs)
        if x != y:
            yield _differs(f"targets.{name}.{field}", x, y, "state the same in both specs")


def _of_scenario(name: str, before: RunRecord, after: RunRecord) -> Iterator[str]:
    specs = [record.spec.get("scenarios", {}).get(name, {}) for record in (before, after)]
    for field in _ATTACK:
        x, y = (_spelled(spec.get(field)) for spec in specs)
        if x != y:
            yield _differs(f"scenarios.{name}.{field}", x, y, "state the same in both specs, or name it otherwise")


def _spelled(attack: Any) -> Any:
    """``lira`` and ``{name: lira}`` are the same."""
    if isinstance(attack, list | tuple):
        return [_spelled(one) for one in attack]
    return {"name": attack} if isinstance(attack, str) else attack


def _differs(what: str, a: object, b: object, remedy: str) -> str:
    return f"{what}: {_short(a)} and {_short(b)}; {remedy}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _names(found: Mapping[str, object]) -> str:
    return ", ".join(found) or "none"


def _set(defences: Iterable[Mapping[str, Any]]) -> str:
    return " + ".join(str(one["name"]) for one in defences) or "nothing"


def _shared(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [name for name in a if name in b]
