"""Sets, limits, front and search."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defended import record, world
from threatloop.analysis.recommendation.advice import Wishes
from threatloop.analysis.recommendation.advise import advise
from threatloop.analysis.recommendation.front import Limits, choice, pareto, refuse, usable
from threatloop.analysis.recommendation.outlook import Outlook
from threatloop.analysis.recommendation.search import candidates
from threatloop.analysis.recommendation.sets import EXHAUSTIVE, Members, Universe, universe
from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats

MANY = [f"d{i}" for i in range(24)]


def _universe(*names: str, exclusions: dict[str, frozenset[str]] | None = None) -> Universe:
    return universe(record(1, {name: [name] for name in names}), exclusions or {})


def _outlook(accuracy: list[float], cost: list[float]) -> Outlook:
    n = len(accuracy)
    found = np.array(accuracy)
    return Outlook(np.zeros((n, 1)), np.zeros((n, 1), np.bool_), found, np.array(cost), np.array(cost), found)


def test_sets_that_exclude_each_other_are_never_proposed() -> None:
    found = _universe("a", "b", "c", exclusions={"c": frozenset({"a"})})
    labels = [found.label(one) for one in found.all_sets(3)]
    assert labels == ["no defence", "a", "b", "c", "a + b", "b + c"]


def test_one_defence_with_two_parameters_excludes_itself() -> None:
    conditions = {"one": [{"name": "rounding", "digits": 1}], "two": [{"name": "rounding", "digits": 2}]}
    found = universe(record(1).model_copy(update={"conditions": conditions}), {})
    assert [element.label for element in found.elements] == ["rounding(digits=1)", "rounding(digits=2)"]
    assert [element.spec for element in found.elements] == conditions["one"] + conditions["two"]
    assert not found.admissible(frozenset((0, 1)))


def test_limits_need_known_figures() -> None:
    found = _outlook([0.95, 0.8, np.nan, 0.95], [1.0, 1.0, 1.0, 4.0])
    assert usable(found, Limits(0.9, None, None)).tolist() == [True, False, False, True]
    assert usable(found, Limits(0.9, None, 3.0)).tolist() == [True, False, False, False]
    assert not usable(_outlook([0.95], [np.nan]), Limits(0.9, None, 3.0)).any()


def test_the_nearest_set_is_named_where_none_is_within_the_limits() -> None:
    error = refuse(["a", "b"], _outlook([0.93, 0.97], [1.5, 2.0]), Limits(0.99, 0.99, None))
    assert str(error) == (
        "no set of defences has accuracy of at least 0.990; the nearest is b with 0.970 at 2.00×: lower --min-accuracy"
    )
    halfway = refuse(["a"], _outlook([0.3], [1.5]), Limits(0.5, None, 1.0))
    assert str(halfway).endswith(": raise --max-train-cost")
    assert str(refuse(["a"], _outlook([0.3], [1.5]), Limits(0.5, None, None))).endswith("cost less accuracy")
    untimed = refuse(["a"], _outlook([0.93], [np.nan]), Limits(0.9, None, 2.0))
    assert "no training times" in str(untimed)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=30))
def test_the_front_is_what_no_other_row_dominates(rows: list[list[int]]) -> None:
    costs = np.array(rows, float)
    slow = [not any(all(b <= a for a, b in zip(one, two, strict=True)) and two != one for two in rows) for one in rows]
    assert pareto(costs).tolist() == slow


def test_near_ties_go_to_fewer_defences_then_to_the_cheaper() -> None:
    found = _outlook([0.9] * 4, [3.0, 1.0, 2.0, 1.0])
    assert choice(found, [3, 2, 2, 1], np.array([0.500, 0.515, 0.510, 0.6]), [0, 1, 2, 3]) == 1


def _hidden(members: Members) -> Floats:
    """Two objectives; the second is least at {3, 11, 19}."""
    wanted = frozenset((3, 11, 19))
    return np.array([float(len(members)), float(len(members ^ wanted))])


def test_few_sets_are_all_looked_at_and_many_are_searched() -> None:
    small = _universe(*MANY[:8])
    assert len(candidates(small, [frozenset()], 8, _hidden, 0)) == 256
    large = _universe(*MANY)
    assert large.count(4) > EXHAUSTIVE
    measured = [frozenset[int](), *(frozenset((i,)) for i in range(24))]
    first = candidates(large, measured, 4, _hidden, 0)
    assert len(first) < EXHAUSTIVE
    assert set(measured) <= set(first)
    assert max(map(len, first)) <= 4
    assert min(float(_hidden(one)[1]) for one in first) == 0.0


@pytest.mark.slow
def test_the_search_is_reproducible() -> None:
    large = _universe(*MANY)
    assert candidates(large, [frozenset()], 4, _hidden, 0) == candidates(large, [frozenset()], 4, _hidden, 0)


def test_optuna_is_imported_only_where_it_searches() -> None:
    code = "import sys, threatloop.report.build, threatloop.api; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_delay_is_a_limit_of_its_own() -> None:
    found = _outlook([0.95, 0.95, 0.95], [1.0, 4.0, np.nan])
    assert usable(found, Limits(0.9, None, None, 3.0)).tolist() == [True, False, False]
    error = refuse(["a"], _outlook([0.95], [4.0]), Limits(0.9, None, None, 3.0))
    assert "at 3× the time to answer" in str(error)
    assert "4.00× the time to answer" in str(error)
    assert str(error).endswith("raise --max-delay")
    assert "no times of answers" in str(refuse(["a"], _outlook([0.95], [np.nan]), Limits(0.9, None, None, 3.0)))


def test_delay_is_learnt_from_what_was_measured_and_limits_the_choice() -> None:
    sets = {"a": ["a"], "slow": ["slow"], "both": ["a", "slow"]}
    slow = {False: 0.002, True: 0.02}
    planted = world(
        sets,
        12,
        lambda _attack, members, seed: 0.9 - 0.3 * len(members) + 0.001 * seed,
        lambda members, seed: 0.95 - 0.01 * len(members) + 0.0001 * seed,
        delay=lambda members: slow["slow" in members],
    )
    free = advise(*planted, "digits", {})
    assert free.chosen.label == "a + slow"
    assert free.chosen.delay.value == pytest.approx(10, rel=0.2)
    quick = advise(*planted, "digits", {}, Wishes(max_delay=3.0))
    assert quick.chosen.label == "a"
    assert quick.chosen.delay.value == pytest.approx(1, rel=0.2)
    with pytest.raises(InputError, match="max-delay"):
        Wishes(max_delay=0.5)
