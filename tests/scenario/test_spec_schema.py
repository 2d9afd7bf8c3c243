"""The spec as a model: it survives YAML, and its JSON Schema says what the checks say."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from threatloop.core.access import Capability
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.scenario.build import build, parse_spec
from threatloop.scenario.json_schema import spec_schema
from threatloop.scenario.spec import Spec
from threatloop.scenario.studies import study

CHAT = {"protocol": "openai", "url": "http://host", "model": "m", "authorised_by": "the test", "request_cap": 9}
EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("**/*.yaml"))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
SHARE = st.floats(0.01, 0.3)

targets = st.fixed_dictionaries(
    {"data": st.sampled_from(["digits", "breast_cancer", "text"])},
    optional={
        "model": st.fixed_dictionaries(
            {"name": st.sampled_from(["mlp", "cnn"])},
            optional={"mean": st.lists(st.floats(-1, 1), max_size=3), "outputs": st.just("probabilities")},
        ),
        "recipe": st.fixed_dictionaries({"epochs": st.integers(1, 99), "learning_rate": st.floats(1e-6, 1.0)}),
        "access": st.lists(st.sampled_from(list(Capability)).map(str), unique=True),
        "shadows": st.integers(1, 50).map(lambda half: 2 * half),
        "shares": st.fixed_dictionaries({"own": SHARE, "contribution": SHARE, "pool": SHARE}),
        "canaries": st.none() | st.fixed_dictionaries({"count": st.integers(1, 9)}),
        "query_cap": st.none() | st.integers(1, 10**9),
    },
)
attacks = st.sampled_from(["badnets", "label_flip"]) | st.fixed_dictionaries(
    {"name": st.just("badnets"), "rate": st.floats(0.01, 1.0)}
)
scenarios = st.fixed_dictionaries({"attack": attacks}) | st.fixed_dictionaries(
    {"chain": st.just(["badnets", "knockoff", "gradient_inversion"]), "laps": st.sampled_from([1, 2])}
)
specs = st.fixed_dictionaries(
    {
        "targets": st.dictionaries(NAMES, targets, min_size=1, max_size=2),
        "scenarios": st.dictionaries(NAMES, scenarios, min_size=1, max_size=2),
    },
    optional={
        "name": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
        "seed": st.integers(0, 2**63),
        "seeds": st.integers(1, 100),
        "max_cost": st.fixed_dictionaries({"minutes": st.floats(0.1, 1e6)}),
    },
)


@settings(max_examples=60, deadline=None)
@given(written=specs)
def test_a_spec_survives_yaml(written: dict[str, Any]) -> None:
    spec = Spec.model_validate(written)
    again = yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    assert parse_spec(again, "spec") == spec
    assert parse_spec(json.dumps(spec.model_dump(mode="json"), indent="\t"), "spec") == spec


@settings(max_examples=20, deadline=None)
@given(written=specs)
def test_what_the_spec_accepts_the_schema_accepts(written: dict[str, Any]) -> None:
    dumped = Spec.model_validate(written).model_dump(mode="json", exclude_none=True)
    assert errors(dumped) == []


@cache
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="the jsonschema package is not installed")
    return jsonschema.Draft202012Validator(spec_schema())


def errors(written: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(written)]


def default_spec() -> str:
    return study("embedded")


def test_the_default_spec_is_valid_both_ways() -> None:
    audit = build(parse_spec(default_spec(), "default"), Path())
    assert set(audit.targets) == {"digits", "breast_cancer"}
    assert audit.spec.seeds == 12
    assert errors(yaml.safe_load(default_spec())) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid_both_ways(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert build(parse_spec(text, path.name), path.parent, allow_code=True).scenarios
    assert errors(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"sedes": 1},
        {"seeds": 0},
        {"scenarios": {"a": {"attack": "badnet"}}},
        {"scenarios": {"a": {"attack": {"name": "badnets", "rat": 0.1}}}},
        {"scenarios": {"a": {"attack": {"name": "badnets", "rate": 7}}}},
        {"scenarios": {"a": {"chain": ["badnets"]}}},
        {"targets": {"digits": {**tiny.DIGITS, "defences": ["gate"]}}},
        {"targets": {"digits": {"model": tiny.MODEL}}},
        {"targets": {"digits": {**tiny.DIGITS, "endpoint": {**CHAT, "batch": 4}}}},
        {"targets": {"digits": {**tiny.DIGITS, "endpoint": {**CHAT, "protocol": "grpc"}}}},
        {"targets": {"digits": {**tiny.DIGITS, "endpoint": {"url": "http://host"}}}},
        {"targets": {}},
    ],
)
def test_the_schema_refuses_what_the_checks_refuse(change: dict[str, Any]) -> None:
    assert errors(tiny.spec()) == []
    assert errors({**tiny.spec(), **change})


def test_the_schema_knows_every_row_of_the_catalogue() -> None:
    definitions = spec_schema()["$defs"]
    for catalogue in (ATTACKS, DEFENCES):
        for name in catalogue.names():
            described = definitions[f"{catalogue.kind}-{name}"]["properties"]
            assert set(described) == {"name", *catalogue.load(name).model_fields}
