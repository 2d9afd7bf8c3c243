"""Poisons refuse what cannot be done in one line, and tables and degenerate images get a result or a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from stealing_world import digits, world

from threatloop import modality
from threatloop.algorithms.surrogates import movable
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.blended import Blended
from threatloop.attacks.data_to_model.clean_label import CleanLabelBackdoor
from threatloop.attacks.data_to_model.feature_noise import FeatureNoise
from threatloop.attacks.data_to_model.gradient_matching import GradientMatching
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.attacks.data_to_model.mislabelled_noise import MislabelledNoise
from threatloop.attacks.data_to_model.truth_serum import TruthSerum
from threatloop.attacks.data_to_model.wanet import WaNet
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Column, ImageSchema, TabularSchema


def bench(targets: int = 20) -> Bench:
    here = world()
    return here.bench(targets=here.test.take(slice(0, targets)))


def table(n: int = 120, seed: int = 0) -> Dataset:
    kinds: tuple[dict[str, Any], ...] = (
        {"low": -5, "high": 5},
        {"low": 0, "high": 40, "kind": "integer"},
        {"kind": "categorical", "categories": ("x", "y", "z")},
    )
    schema = TabularSchema(
        classes=("a", "b"), columns=tuple(Column(name=str(i), **kind) for i, kind in enumerate(kinds))
    )
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = np.stack([rng.normal(y, 1).clip(-5, 5), rng.integers(0, 41, n), rng.integers(0, 3, n)], axis=1)
    return Dataset(x.astype(np.float32), y, schema, np.arange(n))


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (Blended(target=10), "target 10: the data has classes 0 to 9"),
        (Blended(rate=1e-5), "rounds to none; use at least"),
        (WaNet(rate=0.5), "use a rate of at most 0.333"),
        (WaNet(target=11), "target 11"),
        (FeatureNoise(rate=1e-5), "rounds to none"),
        (CleanLabelBackdoor(target=10), "target 10: the data has classes 0 to 9"),
        (CleanLabelBackdoor(rate=1e-3), "rounds to none"),
        (CleanLabelBackdoor(size=9, steps=1), "trigger size 9"),
        (GradientMatching(targets=21), "targets 21: there are 20"),
        (TruthSerum(targets=21), "targets 21: there are 20"),
        (MislabelledNoise(targets=701), "targets 701: 700 records"),
    ],
)
def test_impossible_poison_is_refused_in_one_line(attack: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        attack.run(world().members, bench())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (GradientMatching(rate=1e-3), "rounds to none"),
        (GradientMatching(targets=20, rate=0.01), "for . targets; use a rate of at least"),
    ],
)
def test_too_few_records_of_a_class_that_a_target_is_meant_for(attack: Any, words: str) -> None:
    with pytest.raises(NotAssessable, match=words):
        attack.run(world().members, bench())


@pytest.mark.parametrize(
    ("attack", "per_class", "targets", "words"),
    [
        (BadNets(rate=0.9), (20, 80), 0, "asks for 90, but there are 80 records of other classes; use at most 0.8"),
        (Blended(rate=0.9, target=1), (20, 80), 0, "there are 20 records of other classes"),
        (WaNet(rate=0.3), (90, 10), 0, "there are 10 records of other classes"),
        (CleanLabelBackdoor(), (0, 80), 0, "there are no records of class 0 to poison"),
        (CleanLabelBackdoor(rate=0.1), (2, 80), 0, "rate 0.1 of 2 records rounds to none; use at least 0.5"),
        (LabelFlip(source=1, target=0), (80, 1), 0, "rate 0.2 of 1 records rounds to none"),
        (TruthSerum(targets=21), (50, 50), 20, "targets 21: there are 20 to choose from; use at most that many"),
        (GradientMatching(targets=21), (50, 50), 20, "targets 21: there are 20"),
    ],
)
def test_counts_that_cannot_be_met_are_found_before_any_training(
    attack: Any, per_class: tuple[int, ...], targets: int, words: str
) -> None:
    (problem,) = attack.count_problems(per_class, targets)
    assert words in problem
    assert (
        type(attack)(**({"source": 0, "target": 1} if isinstance(attack, LabelFlip) else {})).count_problems(
            (100, 100), 50
        )
        == []
    )


@pytest.mark.parametrize("attack", [CleanLabelBackdoor, GradientMatching])
def test_a_radius_beyond_the_whole_range_is_refused(attack: Any) -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        attack(epsilon=1.5)


@pytest.mark.parametrize(
    "attack", [Blended(target=2), WaNet(rate=0.4), FeatureNoise(rate=1e-5), MislabelledNoise(targets=50)]
)
def test_impossible_poison_is_found_before_any_compute(attack: Any) -> None:
    assert len(attack.problems(table().schema, 40)) == 1
    assert type(attack)().problems(digits().schema, 400) == []


def test_degenerate_images_get_a_result_or_a_reason() -> None:
    constant = world().members.with_x(np.full_like(world().members.x, 7))
    for attack in (Blended(), WaNet(), FeatureNoise(), MislabelledNoise()):
        assert len(attack.run(constant, bench()).result) >= len(constant)
    dot = ImageSchema(classes=("a", "b"), channels=1, height=1, width=1)
    pixels = Dataset(np.full((20, 1, 1, 1), 9, np.uint8), np.arange(20) % 2, dot, np.arange(20))
    assert len(Blended().run(pixels, bench()).result) == 20
    with pytest.raises(NotAssessable, match="warp"):
        WaNet().run(pixels, bench())


def test_tables_are_moved_within_the_ball_and_their_grid() -> None:
    data = table()
    kind = modality.of(data.schema)
    space = movable(data)
    assert np.array_equal(space.scale[2:], np.zeros(3))
    delta = 0.3 * space.scale * np.random.default_rng(0).choice([-1, 1], (len(data), 5)).astype(np.float32)
    moved = kind.moved(data.x, delta, data.schema)
    assert kind.problems(data.with_x(moved)) == []
    assert np.array_equal(moved[:, 2], data.x[:, 2])
    assert (np.abs(moved - data.x)[:, :2] <= 0.3 * space.scale[:2] + 1e-4).all()
    assert (moved[:, :2] != data.x[:, :2]).any(axis=0).all()


def test_blending_a_table_moves_numbers_only() -> None:
    data = table()
    blended = Blended(ratio=0.5).stamp(data)
    assert modality.of(data.schema).problems(blended) == []
    assert np.array_equal(blended.x[:, 2], data.x[:, 2])
    assert (blended.x[:, 0] != data.x[:, 0]).all()


def test_resources_are_declared() -> None:
    assert Resource.TARGETS in TruthSerum.info.resources
    assert type(TruthSerum(replicas=4).as_control()) is MislabelledNoise
    control = TruthSerum(replicas=4).as_control()
    assert isinstance(control, MislabelledNoise)
    assert control.replicas == 4
