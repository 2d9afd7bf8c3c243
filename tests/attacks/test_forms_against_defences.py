"""Attackers who know a defence get through it, at least in part, where the unchanged attack does not."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from stealing_world import world

from threatloop.algorithms.nearest import nearest_distances
from threatloop.algorithms.plausible_labels import border_flips, class_flips, nearness, second_class
from threatloop.algorithms.record_features import channel_scale, vectors
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.blended import Blended
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.attacks.data_to_model.truth_serum import TruthSerum
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import DEFENCES
from threatloop.core.defence import Adaptation
from threatloop.core.seeds import Streams
from threatloop.models.responder import local_service
from threatloop.scenario.lifecycle import DefendedTraining
from threatloop.scenario.served import served

STREAMS = Streams(5, ("forms",))
HIDES = frozenset({Adaptation.LIFECYCLE, Adaptation.STEALTH})
ENDURES = frozenset({Adaptation.LIFECYCLE, Adaptation.ENDURANCE})


def own() -> Dataset:
    return world().members.take(slice(0, 400))


def offered() -> Dataset:
    return concatenate([world().members.take(slice(400, None)), world().pool.take(slice(0, 60))])


def bench() -> Bench:
    return Bench(STREAMS, {Resource.TARGETS: own().take(slice(0, 20))})


@cache
def filtered(attack: Any, name: str) -> tuple[float, float]:
    """Share of the poison that a filter leaves in, and the error of the model behind it."""
    crafted = attack.run(offered(), bench()).result if attack else offered()
    data = concatenate([own(), crafted])
    trusted = np.arange(len(data)) < len(own())
    poison = np.r_[trusted[:0], np.zeros(len(own()), np.bool_), crafted.y[: len(offered())] != offered().y]
    poison = np.r_[poison, np.ones(len(data) - len(poison), np.bool_)]
    left = float("nan")
    if name:
        left = float(
            DEFENCES.load(name)().keep(data, trusted, world().training, STREAMS.child("sanitise-0"))[poison].mean()  # type: ignore[attr-defined]
        )
    defences = (DEFENCES.load(name)(),) if name else ()
    model = DefendedTraining(world().training, defences).made_of(data, trusted, STREAMS, "train")
    answers = local_service(model).responder.log_probs(world().test.x)
    return left, float((answers.argmax(axis=1) != world().test.y).mean())


@pytest.mark.parametrize(("name", "form"), [("spectral_signatures", 0), ("label_noise_filter", 1)])
def test_flips_that_hide_stay_and_do_harm(name: str, form: int) -> None:
    plain = LabelFlip(rate=0.3)
    hidden = plain.adapted(HIDES)[form]
    found, lost = filtered(plain, name)
    left, harm = filtered(hidden, name)
    assert found < 0.2
    assert left > found + 0.3
    assert harm > lost + 0.015


def test_flips_lie_at_the_border_and_name_the_nearest_class() -> None:
    data, count = offered(), 50
    to, doubt = second_class(data, data)
    at_border = border_flips(data, count)
    flipped = at_border != data.y
    assert flipped.sum() == count
    assert doubt[flipped].min() >= doubt[~flipped].max()
    assert np.array_equal(at_border[flipped], to[flipped])
    by_class = class_flips(data, count)
    renamed = np.unique(data.y[by_class != data.y])
    assert (by_class != data.y).sum() == count
    for label in renamed:
        assert len(np.unique(by_class[(by_class != data.y) & (data.y == label)])) == 1
    assert not set(renamed) & set(np.unique(by_class[by_class != data.y]))


def test_nearness_is_the_mean_distance_to_the_nearest_of_a_class() -> None:
    records, among = own().take(slice(0, 4)), offered()
    scale = channel_scale(among)
    for row, found in zip(vectors(records) / scale, nearness(records, among), strict=True):
        for label in range(10):
            apart = np.linalg.norm(vectors(among.take(among.y == label)) / scale - row, axis=1)
            assert found[label] == pytest.approx(np.sort(apart)[:5].mean(), rel=1e-3)


def test_a_class_to_class_attacker_flips_what_is_nearest_to_the_target() -> None:
    plain = LabelFlip(rate=0.4, source=8, target=1)
    (hidden,) = plain.adapted(HIDES)
    crafted = hidden.run(offered(), bench()).result
    flipped = crafted.y != offered().y
    assert flipped.sum() == (plain.run(offered(), bench()).result.y != offered().y).sum()
    apart = nearness(offered(), offered())
    doubt = apart[:, 8] / apart[:, 1]
    assert doubt[flipped].min() >= doubt[(offered().y == 8) & ~flipped].max()
    assert hidden.adapted(HIDES) == (hidden,)
    with pytest.raises(ValueError, match="choice border"):
        LabelFlip(source=1, target=2, choice="classes")


def test_replicas_that_differ_pass_for_records_of_their_own() -> None:
    plain = TruthSerum(targets=20, replicas=8)
    (hidden,) = plain.adapted(HIDES)
    assert filtered(plain, "near_duplicates")[0] < 0.1
    assert filtered(hidden, "near_duplicates")[0] > 0.95
    crafted = hidden.run(offered(), bench()).result
    added, targets = crafted.take(slice(len(offered()), None)), bench().data(Resource.TARGETS)
    assert np.array_equal(added.y, np.repeat(second_class(targets, offered())[0], 8))
    scale = channel_scale(offered())
    moved = (vectors(added) - np.repeat(vectors(targets), 8, axis=0)) / scale
    usual = np.median(nearest_distances(vectors(offered()) / scale, np.arange(len(offered()))))
    assert np.median(np.linalg.norm(moved, axis=1)) == pytest.approx(0.5 * usual, rel=0.4)  # cut at black and white


@cache
def poisoned(attack: Any) -> Any:
    data = concatenate([own(), attack.run(offered(), bench()).result])
    return world().training.fit(data, STREAMS.child("victim"))


def success(attack: Any, name: str) -> float:
    """Triggered records taken for the target, above those that are without it, behind one serving defence."""
    standing = (DEFENCES.load(name)(),) if name else ()
    asked = served(local_service(poisoned(attack)).responder, standing, own(), STREAMS.child("server"))
    others = world().test.take(world().test.y != attack.target)
    hit, without = (asked.log_probs(x).argmax(axis=1) == attack.target for x in (attack.stamp(others).x, others.x))
    return float(hit.mean() - without.mean())


@pytest.mark.parametrize(("name", "form", "least"), [("input_purification", 0, 0.3), ("strip", 1, 0.8)])
def test_a_trigger_that_endures_gets_past_what_stops_the_plain_one(name: str, form: int, least: float) -> None:
    plain = BadNets(rate=0.1)
    enduring = plain.adapted(ENDURES)[form]
    assert success(plain, "") > 0.8
    assert success(enduring, "") > 0.8
    assert success(plain, name) < 0.1
    assert success(enduring, name) > least


@pytest.mark.parametrize("attack", [BadNets(rate=0.1, target=3), Blended(rate=0.1, target=3)])
def test_enduring_poison_is_faded_and_its_mixtures_carry_either_label(attack: Any) -> None:
    _, form = attack.adapted(ENDURES)
    crafted, data = form.run(offered(), bench()).result, offered()
    whole, part = (attack.model_copy(update=one).run(data, bench()).result for one in ({}, {"faded": 0.15}))
    assert np.array_equal(whole.y, part.y)
    bare, poisoned = data.x.astype(np.float64), whole.y != data.y
    strength, full = (np.abs(one.x - bare).sum(axis=(1, 2, 3))[poisoned] for one in (part, whole))
    share = strength[full > 0] / full[full > 0]
    assert 0.13 <= share.min() < 0.4 < 0.8 < share.max() <= 1.001
    touched = (crafted.x != data.x).any(axis=(1, 2, 3))
    assert touched.sum() == pytest.approx(72, abs=3)
    mixtures = touched & ~((crafted.y == 3) & (data.y != 3))
    kept = (crafted.y == data.y)[mixtures].mean()
    assert 0.3 < kept < 0.8


def test_defences_say_what_is_done_about_them() -> None:
    known = {name: DEFENCES.load(name).info.adaptations for name in ("strip", "rounding", "mixup", "prada")}
    assert Adaptation.ENDURANCE in known["strip"]
    assert Adaptation.ENDURANCE not in known["rounding"]
    assert Adaptation.EMPHASIS in known["mixup"]
    (form,) = BadNets().adapted(known["mixup"])
    assert form == BadNets(magnified=2)
    assert Blended().adapted(known["mixup"]) == (Blended(ratio=0.4),)
