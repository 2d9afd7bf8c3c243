"""Poisons do what they were planted for, touch nothing else, and refuse what cannot be done in one line."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from stealing_world import world

from threatloop.algorithms.gradient_matching import pull
from threatloop.attacks.data_to_model.blended import Blended
from threatloop.attacks.data_to_model.clean_label import CleanLabelBackdoor
from threatloop.attacks.data_to_model.feature_noise import FeatureNoise
from threatloop.attacks.data_to_model.gradient_matching import GradientMatching
from threatloop.attacks.data_to_model.mislabelled_noise import MislabelledNoise
from threatloop.attacks.data_to_model.truth_serum import TruthSerum
from threatloop.attacks.data_to_model.wanet import WaNet
from threatloop.core.assets import Dataset, Model, concatenate
from threatloop.core.bench import Bench
from threatloop.core.metric import Case
from threatloop.core.schema import Column, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.metrics.backdoor import AttackSuccess
from threatloop.metrics.clean_accuracy import AccuracyLoss
from threatloop.metrics.targeted import TargetedSuccess
from threatloop.modality import of
from threatloop.modality.warping import resampled, smooth_field

STREAMS = Streams(5, ("poison",))


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


@cache
def victim(attack: Any) -> tuple[Model, Dataset]:
    """A model trained on what the attack makes of the members, and that data."""
    here = world()
    crafted = attack.run(here.members, bench(getattr(attack, "targets", 20))).result
    return here.training.fit(crafted, here.streams.child("victim")), crafted


def graded(metric: Any, attack: Any, model: Model, **truths: Any) -> float:
    case = Case({"outcome": model, "test": world().test, **truths}, attack, STREAMS)
    value = metric.grade(case).readings[0].value
    assert value is not None
    return float(value)


@pytest.mark.parametrize(("attack", "least"), [(Blended(target=3), 0.7), (WaNet(target=3), 0.6)])
def test_a_backdoor_is_learnt_and_an_honest_victim_has_none(attack: Any, least: float) -> None:
    model, crafted = victim(attack)
    honest = world().victim
    assert graded(AttackSuccess(), attack, model) > least
    assert graded(AttackSuccess(), attack, honest) < 0.1
    assert graded(AccuracyLoss(), attack, model) < graded(AccuracyLoss(), attack, honest) + 0.06
    relabelled = crafted.y != world().members.y
    assert relabelled.sum() == round(attack.rate * len(crafted))
    assert (crafted.y[relabelled] == 3).all()
    assert np.array_equal(crafted.ids, world().members.ids)


def test_a_trigger_that_changes_nothing_has_the_rate_without_one() -> None:
    model, _ = victim(Blended(target=3))
    null = Blended(target=3, ratio=1e-6)
    case = Case({"outcome": model, "test": world().test}, null, STREAMS)
    readings = {reading.metric: reading.value for reading in AttackSuccess().grade(case).readings}
    assert readings["attack_success.adjusted"] == 0
    assert graded(AttackSuccess(), null, model) < 0.1


def test_the_wrong_key_opens_no_backdoor() -> None:
    for attack in (Blended(target=3), WaNet(target=3)):
        model, _ = victim(attack)
        other = type(attack)(target=3, key=7)
        assert graded(AttackSuccess(), other, model) < 0.5 * graded(AttackSuccess(), attack, model)


def test_warped_noise_records_keep_their_labels() -> None:
    attack, data = WaNet(rate=0.1, cross=2), world().members
    crafted = attack.run(data, bench()).result
    bent = (crafted.x != data.x).any(axis=(1, 2, 3))
    assert bent.sum() == pytest.approx(0.3 * len(data), abs=3)
    assert (bent & (crafted.y == data.y)).sum() == pytest.approx(0.2 * len(data), abs=3)


def test_an_image_is_read_through_a_field_as_the_slow_way_reads_it() -> None:
    rng = np.random.default_rng(3)
    image = rng.random((1, 2, 6, 5)).astype(np.float32)
    shift = smooth_field((6, 5), 3, 1.5, rng)
    found = resampled(image, shift[None])
    for i in range(6):
        for j in range(5):
            r, c = np.clip(i + shift[0, i, j], 0, 5), np.clip(j + shift[1, i, j], 0, 4)
            up, left = int(r), int(c)
            down, right = min(up + 1, 5), min(left + 1, 4)
            a, b = r - up, c - left
            top = image[0, :, up, left] * (1 - b) + image[0, :, up, right] * b
            low = image[0, :, down, left] * (1 - b) + image[0, :, down, right] * b
            assert found[0, :, i, j] == pytest.approx(top * (1 - a) + low * a, abs=1e-5)
    assert np.array_equal(resampled(image, 0 * shift[None]), image)


@pytest.mark.parametrize("content", ["swapped", "noise"])
def test_feature_noise_keeps_labels_and_costs_accuracy(content: Any) -> None:
    attack = FeatureNoise(rate=0.8, content=content)
    model, crafted = victim(attack)
    assert np.array_equal(crafted.y, world().members.y)
    assert crafted.x.dtype == world().members.x.dtype
    cost = graded(AccuracyLoss(), attack, model) - graded(AccuracyLoss(), attack, world().victim)
    assert cost > (0.3 if content == "swapped" else 0.01)


def test_swapped_content_is_always_of_another_class() -> None:
    data = table()
    crafted = FeatureNoise(rate=1.0).run(data, bench()).result
    origin = {record.tobytes(): label for record, label in zip(data.x, data.y, strict=True)}
    assert all(origin[x.tobytes()] != y for x, y in zip(crafted.x, crafted.y, strict=True))


def test_guessing_has_lost_everything_and_one_class_has_nothing_to_lose() -> None:
    here = world()
    wrong = here.test.with_y((here.test.y + 1) % 10)
    case = Case({"outcome": here.victim, "test": wrong}, FeatureNoise(), STREAMS)
    (reading,) = AccuracyLoss().grade(case).readings
    assert reading.value is not None
    assert reading.value > 1
    one = here.test.take(here.test.y == 0)
    case = Case({"outcome": here.victim, "test": one}, FeatureNoise(), STREAMS)
    assert "one class" in AccuracyLoss().grade(case).readings[0].undefined


@pytest.mark.parametrize("attack", [CleanLabelBackdoor(target=3, steps=10), GradientMatching(steps=10, restarts=1)])
def test_clean_label_poison_changes_no_label_and_stays_in_its_ball(attack: Any) -> None:
    data = world().members
    crafted = attack.run(data, bench(1)).result
    assert np.array_equal(crafted.y, data.y)
    moved = np.abs(crafted.x.astype(int) - data.x)
    touched = moved.any(axis=(1, 2, 3))
    assert touched.any()
    if isinstance(attack, CleanLabelBackdoor):
        moved[:, :, -2:, -2:] = 0
        assert set(data.y[touched]) == {3}
    assert 0 < moved.max() <= 255 // 4 + 1
    small = attack.model_copy(update={"epsilon": 5 / 255}).run(data, bench(1)).result
    moved = np.abs(small.x.astype(int) - data.x)
    moved[:, :, -2:, -2:] = 0
    assert 0 < moved.max() <= 5


def test_a_clean_label_backdoor_raises_the_rate_of_its_trigger() -> None:
    attack = CleanLabelBackdoor(target=3, size=3)
    model, _ = victim(attack)
    base = graded(AttackSuccess(), attack, world().victim)
    assert graded(AttackSuccess(), attack, model) > base + 0.15


def test_matched_gradients_move_some_targets_and_an_honest_victim_none() -> None:
    attack = GradientMatching(targets=4, rate=1.0, epsilon=0.4, steps=60, restarts=1, surrogates=1)
    targets = world().test.take(slice(0, 4))
    model, _ = victim(attack)
    assert graded(TargetedSuccess(), attack, world().victim, targets=targets) == 0
    assert graded(TargetedSuccess(), attack, model, targets=targets) >= 0.25


def test_the_records_that_pull_hardest_are_poisoned() -> None:
    here = world()
    network = here.training.module(here.victim)
    of_class = here.members.take(here.members.y == 3)
    wrong = here.test.take(here.test.y != 3).take(slice(0, 5))
    data = concatenate([of_class, wrong.with_y(np.full(5, 3))])
    found = pull([network, network], data)
    x = torch.from_numpy(of(data.schema).encode(data.x, data.schema))
    slow = []
    for k in range(len(data)):
        logits = network(x[k : k + 1]).detach().requires_grad_()
        torch.nn.functional.cross_entropy(logits, torch.tensor([3])).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        slow.append(float(logits.grad.norm()))
    assert found == pytest.approx(slow, abs=1e-5)
    assert found[-5:].min() > np.quantile(found[:-5], 0.9)


def test_only_as_many_records_as_the_rate_allows_are_moved() -> None:
    data = world().members
    crafted = GradientMatching(rate=0.1, steps=2, surrogates=1, retrain=0).run(data, bench(1)).result
    intended = (int(world().test.y[0]) + 1) % data.n_classes
    moved = (crafted.x != data.x).any(axis=(1, 2, 3))
    assert set(data.y[moved]) == {intended}
    assert moved.sum() == round(0.1 * np.count_nonzero(data.y == intended))


def test_matching_starts_again_from_what_it_has_when_surrogates_are_retrained() -> None:
    here = bench(2)
    attack = GradientMatching(targets=2, steps=20, restarts=1, surrogates=1, retrain=1)
    crafted = attack.run(world().members, here).result
    assert (crafted.x != world().members.x).any()
    assert here.progress.notes["loss_last"] < here.progress.notes["loss_first"]


@pytest.mark.parametrize("attack", [TruthSerum(targets=6, replicas=3), MislabelledNoise(targets=6, replicas=3)])
def test_privacy_poison_adds_mislabelled_replicas_and_leaves_the_contribution(attack: Any) -> None:
    data, targets = world().members, world().test.take(slice(0, 6))
    crafted = attack.run(data, bench(6)).result
    assert crafted.take(slice(0, len(data))).digest == data.digest
    added = crafted.take(slice(len(data), None))
    assert len(added) == 18
    assert (added.ids == -1).all()
    source = targets if isinstance(attack, TruthSerum) else data
    for first in range(0, 18, 3):
        copies = added.take(slice(first, first + 3))
        assert len(np.unique(copies.y)) == 1
        match = (source.x == copies.x[0]).all(axis=(1, 2, 3))
        assert match.any()
        assert copies.y[0] not in source.y[match]
        assert (copies.x == copies.x[0]).all()


def test_no_replicas_are_an_honest_contribution() -> None:
    data = world().members
    assert TruthSerum(targets=6, replicas=0).run(data, bench(6)).result.digest == data.digest
