"""What every row of the catalogue says about itself. A new row is tested here without a line of its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

import tiny
from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS
from threatloop.core.defence import Defence, Stage
from threatloop.core.step import Direction, Step
from threatloop.engine.operations.act import attack_of

MODALITIES = {"image", "tabular", "text"}
ATLAS = re.compile(r"AML\.T\d{4}(\.\d{3})?")
MITIGATION = re.compile(r"AML\.M\d{4}")
YEAR = re.compile(r"\b(19|20)\d\d\b")
ROWS = ATTACKS.names()


def is_baseline(name: str) -> bool:
    return name in {ATTACKS.load(row).info.baseline for row in ROWS}


@pytest.mark.parametrize("name", ROWS)
def test_facts_of_an_attack_are_complete(name: str) -> None:
    cls = ATTACKS.load(name)
    info = cls.info
    assert issubclass(cls, Step)
    assert isinstance(info.direction, Direction)
    assert info.title
    assert info.knowledge
    assert info.modalities
    assert info.modalities <= MODALITIES
    assert all(ATLAS.fullmatch(technique) for technique in info.atlas)
    assert set(info.metrics) <= set(METRICS.names())
    assert info.direction.source == "M" or Resource.VICTIM in info.resources or not info.needs
    assert ATTACKS.load(info.baseline).info.direction is info.direction
    assert info.modalities <= ATTACKS.load(info.baseline).info.modalities
    if is_baseline(name):
        return
    assert info.metrics
    assert YEAR.search(info.paper)
    assert info.atlas
    assert cls.__doc__
    assert YEAR.search(cls.__doc__)


@pytest.mark.parametrize("name", ROWS)
def test_a_baseline_can_be_made_of_every_configuration(name: str) -> None:
    attack = attack_of({"name": name, "parameters": {k: v for k, v in tiny.small(name).items() if k != "name"}})
    baseline = attack.as_baseline()
    assert type(baseline) is ATTACKS.load(attack.info.baseline)
    # Without the same budget an effect would be that of the budget.
    assert all(getattr(baseline, field, value) == value for field, value in attack if field in tiny.SMALL)
    # What the baseline may ask of the victim is never more than the attack may.
    assert baseline.required() <= attack.required()
    assert attack.required() <= attack.info.needs


def configurations() -> Iterator[tuple[str, BaseModel]]:
    for name in ROWS:
        yield name, ATTACKS.load(name)(**{k: v for k, v in tiny.small(name).items() if k != "name"})
    for name in DEFENCES.names():
        yield name, DEFENCES.load(name)()
    for name in METRICS.names():
        yield name, METRICS.load(name)()


@pytest.mark.parametrize(
    ("name", "made"), list(configurations()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_configuration_is_frozen_strict_and_survives_json(name: str, made: BaseModel) -> None:
    assert type(made).model_validate(json.loads(made.model_dump_json())) == made
    with pytest.raises(ValidationError, match="xtra inputs are not permitted"):
        type(made).model_validate({**made.model_dump(), "no_such_field": 1})
    for field in type(made).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(made, field, getattr(made, field))
    assert hash(made) == hash(type(made).model_validate(made.model_dump())), name


def test_every_metric_says_what_it_is_worth() -> None:
    for name in METRICS.names():
        info = METRICS.load(name).info
        assert info.title
        assert info.unit
        assert info.meaning
        assert info.margin > 0
        assert info.needs | info.may_use
        assert info.worst is None or math.isfinite(info.worst)


@pytest.mark.parametrize("name", DEFENCES.names())
def test_facts_of_a_defence_are_complete(name: str) -> None:
    cls = DEFENCES.load(name)
    info = cls.info
    assert info.title
    assert YEAR.search(info.paper)
    assert info.modalities
    assert info.modalities <= MODALITIES
    assert all(MITIGATION.fullmatch(mitigation) for mitigation in info.atlas)
    assert set(info.excludes) <= set(DEFENCES.names()) - {name}
    assert issubclass(cls, Defence)
    assert isinstance(info.stage, Stage)
    assert cls.__doc__
    assert YEAR.search(cls.__doc__)
    assert not cls.model_fields or "Attributes:" in cls.__doc__ or all(f.description for f in cls.model_fields.values())
    assert f".{info.stage.value}." in f"{cls.__module__}."
