"""A made-up run of one target under sets of defences; risks, accuracy and cost are drawn, not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from threatloop.core.measurement import ADAPTIVE, ATTACK, Measurement, MetricNote, RunRecord, VictimNote

RATE = MetricNote(title="Success", unit="rate", worst=1.0, margin=0.05, meaning="")
DIRECTIONS = {"evade": "D→D", "poison": "D→M", "steal": "M→M", "infer": "M→D"}
BASELINE = 0.2


def row(
    attack: str, seed: int, value: float | None, *, condition: str = "", arm: str = ATTACK, **about: Any
) -> Measurement:
    """A row of a scenario that is named after its attack."""
    known = {"baseline": BASELINE, "scenario": attack, "step": 1, "steps": 1, "target": "digits", **about}
    return Measurement(
        run="r",
        attack=attack,
        direction=DIRECTIONS[attack],
        condition=condition,
        arm=arm,
        seed=seed,
        metric=f"{attack}.success",
        value=value,
        n=200,
        undefined="" if value is not None else "it was not drawn",
        **known,
    )


def at_risk(risk: float) -> float:
    """The value of the metric at which the risk is this one."""
    return BASELINE + risk * (1 - BASELINE)


def record(
    seeds: int,
    conditions: Mapping[str, Sequence[str]] | None = None,
    victims: Sequence[VictimNote] = (),
    **changes: Any,
) -> RunRecord:
    """The record of a run of these sets."""
    target = {"data": "digits", "shadows": 8, "defences": []}
    about: dict[str, Any] = {
        "run": "r",
        "name": "drawn",
        "threatloop": "0.1.0",
        "started": "2026-11-22T08:00:00Z",
        "seconds": 1.0,
        "peak_memory_mib": 1.0,
        "run_seed": 0,
        "seeds": seeds,
        "command": "threatloop audit drawn.yaml",
        "spec": {
            "version": 1,
            "name": "drawn",
            "seed": 0,
            "seeds": seeds,
            "targets": {"digits": target},
            "scenarios": {name: {"attack": name} for name in DIRECTIONS},
        },
        "targets": {
            "digits": {
                "source": "digits",
                "records": 1797,
                "classes": 10,
                "class_counts": [180] * 10,
                "architecture": {"name": "mlp"},
                "public": True,
            }
        },
        "scenarios": {name: {"attacks": [name], "laps": 1} for name in DIRECTIONS},
        "attacks": {
            name: {"title": name.title(), "direction": direction, "metrics": [f"{name}.success"]}
            for name, direction in DIRECTIONS.items()
        },
        "conditions": {name: [{"name": one} for one in found] for name, found in (conditions or {}).items()},
        "victims": tuple(victims),
        "metrics": {f"{name}.success": RATE for name in DIRECTIONS},
        "tasks": {"planned": 1, "executed": 1, "cached": 0, "failed": 0},
        "environment": {},
    }
    return RunRecord(**{**about, **changes})


def world(
    sets: Mapping[str, Sequence[str]],
    seeds: int,
    risk: Callable[[str, frozenset[str], int], float],
    accuracy: Callable[[frozenset[str], int], float],
    seconds: Callable[[frozenset[str]], float] = lambda _set: 1.0,
    adaptive: Sequence[str] = tuple(DIRECTIONS),
    delay: Callable[[frozenset[str]], float | None] = lambda _set: None,
) -> tuple[RunRecord, list[Measurement]]:
    """A run of every set in every seed.

    Args:
        risk: of an attack under a set in a seed.
        adaptive: attacks with an arm of an attacker who knows the defences.
        delay: seconds that 1,000 answers take, under a set.
    """
    rows, victims = [], []
    for name, found in {"": (), **sets}.items():
        members = frozenset(found)
        for seed in range(seeds):
            for attack in DIRECTIONS:
                value = at_risk(risk(attack, members, seed))
                rows.append(row(attack, seed, value, condition=name))
                if members and attack in adaptive:
                    rows.append(row(attack, seed, value, condition=name, arm=ADAPTIVE))
            victims.append(
                VictimNote(
                    target="digits",
                    condition=name,
                    seed=seed,
                    test_accuracy=accuracy(members, seed),
                    seconds=seconds(members),
                    answer_seconds=delay(members),
                )
            )
    return record(seeds, sets, victims), rows
