"""Poisons touch as many records as they say, in the way they say, and refuse what cannot be done in one line."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from stealing_world import digits

from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.honest import HonestContribution
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Column, TabularSchema, TextSchema
from threatloop.core.seeds import Streams


def bench(seed: int = 0) -> Bench:
    return Bench(Streams(seed, ("poison",)))


def texts() -> Dataset:
    schema = TextSchema(width=8, classes=("text", "other"))
    x = np.random.default_rng(0).integers(97, 99, size=(40, 8)).astype(np.uint8)
    return Dataset(x, np.zeros(40, np.int64) + 1, schema, np.arange(40))


def table(columns: int) -> Dataset:
    schema = TabularSchema(
        classes=("a", "b"), columns=tuple(Column(name=str(i), low=-5, high=5) for i in range(columns))
    )
    rng = np.random.default_rng(0)
    return Dataset(
        rng.normal(size=(40, columns)).clip(-5, 5).astype(np.float32), np.arange(40) % 2, schema, np.arange(40)
    )


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_badnets_changes_exactly_the_share_of_records_of_other_classes(rate: float) -> None:
    data = digits()
    attack = BadNets(rate=rate, target=3)
    before = data.x.copy()
    crafted = attack.run(data, bench()).result
    assert np.array_equal(data.x, before)
    touched = np.flatnonzero(crafted.y != data.y)
    assert len(touched) == round(rate * len(data))
    assert (crafted.y[touched] == 3).all()
    assert np.array_equal(crafted.x[touched], attack.stamp(data.take(touched)).x)
    rest = np.setdiff1d(np.arange(len(data)), touched)
    assert np.array_equal(crafted.x[rest], data.x[rest])
    assert np.array_equal(crafted.ids, data.ids)


def test_the_automatic_trigger_is_a_seventh_of_a_side_and_at_least_two() -> None:
    data = digits()
    small = data.take(slice(5)).with_x(np.full((5, 1, 8, 8), 128, np.uint8))
    assert (BadNets().stamp(small).x != 128).sum() == 5 * 2 * 2
    assert (BadNets(size=3).stamp(small).x != 128).sum() == 5 * 3 * 3
    rows = table(30)
    assert ((BadNets().stamp(rows).x != rows.x).any(axis=0)).sum() == 4
    assert ((BadNets().stamp(table(1)).x != table(1).x).any(axis=0)).sum() == 1


def test_random_flips_change_labels_to_other_classes_evenly() -> None:
    data = digits()
    flipped = LabelFlip(rate=0.5).run(data, bench()).result
    changed = flipped.y != data.y
    assert changed.sum() == round(0.5 * len(data))
    assert np.array_equal(flipped.x, data.x)
    shift = (flipped.y - data.y)[changed] % 10
    counts = np.bincount(shift, minlength=10)
    assert counts[0] == 0
    assert counts[1:].min() > 0.6 * changed.sum() / 9


@pytest.mark.parametrize("rate", [0.05, 0.4, 1.0])
def test_class_to_class_flips_touch_a_share_of_the_source_and_nothing_else(rate: float) -> None:
    data = digits()
    flipped = LabelFlip(rate=rate, source=1, target=7).run(data, bench()).result
    changed = np.flatnonzero(flipped.y != data.y)
    assert len(changed) == round(rate * int((data.y == 1).sum()))
    assert (data.y[changed] == 1).all()
    assert (flipped.y[changed] == 7).all()


@pytest.mark.parametrize("attack", [BadNets(), LabelFlip(), LabelFlip(rate=0.05, source=2, target=5)])
def test_the_stream_decides_which_records_are_touched(attack: BadNets | LabelFlip) -> None:
    data = digits()
    first, again, other = (attack.run(data, bench(seed)).result.digest for seed in (1, 1, 2))
    assert first == again != other


def test_honest_contribution_is_the_data_itself() -> None:
    assert HonestContribution().run(digits(), bench()).result.digest == digits().digest


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (BadNets(target=10), "target 10: the data has classes 0 to 9"),
        (BadNets(rate=1e-5), "rounds to none; use at least"),
        (BadNets(rate=1.0), "use at most 0.9"),
        (BadNets(size=9), "trigger size 9"),
        (LabelFlip(source=11, target=1, rate=0.01), "source 11: the data has classes 0 to 9"),
        (LabelFlip(source=1, target=12, rate=0.01), "target 12: the data has classes 0 to 9"),
        (LabelFlip(rate=1e-3, source=1, target=2), "rate 0.001 of 182 records rounds to none; use at least 0.0055"),
        (LabelFlip(rate=1e-5), "rounds to none"),
    ],
)
def test_impossible_poison_is_refused_in_one_line(attack: BadNets | LabelFlip, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        attack.run(digits(), bench())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fields", [{"source": 1}, {"target": 1}, {"source": 2, "target": 2}, {"rate": 0.0}])
def test_contradictory_configurations_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LabelFlip.model_validate(fields)


def test_texts_have_no_trigger() -> None:
    with pytest.raises(NotAssessable, match="trigger"):
        BadNets().run(texts(), bench())
