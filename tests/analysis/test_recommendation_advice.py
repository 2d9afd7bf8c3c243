"""The advice as a whole: what is recommended, what never is, and how far it says it can be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from defended import DIRECTIONS, at_risk, row
from planted import Planted, design, drawn
from threatloop.analysis.recommendation.advice import Advice, Wishes
from threatloop.analysis.recommendation.advise import advise
from threatloop.analysis.recommendation.responses import Means, responses
from threatloop.analysis.recommendation.sets import universe
from threatloop.analysis.recommendation.skill import balanced
from threatloop.analysis.recommendation.spec import rerun
from threatloop.analysis.recommendation.validate import validate
from threatloop.analysis.recommendation.working import outcomes, works
from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined

NAMES = ["blur", "clip", "drop", "echo"]
STRONG = dict.fromkeys(zip(NAMES, DIRECTIONS, strict=True), -1.5)


def _advice(planted: Planted, sizes: tuple[int, ...] = (1, 2), wishes: Wishes | None = None, **about: object) -> Advice:
    record, rows = planted.run(design(NAMES, sizes), **about)  # type: ignore[arg-type]
    return advise(record, rows, "digits", {}, wishes or Wishes())


def test_defences_that_help_are_recommended_together() -> None:
    found = _advice(Planted(STRONG))
    assert len(found.chosen.spec) == 2
    assert _advice(Planted(STRONG), (1, 2, 3, 4)).chosen.label == "blur + clip + drop + echo"
    assert found.better == 1.0
    assert found.front[0] is found.chosen
    assert found.exhaustive
    lowered = {d for d, one in found.chosen.risk.items() if isinstance(one.value, float) and one.value < 0.4}
    helped = dict(zip(NAMES, DIRECTIONS.values(), strict=True))
    assert lowered == {helped[str(name)] for name in found.chosen.spec}


def test_defences_that_hurt_each_other_are_kept_apart() -> None:
    clash = {(frozenset(("blur", "clip")), attack): 3.0 for attack in DIRECTIONS}
    found = _advice(Planted(STRONG, clash), (1, 2, 3))
    assert not {"blur", "clip"} <= set(found.chosen.spec)
    assert len(found.chosen.spec) == 3


def test_without_any_effect_no_defence_is_recommended() -> None:
    found = _advice(Planted({}, use=dict.fromkeys(NAMES, -0.5)))
    assert found.chosen.spec == ()
    assert isinstance(found.better, Undefined)


def test_what_costs_the_model_its_use_never_wins() -> None:
    """The strongest defence leaves an accuracy of about .38, below halfway between .1 and .95."""
    strongest = {("blur", attack): -6.0 for attack in DIRECTIONS}
    ruinous = Planted({**STRONG, **strongest}, use={"blur": -3.5})
    found = _advice(ruinous)
    assert "blur" not in found.chosen.spec
    assert all("blur" not in option.spec for option in found.front)
    assert found.limits.floor == pytest.approx((0.1 + 0.952) / 2, abs=0.01)


def test_the_users_limits_hold() -> None:
    costly = Planted(STRONG, use={"blur": -1.0})
    careful = _advice(costly, wishes=Wishes(min_accuracy=0.92, max_cost=1.6))
    assert len(careful.chosen.spec) == 1
    assert "blur" not in careful.chosen.spec
    with pytest.raises(InputError, match=r"no set of defences has accuracy of at least 0\.990; the nearest is"):
        _advice(costly, wishes=Wishes(min_accuracy=0.99))


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"min_accuracy": 90.0}, "needs a share from 0 to 1"),
        ({"max_cost": 0.5}, "needs at least 1"),
        ({"max_cost": float("nan")}, "needs at least 1"),
        ({"most": 0}, "needs at least 1 defence"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wishes: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Wishes(**wishes)  # type: ignore[arg-type]


def test_a_reduction_that_no_adaptive_attacker_tried_is_not_credited() -> None:
    planted = Planted({("blur", attack): -2.0 for attack in DIRECTIONS})
    found = _advice(planted, adaptive=("evade", "poison", "steal"))
    assert found.chosen.spec == ("blur",)
    assert found.chosen.unresolved == ("M→D",)
    without = found.undefended.risk["M→D"].value
    assert found.chosen.risk["M→D"].value == pytest.approx(without)
    nothing = _advice(planted, adaptive=())
    assert nothing.chosen.spec == ()


def test_an_adaptive_attacker_with_the_same_goal_resolves_weaker_ones() -> None:
    sets = {"blur": ("blur",)}
    record, rows = Planted({("blur", "infer"): -2.0}).run(sets, adaptive=tuple(DIRECTIONS))
    weaker = [
        row("infer", seed, at_risk(0.6 if not name else 0.05), condition=name, scenario="weaker")
        for name in ("", "blur")
        for seed in range(12)
    ]
    found = advise(record, [*rows, *weaker], "digits", {})
    value = found.chosen.risk["M→D"].value
    assert found.chosen.spec == ("blur",)
    assert "M→D" not in found.chosen.unresolved
    assert not isinstance(value, Undefined)
    assert value < 0.3


def test_excluded_pairs_are_never_chosen() -> None:
    record, rows = Planted(STRONG).run(design(NAMES, (1,)))
    exclusions = {name: frozenset(NAMES) - {name} for name in NAMES[:3]}
    found = advise(record, rows, "digits", exclusions)
    assert all(len(option.spec) <= 1 for option in found.front)


def test_works_by_hand() -> None:
    record, rows = Planted({}).run({"blur": ("blur",), "clip": ("clip",), "both": ("blur", "clip")}, seeds=2)
    found = universe(record, {})
    measured = responses(record, rows, "digits", found)
    risk = np.full((4, 4), 0.5)
    risk[1, 0] = 0.3  # blur lowers the first attack's risk by more than the margin
    means = Means(risk, np.array([0.95, 0.9, 0.93, 0.9]), np.zeros(4), np.zeros(4))
    pair = [frozenset((0, 1))]
    assert measured.tolerances == pytest.approx(0.05 / 0.8, abs=1e-6)

    def judge(first: float, accuracy: float) -> bool:
        return bool(works(np.array([[first, 0.9, 0.9, 0.9]]), np.array([accuracy]), pair, measured, means)[0])

    assert judge(0.36, 0.9)
    assert not judge(0.37, 0.9)  # blur's effect is lost
    assert not judge(0.3, 0.84)  # the least accurate constituent has .9
    assert judge(0.3, 0.86)


def test_what_seeds_show_of_a_combination() -> None:
    """blur lowers one risk from .6 to .2; together with clip it is .2, .6, or anywhere: kept, lost, undecided."""
    sets = {"blur": ("blur",), "clip": ("clip",), "both": ("blur", "clip")}
    record, rows = Planted({}).run(sets, seeds=6)
    measured = responses(record, rows, "digits", universe(record, {}))
    at = {one: place for place, one in enumerate(measured.sets)}
    blur, both = at[frozenset([0])], at[frozenset([0, 1])]
    noise = np.broadcast_to(0.01 * np.array([1, -1] * 3), measured.arms.shape)

    def shown(together: float, spread: float = 1.0, accuracy: float = 0.9) -> str:
        arms, use = np.full(measured.arms.shape, 0.6) + noise, np.full(measured.accuracy.shape, 0.9)
        arms[:, blur, 0], arms[:, both, 0] = 0.2 + noise[:, blur, 0], together + spread * noise[:, both, 0]
        use[both] = accuracy
        changed = replace(measured, arms=arms, accuracy=use)
        (found,) = outcomes(changed, [both], np.arange(6))
        assert outcomes(changed, [both], np.arange(2)) == ["undecided"]
        return found

    assert shown(0.2) == "works"
    assert shown(0.6) == "fails"
    assert shown(0.2 + float(measured.tolerances[0]), 5.0) == "undecided"
    assert shown(0.2, accuracy=0.8) == "fails"


def test_balanced_accuracy_by_hand() -> None:
    skill = balanced([True, True, True, False], [True, True, False, False])
    assert skill.accuracy == 0.75
    assert skill.balanced == pytest.approx((2 / 3 + 1) / 2)
    assert balanced([True] * 3 + [False], [True] * 4).balanced == 0.5
    assert isinstance(balanced([True, True], [True, True]).balanced, Undefined)


def _validated(planted: Planted, noise: float, draw: int = 0) -> tuple[float, float, float, float]:
    names = [f"d{i}" for i in range(6)]
    record, rows = planted.run(design(names, (1, 2, 3)), noise=noise, draw=draw)
    found = universe(record, {})
    first, pairs = validate(found, responses(record, rows, "digits", found), Streams(0))
    figures = (first.model.balanced, first.main_only.balanced, first.covered, pairs.model.accuracy)
    assert first.combinations == 35
    assert (first.held_out, pairs.held_out) == ("combinations", "pairs")
    assert first.majority.balanced == 0.5
    kept = [figure for figure in figures if not isinstance(figure, Undefined)]
    assert len(kept) == 4
    return kept[0], kept[1], kept[2], kept[3]


def test_held_out_combinations_are_foretold_better_with_pairs() -> None:
    names = [f"d{i}" for i in range(6)]
    model, main_only, covered, pairs = _validated(drawn(names, 0), 0.02)
    assert model > 0.85
    assert model > main_only + 0.05
    assert covered > 0.85
    assert pairs > 0.7


def test_pure_noise_is_no_skill() -> None:
    """Every set has the same risk; the spread of half the seeds is above the margin, so that little is decided."""
    names = [f"d{i}" for i in range(6)]
    for draw in range(3):
        record, rows = Planted({}).run(design(names, (1, 2, 3)), noise=0.35, draw=draw)
        found = universe(record, {})
        first, _ = validate(found, responses(record, rows, "digits", found), Streams(0))
        assert first.decided < first.combinations / 2
        if not isinstance(first.model.balanced, Undefined):
            assert first.model.balanced <= 0.75


def test_too_little_is_said() -> None:
    found = _advice(Planted(STRONG), (1,))
    assert all(isinstance(one.model.balanced, Undefined) for one in found.validations)
    record, rows = Planted(STRONG).run({})
    with pytest.raises(InputError, match="measured no sets of defences"):
        advise(record, rows, "digits", {})
    record, rows = Planted(STRONG).run(design(NAMES, (1,)))
    bare = record.model_copy(update={"victims": ()})
    with pytest.raises(InputError, match="no test accuracy of the undefended model"):
        advise(bare, rows, "digits", {})


def test_one_seed_has_no_intervals() -> None:
    found = _advice(Planted(STRONG), seeds=1)
    assert isinstance(found.chosen.accuracy.interval, Undefined)
    assert isinstance(found.better, Undefined)


def test_models_that_were_brought_have_no_cost() -> None:
    record, rows = Planted(STRONG).run(design(NAMES, (1,)))
    brought = record.model_copy(
        update={"victims": tuple(v.model_copy(update={"seconds": None}) for v in record.victims)}
    )
    assert isinstance(advise(brought, rows, "digits", {}).chosen.cost.value, Undefined)
    with pytest.raises(InputError, match="no training times"):
        advise(brought, rows, "digits", {}, Wishes(max_cost=2.0))


def test_the_rerun_has_fresh_seeds_and_one_set() -> None:
    record, rows = Planted(STRONG).run(design(NAMES, (1, 2)))
    spec = rerun(record, advise(record, rows, "digits", {}))
    assert spec["seed"] == record.run_seed + 1
    assert list(spec["targets"]) == ["digits"]
    assert len(spec["defences"]["recommended"]) == 2
    assert record.spec["seed"] == record.run_seed


def test_the_same_run_gives_the_same_advice() -> None:
    assert _advice(drawn(NAMES, 1)) == _advice(drawn(NAMES, 1))
