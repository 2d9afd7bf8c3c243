"""How large a spec can be, which chains it can hold, and what is said of code, defences and data that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.honest import HonestContribution
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.core.errors import Problems
from threatloop.core.schema import ImageSchema
from threatloop.core.step import Step
from threatloop.scenario.build import Audit, build, parse_spec

NOT_YET = "composes, but is not supported yet: "
LOOP = ["watermark_removal", "badnets", "knockoff", "gradient_inversion"]
DIGITS = ImageSchema(classes=tuple("0123456789"), channels=1, height=8, width=8)


def checked(written: dict[str, Any], *, allow_code: bool = False) -> Audit:
    return build(parse_spec(written, "spec", allow_code=allow_code), Path(), allow_code=allow_code)


def problems(written: dict[str, Any], *, allow_code: bool = False) -> tuple[str, ...]:
    with pytest.raises(Problems) as caught:
        checked(written, allow_code=allow_code)
    return caught.value.problems


def target(**changes: Any) -> dict[str, Any]:
    return tiny.spec(targets={"digits": {**tiny.DIGITS, **changes}})


def chain(*steps: str) -> dict[str, Any]:
    return tiny.spec(scenarios={"one": {"chain": list(steps)}})


def test_a_victim_with_skewed_records_is_attacked_alone() -> None:
    assert problems(chain("knockoff", "property_inference")) == (
        "scenarios.one: composes, but cannot be graded: step 2 (PropertyInference) needs a victim whose records it has "
        "skewed; run it alone",
    )


def many(count: int, content: Any) -> dict[str, Any]:
    return {f"n{i}": content for i in range(count)}


@pytest.mark.parametrize(
    ("most", "beyond", "expected"),
    [
        (tiny.spec(seeds=1000), tiny.spec(seeds=1001), "seeds: input should be less than or equal to 1000 (got 1001)"),
        (target(shadows=4096), target(shadows=4098), "targets.digits.shadows: input should be less than or equal to"),
        (
            target(canaries={"count": 10_000, "repetitions": 1000}),
            target(canaries={"count": 10_001, "repetitions": 1000}),
            "targets.digits.canaries.count: input should be less than or equal to 10000",
        ),
        (
            target(canaries={"repetitions": 1000}),
            target(canaries={"repetitions": 1001}),
            "targets.digits.canaries.repetitions: input should be less than or equal to 1000",
        ),
        (
            tiny.spec(many(64, tiny.TABLE)),
            tiny.spec(many(65, tiny.TABLE)),
            "targets: dictionary should have at most 64",
        ),
        (
            tiny.spec(scenarios=many(256, {"attack": "lira"})),
            tiny.spec(scenarios=many(257, {"attack": "lira"})),
            "scenarios: dictionary should have at most 256",
        ),
        (chain(*LOOP), chain(*LOOP, *LOOP, "identity"), "scenarios.one.chain: tuple should have at most 8 items"),
        (
            tiny.spec(scenarios={"one": {"attack": "lira", "targets": ["digits"]}}),
            tiny.spec(scenarios={"one": {"attack": "lira", "targets": ["digits", "digits"]}}),
            "scenarios.one.targets: names 'digits' more than once",
        ),
        (
            tiny.spec(scenarios={"one": {"attack": "lira"}}),
            tiny.spec(scenarios={"one": {"attack": "lira", "targets": []}}),
            "scenarios.one.targets: tuple should have at least 1 item",
        ),
    ],
)
def test_the_most_is_accepted_and_one_more_refused(most: dict[str, Any], beyond: dict[str, Any], expected: str) -> None:
    assert checked(most).scenarios
    (problem,) = problems(beyond)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["badnets", "gradient_inversion", "label_flip"], [f"{NOT_YET}2 D→M steps in one chain; keep one"]),
        (["knockoff", "surrogate"], [f"{NOT_YET}2 M→M steps in one chain; keep one"]),
        (["identity", "watermark_removal", "badnets"], [f"{NOT_YET}step 2 (WatermarkRemoval, D→D) stands behind"]),
        (["gradient_inversion", "identity"], [f"{NOT_YET}step 2 (Identity, D→D) stands behind another step"]),
        (
            [*LOOP, *LOOP],
            [f"{NOT_YET}2 D→M steps", f"{NOT_YET}2 M→M steps", f"{NOT_YET}step 5 (WatermarkRemoval, D→D) stands"],
        ),
        (["knockoff", "badnets", "knockoff"], ["step 1 (Knockoff, M→M) yields a model, but"]),
    ],
)
def test_shapes_that_the_engine_does_not_know_are_refused(steps: list[str], expected: list[str]) -> None:
    found = problems(chain(*steps))
    assert len(found) == len(expected)
    for problem, begins in zip(found, expected, strict=True):
        assert problem.startswith(f"scenarios.one: {begins}")


@pytest.mark.parametrize(
    "steps", [["watermark_removal", "badnets", "lira"], ["knockoff", "gradient_inversion", "badnets"], LOOP]
)
def test_shapes_that_the_engine_knows_are_accepted(steps: list[str]) -> None:
    assert len(checked(chain(*steps)).scenarios[0].steps) == len(steps)


@pytest.mark.parametrize("faulty", [{"shadow": 2}, {"data": 3}, {"access": ["labels", "everything"]}, {"shadows": "x"}])
def test_code_is_listed_with_all_other_problems(faulty: dict[str, Any]) -> None:
    code = {"train": "mine:fit", "model": {"name": "mine:net"}}
    other = {"other": {**tiny.TABLE, "defences": ["gate"]}}
    written = tiny.spec({"digits": {**tiny.DIGITS, **code, **faulty}, **other}, {"one": {"attack": "badnet"}})
    found = "\n".join(problems({**written, "sedes": 3}))
    for part in ("digits: names code (mine:fit)", "digits: names code (mine:net)", "'badnet'", "'gate'", "sedes"):
        assert found.count(part) == 1
    assert f"targets.digits.{next(iter(faulty))}" in found
    allowed = "\n".join(problems({**written, "sedes": 3}, allow_code=True))
    assert "names code" not in allowed
    assert "'gate'" in allowed


def test_a_faulty_scenario_hides_no_other() -> None:
    scenarios = {"bad": {"attack": 3}, "worse": {"attack": "badnets", "targets": ["nowhere"], "laps": 9}}
    listed = problems(tiny.spec(scenarios={**scenarios, "also": {"chain": ["lira", "badnets"]}}))
    found = "\n".join(listed)
    assert sum(problem.startswith("scenarios.bad.attack") for problem in listed) == len(listed) - 3
    for part in ("scenarios.bad.attack", "scenarios.worse.laps", "unknown target 'nowhere'", "scenarios.also: step 1"):
        assert part in found


@pytest.mark.parametrize(
    ("step", "records", "expected"),
    [
        (BadNets(target=9, rate=0.1), 5, ["rate 0.1 of 5 records rounds to none; use at least 0.2"]),
        (BadNets(target=9, rate=0.1), 6, []),
        (BadNets(target=10), 100, ["target 10: the data has classes 0 to 9"]),
        (BadNets(target=10, rate=0.001), 100, ["target 10: the", "rate 0.001 of 100 records rounds to none"]),
        (LabelFlip(), 100, []),
        (LabelFlip(), 0, ["no records"]),
        (LabelFlip(rate=0.004), 100, ["rate 0.004 of 100 records rounds to none; use at least 0.01"]),
        (LabelFlip(source=9, target=0), 100, []),
        (LabelFlip(source=11, target=10), 100, ["source 11: the data has classes 0 to 9", "target 10: the"]),
        (HonestContribution(), 0, []),
    ],
)
def test_steps_tell_what_the_data_makes_impossible(step: Step[Any], records: int, expected: list[str]) -> None:
    found = step.problems(DIGITS, records)
    assert len(found) == len(expected)
    for problem, begins in zip(found, expected, strict=True):
        assert problem.startswith(begins)
