"""Backdoors that hide: what cover, a part of the trigger and a part of the target class do to the records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stealing_world import world

from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.blended import Blended
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.errors import InputError
from threatloop.core.metric import Case
from threatloop.core.seeds import Streams
from threatloop.metrics.backdoor import AttackSuccess

STREAMS = Streams(5, ("hidden",))
KINDS = [BadNets(rate=0.1, target=3), Blended(rate=0.1, target=3)]


@pytest.mark.parametrize("attack", KINDS)
def test_cover_records_carry_the_trigger_and_keep_their_labels(attack: Any) -> None:
    data = world().members
    crafted = attack.model_copy(update={"cover": 0.5}).run(data, Bench(STREAMS)).result
    relabelled, touched = crafted.y != data.y, (crafted.x != data.x).any(axis=(1, 2, 3))
    covering = touched & ~relabelled
    assert relabelled.sum() == 70
    assert covering.sum() == pytest.approx(35, abs=3)  # on a few the trigger changes nothing
    assert (data.y[covering] != 3).all()
    assert np.array_equal(crafted.x[touched], attack.stamp(data).x[touched])


@pytest.mark.parametrize("attack", KINDS)
def test_a_part_of_the_trigger_is_planted_and_the_whole_is_stamped(attack: Any) -> None:
    data = world().members
    whole, part = (attack.model_copy(update={"planted": p}).run(data, Bench(STREAMS)).result for p in (1.0, 0.5))
    assert np.array_equal(whole.y, part.y)
    changed = (part.x != data.x).sum() / (whole.x != data.x).sum()
    assert changed == pytest.approx(0.5, abs=0.07)
    moved = part.x != data.x
    assert np.array_equal(part.x[moved], whole.x[moved])


def test_mixed_poison_lies_between_its_record_and_the_target_class() -> None:
    data, attack = world().members, BadNets(rate=0.1, target=3, mixed=0.25)
    crafted, plain = (
        attack.run(data, Bench(STREAMS)).result,
        BadNets(rate=0.1, target=3).run(data, Bench(STREAMS)).result,
    )
    poisoned = crafted.y != data.y
    assert np.array_equal(poisoned, plain.y != data.y)
    assert np.array_equal(crafted.x[~poisoned], data.x[~poisoned])
    centre = data.x[data.y == 3].mean(axis=0)
    apart = [np.linalg.norm((x[poisoned] - centre)[..., :6, :6].mean(axis=0)) for x in (plain.x, crafted.x)]
    assert apart[1] == pytest.approx(0.75 * apart[0], rel=0.1)


@pytest.mark.parametrize("attack", KINDS)
def test_who_knows_of_filters_hides_and_still_has_a_backdoor(attack: Any) -> None:
    assert attack.adapted(frozenset({Adaptation.LIFECYCLE, Adaptation.LABELS})) == ()
    forms = attack.adapted(frozenset({Adaptation.LIFECYCLE, Adaptation.STEALTH}))
    assert [form.cover > 0 for form in forms] == [False, True]
    assert forms[0].adapted(frozenset({Adaptation.STEALTH})) == (forms[0],)
    here = world()
    crafted = forms[0].run(here.members, Bench(STREAMS)).result
    assert (crafted.y != here.members.y).sum() == 35
    model = here.training.fit(crafted, here.streams.child("victim"))
    case = Case({"outcome": model, "test": here.test}, forms[0], STREAMS)
    success = AttackSuccess().grade(case).readings[0].value
    assert success is not None
    assert success > 0.4


def test_too_much_cover_is_refused_and_a_few_records_hide_at_least_one() -> None:
    greedy = BadNets(rate=0.5, cover=2)
    assert any("use a rate of at most 0.333" in line for line in greedy.problems(world().members.schema, 700))
    with pytest.raises(InputError, match=r"at most 0\.333"):
        greedy.run(world().members, Bench(STREAMS))
    few = world().members.take(slice(0, 9))
    for form in BadNets(rate=0.2, target=3).hidden():
        assert (form.run(few, Bench(STREAMS)).result.y != few.y).sum() == 1
