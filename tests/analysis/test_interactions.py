"""The interaction matrix: orientation, arms, families, what is never claimed, and its error rates by simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from matrix_world import MARGIN, METRIC, Truth, World, normal, one_stage, single, two_stages
from threatloop.analysis.arm_choice import choose
from threatloop.analysis.effects import Effect
from threatloop.analysis.interaction_plan import plan_cells
from threatloop.analysis.interactions import interactions
from threatloop.analysis.matrix import AT_LIMIT, NO_ADAPTIVE, WEAKER, Interaction, Matrix, resolved_share, tally
from threatloop.analysis.pairings import pairings
from threatloop.core.measurement import Measurement, Notice
from threatloop.core.study_note import ATTACK_FAMILY, StudyNote
from threatloop.numerics.undefined import Undefined

Procedure = Callable[[World], tuple[Matrix, object]]


def world(cells: Mapping[tuple[str, str], Truth], seed: int = 0, **more: object) -> World:
    return World(cells, np.random.default_rng(seed), **more)  # type: ignore[arg-type]


def only(found: tuple[Interaction, ...]) -> Interaction:
    (cell,) = found
    return cell


@pytest.mark.parametrize("falling", [False, True])
def test_effects_are_turned_so_that_positive_is_worse_for_the_defender(falling: bool) -> None:
    cells = {("up", "a"): single(4), ("down", "a"): single(-4), ("flat", "a"): single(0, 0.5)}
    found = {cell.row: cell for cell in two_stages(world(cells, falling=falling))[0].cells}
    assert {name: cell.verdict for name, cell in found.items()} == {
        "up": "amplifies",
        "down": "weakens",
        "flat": "no effect",
    }
    assert not isinstance(found["up"].effect, Undefined)
    assert found["up"].effect.mean == pytest.approx(4 * MARGIN, abs=0.05)
    shown = found["up"].on.mean, found["up"].off.mean
    assert all(isinstance(value, float) for value in shown)
    # The figures themselves stay as they were measured.
    assert (shown[0] < shown[1]) == falling  # type: ignore[operator]


def test_a_difference_is_plain_arithmetic_on_paired_seeds() -> None:
    made = world({("d", "a"): Truth({"attack": 1.0})})
    rows = made.rows(range(12))
    cell = only(interactions(made.record(12), rows).cells)
    values = {(row.condition, row.seed): row.value for row in rows}
    expected = [(values["d", s] or 0) - (values["", s] or 0) for s in range(12)]
    assert not isinstance(cell.effect, Undefined)
    assert cell.effect.mean == pytest.approx(np.mean(expected))
    assert (cell.tested, cell.planned, cell.screened) == (12, 0, 0)


def test_the_worst_arm_is_chosen_on_screening_seeds_alone_and_stays() -> None:
    made = world({("d", "a"): Truth({"attack": -4, "adaptive": 0, "adaptive:2": 3}, 0.5)})
    screening, fresh = made.rows(range(12)), made.rows(range(12, 42))
    planned = plan_cells(made.record(12), [*screening, *fresh], 12)
    assert [one.arm for one in planned] == ["adaptive:2"]
    # On fresh seeds another arm does best; it is not what was chosen.
    swapped = {"attack": "adaptive:2", "adaptive:2": "attack", "adaptive": "adaptive"}
    fresh = [row.model_copy(update={"arm": swapped[row.arm]}) if row.condition else row for row in fresh]
    note = StudyNote(screening_seeds=12, most=30, planned=planned)
    cell = only(interactions(made.record(12, note), [*screening, *fresh]).cells)
    assert cell.arm == "adaptive:2"
    assert cell.verdict == "unresolved"
    assert "but not shown to in arm attack" in cell.why


def test_nothing_weakens_where_no_adaptive_form_is_known() -> None:
    cells = {
        ("d", "a"): Truth({"attack": -5}),
        ("up", "a"): Truth({"attack": 5}),
        ("flat", "a"): Truth({"attack": 0}, 0.5),
    }
    found = {cell.row: cell for cell in two_stages(world(cells))[0].cells}
    assert found["d"].verdict == "unresolved"
    assert found["d"].why.startswith(NO_ADAPTIVE)
    assert (found["up"].verdict, found["flat"].verdict) == ("amplifies", "no effect")
    assert tally([*found.values()])[WEAKER] == 1


def test_only_fresh_seeds_are_tested_and_only_where_it_is_worth_them() -> None:
    matrix, note = two_stages(world({("strong", "a"): single(5), ("noisy", "a"): single(0, 40.0)}))
    found = {cell.row: cell for cell in matrix.cells}
    planned = {one.row: one.seeds for one in note.planned}
    assert planned == {"strong": 12, "noisy": 0}
    assert (found["strong"].screened, found["strong"].tested) == (12, 12)
    assert found["noisy"].verdict == "unresolved"
    assert found["noisy"].tested == 0
    assert isinstance(found["noisy"].effect, object)
    assert not isinstance(found["noisy"].effect, Undefined)
    assert isinstance(found["noisy"].effect.p, Undefined)


def test_exhausted_cells_get_the_most_seeds_and_say_how_wide_they_are() -> None:
    matrix, note = two_stages(world({("noisy", "a"): single(0.7, 2.5)}), exhaust=True)
    cell = only(matrix.cells)
    assert [one.seeds for one in note.planned] == [30]
    assert cell.tested == 30
    assert not isinstance(cell.half_width, Undefined)
    assert cell.at_limit == (cell.verdict == "unresolved" and cell.half_width <= cell.delta)
    assert tally(matrix.cells)[AT_LIMIT] == int(cell.at_limit)


def test_where_all_are_exhausted_clear_cells_get_the_most_seeds_too() -> None:
    made = world({("clear", "a"): single(5)})
    (few,), (most,) = (two_stages(made, exhaust=exhaust)[1].planned for exhaust in (False, True))
    assert few.seeds < most.seeds == 30


def test_a_screening_alone_decides_nothing() -> None:
    made = world({("d", "a"): single(5)})
    rows = made.rows(range(12))
    cell = only(interactions(made.record(12, StudyNote(screening_seeds=12, most=30)), rows).cells)
    assert (cell.verdict, cell.why) == ("unresolved", "screened only so far")


def test_a_chain_is_compared_with_its_baseline_and_its_matched_control() -> None:
    made = world({("d", "a"): single(0)}, chains={"poison-then-a": (4.0, 3.0)})
    cell = only(two_stages(made)[0].of("digits", ATTACK_FAMILY))
    assert (cell.row, cell.column, cell.verdict) == ("poison", "a", "amplifies")
    assert not isinstance(cell.aimed, Undefined)
    assert cell.aimed is not None
    assert cell.aimed.mean == pytest.approx(3 * MARGIN, abs=0.05)
    assert cell.aimed.verdict == "amplifies"


def test_harm_that_is_not_aimed_is_told_apart() -> None:
    made = world({("d", "a"): single(0)}, chains={"poison-then-a": (4.0, 0.0)})
    cell = only(two_stages(made)[0].of("digits", ATTACK_FAMILY))
    assert cell.verdict == "amplifies"
    assert cell.aimed is not None
    assert not isinstance(cell.aimed, Undefined)
    assert cell.aimed.verdict == "no effect"


@pytest.mark.parametrize("procedure", [two_stages, lambda made: (one_stage(made, 20), None)])
def test_an_effect_that_is_lost_accuracy_alone_is_none_at_matched_accuracy(procedure: Procedure) -> None:
    made = world({("d", "a"): single(0)}, chains={"one": (4.0, 0.0), "two": (4.0, 0.0)}, utility={"one": 4.0, "two": 0})
    alone, more = procedure(made)[0].of("digits", ATTACK_FAMILY)
    assert (alone.verdict, more.verdict) == ("amplifies", "amplifies")
    assert isinstance(alone.matched, Effect)
    assert isinstance(more.matched, Effect)
    assert (alone.matched.verdict, more.matched.verdict) == ("no effect", "amplifies")
    assert more.matched.mean == pytest.approx(4 * MARGIN, abs=0.05)
    assert isinstance(alone.aimed, Effect)


def test_references_are_families_of_their_own() -> None:
    made = world({("d", "a"): single(0)}, chains={"one": (4.0, 0.0)}, utility={"one": 4.0})
    rows = made.rows(range(12))
    kept = [row for row in rows if row.arm != "matched:1"]
    with_it, without = (interactions(made.record(12), found).of("digits", ATTACK_FAMILY)[0] for found in (rows, kept))
    assert with_it.effect == without.effect
    assert with_it.aimed == without.aimed
    assert isinstance(with_it.matched, Effect)
    assert with_it.matched.q == with_it.matched.p
    assert isinstance(without.matched, Undefined)


def test_nothing_is_matched_where_no_model_is_made_and_the_reason_stands_where_it_cannot_be() -> None:
    evasion = world({("d", "a"): single(0)}, chains={"one": (4.0, 3.0)})
    defended, chained = one_stage(evasion).cells
    assert (defended.matched, chained.matched) == (None, None)
    made = world({("d", "a"): single(0)}, chains={"one": (4.0, 3.0)}, utility={"one": 4.0})
    lost = {"value": None, "undefined": "no shrinking gets there"}
    rows = [row.model_copy(update=lost) if row.arm == "matched:1" else row for row in made.rows(range(12))]
    (cell,) = interactions(made.record(12), rows).of("digits", ATTACK_FAMILY)
    assert cell.matched == Undefined("no shrinking gets there")
    # Seeds that could not be matched are left out, and the rest are too few for a verdict.
    rows = [
        row.model_copy(update=lost) if row.arm == "matched:1" and not row.seed else row for row in made.rows(range(12))
    ]
    (cell,) = interactions(made.record(12), rows).of("digits", ATTACK_FAMILY)
    assert isinstance(cell.matched, Effect)
    assert (cell.matched.n, cell.matched.verdict) == (11, "too few seeds")


def test_too_few_seeds_give_no_verdict() -> None:
    cell = only(one_stage(world({("d", "a"): single(9)}), 11).cells)
    assert cell.verdict == "too few seeds"


def test_a_cell_without_figures_keeps_the_reason_of_its_condition() -> None:
    made = world({("d", "a"): single(0), ("e", "a"): single(0)})
    rows = [row for row in made.rows(range(12)) if row.condition != "e"]
    lost = Notice(target="digits", scenario="a", what="attack_a under e", why="e works on image records")
    record = made.record(12).model_copy(update={"not_assessed": (lost,)})
    found = {cell.row: cell for cell in interactions(record, rows).cells}
    assert (found["e"].verdict, found["e"].why) == ("not assessed", "e works on image records")
    assert found["d"].verdict == "no effect"
    assert resolved_share([*found.values()]) == 1.0


def rows_with(rows: list[Measurement], **changes: object) -> list[Measurement]:
    return [row.model_copy(update=changes) for row in rows]


def test_what_cannot_differ_is_no_effect_without_a_seed_spent() -> None:
    made = world({("d", "a"): single(0)})
    off = [row for row in made.rows(range(12)) if not row.condition]
    on = [row for arm in ("attack", "adaptive") for row in rows_with(off, condition="d", arm=arm)]
    cell = only(interactions(made.record(12), [*off, *on]).cells)
    assert cell.by_construction
    assert cell.verdict == "no effect"
    assert plan_cells(made.record(12), [*off, *on], 12, exhaust=True)[0].seeds == 0
    # The same figures of other artefacts, or a figure that stands at its bound, show nothing.
    others = rows_with(on, outcome="other", model="other")
    assert not only(interactions(made.record(12), [*off, *others]).cells).by_construction
    full = [*rows_with(off, value=1.0), *rows_with(on, value=1.0)]
    assert only(interactions(made.record(12), full).cells).verdict == "unresolved"
    # Unless it follows from labels, which what stands in front keeps.
    assert only(interactions(made.record(12), rows_with(full, by_labels=True)).cells).by_construction


def test_seeds_on_two_sides_of_a_gate_are_never_averaged() -> None:
    made = world({("d", "a"): single(0, 0.1)})
    rows = [
        row.model_copy(update={"gate": "refused", "value": 0.0}) if row.condition and row.seed >= 12 else row
        for row in made.rows(range(14))
    ]
    cell = only(interactions(made.record(14), rows).cells)
    assert (cell.gate_on, cell.gate_off, cell.tested) == ("", "", 12)
    assert cell.verdict == "no effect"


def test_a_defence_that_ruins_the_model_is_no_win() -> None:
    matrix = two_stages(world({("ruin", "a"): single(-5), ("d", "a"): single(-5)}))[0]
    assert {cell.row: cell.usable for cell in matrix.cells} == {"ruin": False, "d": True}
    costs = {one.condition: one for one in matrix.side_effects}
    assert not costs["ruin"].usable
    assert not isinstance(costs["ruin"].effect, Undefined)
    assert costs["ruin"].effect.mean == pytest.approx(0.6)


def test_the_delay_of_answers_is_the_median_over_seeds() -> None:
    made = world({("d", "a"): single(-5)})
    record = made.record(12)
    slow = {"": 0.001, "d": 0.03}
    victims = [
        one.model_copy(update={"answer_seconds": slow[one.condition] * (100 if one.seed == 3 else 1)})
        for one in record.victims
    ]
    (found,) = interactions(record.model_copy(update={"victims": tuple(victims)}), made.rows(range(12))).side_effects
    assert (found.delay_on, found.delay_off) == (0.03, 0.001)
    assert found.slower == pytest.approx(30)
    (untimed,) = interactions(record, made.rows(range(12))).side_effects
    assert untimed.slower is None


def test_families_do_not_mix() -> None:
    made = world({("d", "a"): single(1.2)}, chains={f"c{i}": (0.0, 0.0) for i in range(5)})
    rows = made.rows(range(12))
    alone = made.record(12).model_copy(update={"scenarios": {"a": {"attacks": ["attack_a"], "laps": 1}}})
    many, one = (interactions(record, rows).cells[0] for record in (made.record(12), alone))
    assert many.effect == one.effect
    assert not isinstance(one.effect, Undefined)
    assert one.effect.q == one.effect.p


def test_an_arm_that_could_hardly_be_computed_is_not_chosen() -> None:
    made = world({("d", "a"): Truth({"attack": 0, "adaptive": 9})})
    rows = [
        row.model_copy(update={"value": None, "undefined": "budget"}) if row.arm == "adaptive" and row.seed > 2 else row
        for row in made.rows(range(12))
    ]
    (pairing,) = pairings(made.record(12), rows)
    assert choose(pairing, range(12)).arm == "attack"
    assert pairing.metric == METRIC


FAMILIES = 10
TRUTHS = [Truth({"attack": 0, "adaptive": 0})] * 8 + [
    Truth({"attack": d, "adaptive": d - 1}) for d in (1.0, 1.0, -1.0, -1.0, 3.0, -3.0)
]


@pytest.mark.parametrize("procedure", ["two stages", "one stage"])
def test_false_verdicts_are_rare_and_planted_effects_are_found(procedure: str) -> None:
    false = missed = given = shown_null = 0
    for seed in range(FAMILIES):
        made = world({(f"d{i}", "a"): truth for i, truth in enumerate(TRUTHS)}, seed, noise=normal)
        matrix = two_stages(made)[0] if procedure == "two stages" else one_stage(made, 16)
        for cell, truth in zip(matrix.cells, TRUTHS, strict=True):
            real = truth.difference
            given += cell.resolved
            shown_null += cell.verdict == "no effect" and real == 0
            false += (cell.verdict, real > 0) in {("amplifies", False), ("weakens", True)}
            false += (cell.verdict == "weakens" and real == 0) + (cell.verdict == "no effect" and abs(real) >= 1)
            missed += abs(real) == 3 and cell.verdict != ("amplifies" if real > 0 else "weakens")
    assert false <= 0.06 * given
    assert missed <= 2
    assert shown_null > 0.4 * FAMILIES * 8


def test_a_failed_self_check_opens_the_cells_of_its_condition_and_scenario() -> None:
    made = world({("d", "a"): single(5), ("e", "a"): single(5)})
    rows = made.rows(range(12))
    failed = Notice(target="digits", scenario="a", what="attack_a: loss falls under d", why="1 → 2", passed=False)
    record = made.record(12).model_copy(update={"self_checks": (failed,)})
    found = {cell.row: cell for cell in interactions(record, rows).cells}
    assert (found["d"].resolved, found["e"].resolved) == (False, True)
    assert found["d"].suspect == ("attack_a: loss falls under d: 1 → 2",)
    assert tally([*found.values()])["attack suspect"] == 1
    everywhere = failed.model_copy(update={"what": "attack_a: loss falls"})
    record = made.record(12).model_copy(update={"self_checks": (everywhere,)})
    assert not any(cell.resolved for cell in interactions(record, rows).cells)


def test_a_form_that_is_stronger_by_itself_is_no_effect_of_the_defence() -> None:
    """Under d the attacker's other form does four margins more harm; where d is off it does so too."""
    made = world({("d", "a"): Truth({"attack": 0.0, "adaptive": 4.0}, 0.3)})
    rows = made.rows(range(12))
    assert only(interactions(made.record(12), rows).cells).verdict == "amplifies"
    stronger = [row for row in rows if row.condition == "d" and row.arm == "adaptive"]
    cell = only(interactions(made.record(12), [*rows, *rows_with(stronger, condition="", arm="form:d:1")]).cells)
    assert (cell.arm, cell.off_arm, cell.verdict) == ("adaptive", "form:d:1", "no effect")
    # A form that this condition does not meet is another condition's affair.
    cell = only(interactions(made.record(12), [*rows, *rows_with(stronger, condition="", arm="form:e:1")]).cells)
    assert (cell.off_arm, cell.verdict) == ("attack", "amplifies")
