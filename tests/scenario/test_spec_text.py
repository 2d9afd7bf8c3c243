"""What YAML and JSON can say and a spec cannot hold: one clear line, never a traceback, and never silence."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import tiny
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.core.assets import Architecture
from threatloop.core.errors import InputError, Problems
from threatloop.core.recipe import Recipe
from threatloop.scenario.build import parse_spec
from threatloop.scenario.read import MAX_DEPTH

REST = "scenarios: {one: {attack: badnets}}\n"
TARGET = "targets: {digits: {data: digits, %s}}\n" + REST
WHOLE = "targets: {digits: {data: digits}}\n" + REST
LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


def said(text: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_spec(text, "spec")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: 2024-13-45\n" + WHOLE, "spec: line 1, column 7: '2024-13-45' is no valid timestamp; put it in quotes"),
        (f"seed: {'9' * 5000}\n" + WHOLE, "spec: line 1, column 7: a number of 5000 characters"),
        (f"seed: 0x{'f' * 5000}\n" + WHOLE, "spec: line 1, column 7: a number of 5002 characters"),
        (f'{{"seed":\t{"9" * 5000}}}', "spec: a number of more than 1000 characters"),
        ("[" * 100_000, "spec: nested more than 32 levels deep"),
        ("{a: " * 100_000, "spec: line 1, column 126: nested more than 32 levels deep"),
        ("".join(" " * i + "a:\n" for i in range(500)), "spec: line 32, column 32: nested more than 32 levels deep"),
        (f'{{"a": {"[" * 40 + "]" * 40}}}', "spec: nested more than 32 levels deep"),
        (TARGET % "model: {name: mlp, parameters: &p {again: *p}}", "&p: a spec has no anchors and aliases"),
        ("a: *nothing\n", "spec: line 1, column 4: *nothing: a spec has no anchors and aliases; write the value out"),
        (LAUGHS, "spec: line 1, column 4: &a: a spec has no anchors and aliases"),
        ("a: !!int ''\n" + WHOLE, "spec: line 1, column 4: '' is no valid int"),
        ("a: !!timestamp soon\n" + WHOLE, "'soon' is no valid timestamp"),
        ("a: !!bool perhaps\n" + WHOLE, "'perhaps' is no valid bool"),
        ("? {a: b}\n: c\n", "spec: not YAML at line 1"),
        (b"name: \x00\n", "spec: not YAML: unacceptable character"),
        (WHOLE + "scenarios: {two: {attack: lira}}\n", "spec: line 3, column 1: the key 'scenarios' appears twice"),
        (
            "targets: {digits: {data: digits}}\nscenarios:\n  a: {attack: badnets}\n  b: {attack: lira}\n"
            "  'a': {attack: lira}\n",
            "spec: line 5, column 3: the key 'a' appears twice in one mapping, first in line 3; keep one",
        ),
        (
            '{"targets": {"digits": {"data": "digits"}},\n "scenarios": {"a": {"attack": "lira"},\n'
            '"b": {"attack": "lira"},\n\t"\\u0061" : {"attack": "badnets"}}}',
            "spec: line 4: the key 'a' appears twice in one mapping, first in line 2; keep one",
        ),
    ],
)
def test_refused_in_one_line(text: str | bytes, expected: str) -> None:
    begun = time.monotonic()
    message = said(text)
    assert expected in message
    assert len(message.splitlines()) == 1
    assert len(message) < 300
    assert time.monotonic() - begun < 5


def test_a_key_may_stand_in_several_mappings() -> None:
    twice = {"a": {"attack": "badnets"}, "b": {"attack": {"name": "badnets", "rate": 0.3}}}
    written = tiny.spec(scenarios=twice, name='{"a": [}, "a":')
    assert parse_spec(json.dumps(written), "spec") == parse_spec(written, "spec")
    assert list(parse_spec(json.dumps(written), "spec").scenarios) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        (TARGET % "model: {name: mlp, mean: [0.1, .nan]}", "targets.digits.model.mean.1", "finite number (got nan)"),
        (TARGET % "recipe: {learning_rate: .inf}", "targets.digits.recipe.learning_rate", "finite number (got inf)"),
        (TARGET % "model: {name: mlp, parameters: {a: {b: -.inf}}}", "targets.digits.model.parameters.a.b", "-inf"),
        ("max_cost: {minutes: .inf}\n" + WHOLE, "max_cost.minutes", "finite number"),
        ("scenarios: {one: {attack: {name: badnets, rate: .nan}}}\ntargets: {a: {data: digits}}", "rate", "finite"),
        (
            "scenarios: {one: {attack: {name: label_flip, source: .inf, target: 1}}}\ntargets: {a: {data: digits}}",
            "scenarios.one.attack.source",
            "finite",
        ),
        ("name: 2024-01-02\n" + WHOLE, "name", "a date is none of text, number, list and mapping; put it in quotes"),
        (TARGET % "data2: !!set {a, b}", "targets.digits.data2", "a set is none of"),
        (f"seed: 0x{'f' * 900}\n" + WHOLE, "seed", "more than 64 bits"),
        (
            TARGET % "model: {name: mlp, parameters: {1: 2}}",
            "targets.digits.model.parameters.1",
            "this key is no plain",
        ),
        (TARGET % r'weights: "\0", model: {name: mlp}', "targets.digits.weights", "cannot be written to a file"),
        (TARGET % r'weights: "\ud800", model: {name: mlp}', "targets.digits.weights", r"'\ud800' holds a character"),
        ("2024-01-02: 1\n" + WHOLE, "2024-01-02", "this key is no plain text; put it in quotes"),
        (TARGET % "1: 2", "targets.digits.1", "this key is no plain text"),
        (
            "scenarios: {no: {attack: lira}}\ntargets: {a: {data: digits}}",
            "scenarios.False",
            "this key is no plain text",
        ),
        (r'"\ud800": 1' + "\n" + WHOLE, r"'\ud800'", "this key is no plain text"),
        ('"a\\nb": 1\n' + WHOLE, r"'a\nb'", "unknown key"),
        (f"seeds: {'x' * 5000}\n" + WHOLE, "seeds", "…"),
    ],
)
def test_values_that_no_part_of_a_spec_can_hold(text: str, place: str, expected: str) -> None:
    message = said(text)
    (problem,) = message.splitlines()[1:]
    assert place in problem
    assert problem.startswith("  - ")
    assert expected in problem
    assert len(problem) < 250


def test_odd_values_are_listed_once_and_with_everything_else() -> None:
    message = said("max_cost: {minutes: .inf}\nsedes: 3\n" + TARGET % "train: 'mine:fit'")
    assert message.splitlines()[0] == "spec: 3 problems"
    for part in ("max_cost.minutes: ", "sedes: unknown key", "targets.digits: names code (mine:fit)"):
        assert part in message


def looped() -> dict[str, Any]:
    again: dict[str, Any] = {}
    again["again"] = again
    return {"targets": {"digits": {**tiny.DIGITS, "model": {"name": "mlp", "parameters": again}}}}


def laughing() -> dict[str, Any]:
    grown: list[Any] = ["x"]
    for _ in range(MAX_DEPTH - 8):
        grown = [grown, grown]
    return {"targets": {"digits": {**tiny.DIGITS, "model": {"name": "mlp", "parameters": {"a": grown}}}}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (looped(), "spec: nested more than 32 levels deep"),
        (laughing(), "spec: more than 131072 values"),
        ({"name": date(2024, 1, 2)}, "name: a date is none of"),
        ({"seeds": np.int64(3)}, "seeds: a int64 is none of"),
        ({"name": iter("x")}, "name: a str_ascii_iterator is none of"),
        ({"max_cost": {"minutes": float("nan")}}, "max_cost.minutes: input should be a finite number"),
    ],
)
def test_mappings_from_python_are_held_to_the_same(change: dict[str, Any], expected: str) -> None:
    assert expected in said({**tiny.spec(), **change})


def test_mappings_from_python_may_share_parts_and_are_copied() -> None:
    hidden = [8]
    model = {"name": "mlp", "parameters": {"hidden": hidden}}
    spec = parse_spec(tiny.spec({name: {"data": "digits", "model": model} for name in ("a", "b")}), "spec")
    hidden.append(99)
    assert [target.model.parameters for target in spec.targets.values() if target.model] == [{"hidden": [8]}] * 2


def test_configurations_refuse_what_is_not_finite() -> None:
    for make in (
        lambda: Recipe(learning_rate=float("inf")),
        lambda: Recipe(weight_decay=float("nan")),
        lambda: Architecture(name="mlp", mean=(float("nan"),)),
        lambda: Architecture(name="mlp", std=(float("inf"),)),
        lambda: BadNets(rate=float("nan")),
    ):
        with pytest.raises(ValidationError, match="finite number"):
            make()


def test_problems_are_problems_not_bare_errors(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        parse_spec("max_cost: {minutes: .inf}\n" + WHOLE, str(tmp_path))
    assert len(caught.value.problems) == 1
