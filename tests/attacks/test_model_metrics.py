"""Metrics on models against planted effects; what cannot be computed says why."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import BaseModel
from stealing_world import world

from threatloop.algorithms.grading import rate, rate_difference
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.honest import HonestContribution
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.attacks.model_to_model.knockoff import Knockoff
from threatloop.core.assets import Dataset, Model
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.metric import Case, Metric, Reading
from threatloop.metrics.backdoor import AttackSuccess, BackdoorInherited
from threatloop.metrics.clean_accuracy import CleanAccuracy, CloneAccuracy
from threatloop.metrics.fidelity import Fidelity
from threatloop.metrics.flip_success import FlipSuccess


def trained(poison: DataToModel) -> Model:
    w = world()
    crafted = poison.run(w.members, Bench(w.streams.child("poison"))).result
    return w.training.fit(crafted, w.streams.child("victim"))


def graded(
    metric: Metric, attack: BaseModel, upstream: tuple[BaseModel, ...] = (), **truths: Dataset | Model
) -> dict[str, Reading]:
    readings = metric.grade(Case({"test": world().test, **truths}, attack, world().streams, upstream)).readings
    for reading in readings:
        assert (reading.value is None) == bool(reading.undefined)
        if reading.value is not None:
            assert reading.low is not None
            assert reading.high is not None
            assert reading.low <= reading.value <= reading.high
    return {reading.metric: reading for reading in readings}


def value(reading: Reading) -> float:
    assert reading.value is not None, reading.undefined
    return reading.value


def test_a_backdoor_is_found_and_costs_no_accuracy() -> None:
    attack = BadNets(rate=0.1, target=4)
    victim, honest = trained(attack), trained(HonestContribution())
    on, off = graded(AttackSuccess(), attack, outcome=victim), graded(AttackSuccess(), attack, outcome=honest)
    assert value(on["attack_success"]) > 0.9
    assert value(on["attack_success.adjusted"]) > 0.85
    assert value(off["attack_success"]) < 0.1
    assert on["attack_success"].n == (world().test.y != 4).sum()
    clean = [value(graded(CleanAccuracy(), attack, outcome=m)["clean_accuracy"]) for m in (victim, honest)]
    assert clean[0] > clean[1] - 0.03 > 0.9


class NullTrigger(BadNets):
    """Poisoned labels without a trigger on the records."""

    def stamp(self, data: Dataset) -> Dataset:
        return data


def test_a_null_trigger_has_no_adjusted_success() -> None:
    attack = NullTrigger(rate=0.1, target=4)
    readings = graded(AttackSuccess(), attack, outcome=trained(attack))
    assert readings["attack_success.adjusted"].value == 0
    assert value(readings["attack_success"]) < 0.2


def test_backdoor_success_without_other_classes_is_undefined() -> None:
    w = world()
    only = w.test.take(w.test.y == 0)
    readings = graded(AttackSuccess(), BadNets(target=0), outcome=w.victim, test=only)
    assert all("target class 0" in reading.undefined for reading in readings.values())


def test_an_attack_without_a_trigger_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="LabelFlip has no trigger"):
        graded(AttackSuccess(), LabelFlip(), outcome=world().victim)
    with pytest.raises(TypeError, match="Knockoff flips no labels"):
        graded(FlipSuccess(), Knockoff(), outcome=world().victim)


def test_inheritance_is_graded_by_the_trigger_planted_upstream() -> None:
    planted = BadNets(rate=0.1, target=4)
    victim = trained(planted)
    chain = (HonestContribution(), planted)
    kept = graded(BackdoorInherited(), Knockoff(), chain, outcome=victim)["backdoor_inherited"]
    assert value(kept) == graded(AttackSuccess(), planted, outcome=victim)["attack_success"].value
    assert graded(BackdoorInherited(), Knockoff(), (HonestContribution(),), outcome=victim) == {}


def test_class_to_class_flips_are_graded_on_the_source_class() -> None:
    w = world()
    attack = LabelFlip(rate=0.8, source=1, target=7)
    flipped, honest = (
        graded(FlipSuccess(), attack, outcome=trained(poison))["flip_success"]
        for poison in (attack, HonestContribution())
    )
    assert value(flipped) > 0.5
    assert value(honest) < 0.1
    assert flipped.n == (w.test.y == 1).sum()
    without = w.test.take(w.test.y != 1)
    missing = graded(FlipSuccess(), attack, outcome=w.victim, test=without)["flip_success"]
    assert "source class 1" in missing.undefined


def test_random_flips_are_graded_by_the_error_rate() -> None:
    attack = LabelFlip(rate=0.4)
    victim = trained(attack)
    error = graded(FlipSuccess(), attack, outcome=victim)["flip_success"]
    accuracy = graded(CleanAccuracy(), attack, outcome=victim)["clean_accuracy"]
    assert value(error) == pytest.approx(1 - value(accuracy))
    assert value(error) > value(graded(FlipSuccess(), attack, outcome=world().victim)["flip_success"]) + 0.05


def test_fidelity_counts_agreement_also_where_the_victim_errs() -> None:
    w = world()
    other = w.training.fit(w.pool, w.streams.child("other"))
    itself = graded(Fidelity(), Knockoff(), outcome=w.victim, victim=w.victim)
    apart = graded(Fidelity(), Knockoff(), outcome=other, victim=w.victim)
    answers, truth = w.training.serve(other).labels(w.test.x), w.training.serve(w.victim).labels(w.test.x)
    assert itself["fidelity"].value == itself["fidelity.where_victim_errs"].value == 1.0
    assert value(apart["fidelity"]) == pytest.approx((answers == truth).mean())
    wrong = truth != w.test.y
    assert apart["fidelity.where_victim_errs"].n == wrong.sum()
    assert value(apart["fidelity.where_victim_errs"]) == pytest.approx((answers == truth)[wrong].mean())
    right = w.test.take(~wrong)
    flawless = graded(Fidelity(), Knockoff(), outcome=other, victim=w.victim, test=right)
    assert "errs on no" in flawless["fidelity.where_victim_errs"].undefined
    assert flawless["fidelity"].n == len(right)


def test_clone_accuracy_is_the_accuracy_of_the_outcome_under_its_own_name() -> None:
    clean, clone = (graded(m, Knockoff(), outcome=world().victim) for m in (CleanAccuracy(), CloneAccuracy()))
    assert clean["clean_accuracy"].value == clone["clone_accuracy"].value


def test_a_rate_of_nothing_is_undefined() -> None:
    none = np.zeros(0, dtype=bool)
    for reading in (rate("r", none, "there is nothing"), rate_difference("r", none, none, "there is nothing")):
        assert (reading.value, reading.undefined) == (None, "there is nothing")


def test_paired_difference_matches_the_published_example() -> None:
    """Newcombe 1998, table III: 36, 12, 2 and 0 of 50 pairs give .2 with the interval .0569 to .3404."""
    first = np.repeat([True, True, False, False], [36, 12, 2, 0])
    second = np.repeat([True, False, True, False], [36, 12, 2, 0])
    reading = rate_difference("r", first, second, "")
    assert reading.value == pytest.approx(0.2)
    assert reading.low == pytest.approx(0.0569, abs=5e-5)
    assert reading.high == pytest.approx(0.3404, abs=5e-5)


def test_paired_differences_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        base = rng.random(120)
        first, second = base < 0.7, np.where(rng.random(120) < 0.8, base, rng.random(120)) < 0.5
        reading = rate_difference("r", first, second, "")
        assert reading.low is not None
        assert reading.high is not None
        inside += reading.low <= 0.2 <= reading.high
    assert 930 <= inside <= 985
