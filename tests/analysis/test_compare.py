"""Two runs compared: what is found, what is not, what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from defended import at_risk, record, row
from threatloop.analysis.changes import Change
from threatloop.analysis.compare import Comparison, Run, compare
from threatloop.core.errors import Problems
from threatloop.core.measurement import VictimNote
from threatloop.numerics.undefined import Undefined


def _run(risks: Mapping[str, float], seeds: int = 12, draw: int = 0, noise: float = 0.02, **changes: Any) -> Run:
    """The same draw gives the same seeds; what differs between two runs of a draw is small."""
    common, own = np.random.default_rng(5), np.random.default_rng(100 + draw)
    rows = [
        row(a, s, at_risk(r + 0.1 * common.normal() + noise * own.normal()), dataset=f"split-{s}")
        for a, r in risks.items()
        for s in range(seeds)
    ]
    accuracy = [VictimNote(target="digits", condition="", seed=s, test_accuracy=0.9 + s / 500) for s in range(seeds)]
    return record(seeds, victims=accuracy, **{"run": f"run-{draw}", **changes}), rows


def _change(found: Comparison, attack: str) -> Change:
    (one,) = [change for change in found.changes if change.key.attack == attack]
    return one


BEFORE = {"evade": 0.3, "poison": 0.5, "steal": 0.4, "infer": 0.3}


def test_a_change_is_found_by_pairs_that_independent_samples_would_miss() -> None:
    after = {**BEFORE, "evade": 0.37, "poison": 0.43}
    paired = compare(_run(BEFORE), _run(after, draw=1))
    assert {c.key.attack: c.reading for c in paired.changes if c.family == "headline"} == {
        "evade": "worse",
        "poison": "better",
        "steal": "unchanged",
        "infer": "unchanged",
    }
    assert all(change.paired for change in paired.changes)
    assert paired.failed()
    other_seed = compare(_run(BEFORE), _run(after, draw=1, run_seed=9))
    assert not any(change.paired for change in other_seed.changes if change.family == "headline")
    assert _change(other_seed, "evade").reading == "unresolved"
    assert any("independent samples" in line for line in other_seed.remarks)


def test_independent_samples_show_a_large_change() -> None:
    found = compare(_run(BEFORE), _run({**BEFORE, "infer": 0.7}, draw=1, run_seed=9))
    change = _change(found, "infer")
    assert (change.reading, change.paired) == ("worse", False)
    assert not isinstance(change.effect, Undefined)
    assert change.effect.mean == pytest.approx(0.4 * 0.8, abs=0.08)


def test_seeds_that_split_the_data_otherwise_are_no_pairs() -> None:
    later, rows = _run(BEFORE, draw=1)
    found = compare(_run(BEFORE), (later, [one.model_copy(update={"dataset": "other"}) for one in rows]))
    assert not any(change.paired for change in found.changes)


def test_a_run_is_identical_with_itself() -> None:
    found = compare(_run(BEFORE), _run(BEFORE))
    assert {change.reading for change in found.changes} == {"identical"}
    assert not found.failed()


def test_false_alarms_are_rare_within_a_family() -> None:
    """Eight figures without any change, forty times: at most a few comparisons may claim one."""
    alarms = 0
    for draw in range(40):
        found = compare(_run(BEFORE, draw=2 * draw), _run(BEFORE, draw=2 * draw + 1))
        alarms += bool(found.of("worse", "better"))
    assert alarms <= 6


def test_a_metric_whose_worst_case_lies_below_reads_the_other_way() -> None:
    changed, rows = _run(BEFORE, draw=1)
    drops = [0.8 + s / 500 + 0.01 * (s % 2) for s in range(12)]
    victims = [VictimNote(target="digits", condition="", seed=s, test_accuracy=drops[s]) for s in range(12)]
    found = compare(_run(BEFORE), (changed.model_copy(update={"victims": tuple(victims)}), rows))
    (accuracy,) = [change for change in found.changes if change.family == "victim"]
    assert accuracy.reading == "worse"
    assert not isinstance(accuracy.effect, Undefined)
    assert accuracy.effect.mean == pytest.approx(-0.095)


def test_what_the_second_run_lacks_is_lost_and_fails_closed() -> None:
    later, rows = _run(BEFORE)
    gone = [one.model_copy(update={"value": None, "undefined": "over budget"}) for one in rows if one.attack == "infer"]
    found = compare(_run(BEFORE), (later, [*(one for one in rows if one.attack != "infer"), *gone]))
    assert _change(found, "infer").reading == "lost"
    assert found.failed()
    assert not found.failed(allow_unresolved=True)


def test_that_means_and_differences_rest_on_other_seeds_is_said() -> None:
    found = compare(_run({"infer": 0.3}), _run({"infer": 0.3}, seeds=3))
    assert found.remarks == ("seeds 12 and 3: a mean is over all seeds of its run, a difference over the 3 of both",)


def test_too_few_seeds_decide_nothing_and_fail_closed() -> None:
    found = compare(_run(BEFORE, seeds=3), _run({**BEFORE, "infer": 0.9}, seeds=3, draw=1))
    assert _change(found, "infer").reading == "too few seeds"
    assert found.undecided
    assert found.failed()
    assert not found.failed(allow_unresolved=True)


def test_the_two_sides_of_a_gate_are_told() -> None:
    def gated(run: Run, gate: str) -> Run:
        return run[0], [one.model_copy(update={"gate": gate}) if one.attack == "poison" else one for one in run[1]]

    found = compare(gated(_run(BEFORE), "accepted"), gated(_run({**BEFORE, "poison": 0.0}, draw=1), "refused"))
    change = _change(found, "poison")
    assert (change.reading, change.gates) == ("better", ("accepted", "refused"))


def _spec(**target: Any) -> dict[str, Any]:
    found = dict(record(12).spec)
    return {**found, "targets": {"digits": {**found["targets"]["digits"], **target}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threatloop": "0.2.0"}, "threatloop: 0.1.0 and 0.2.0; run both with one version"),
        ({"spec": _spec(shadows=32)}, "targets.digits.shadows: 8 and 32; state the same in both specs"),
        (
            {"targets": {"digits": {"records": 1700, "classes": 10}}},
            "targets.digits: the data differ in records: 1797 and 1700; audit the same data",
        ),
        ({"targets": {"other": {"records": 1700}}}, "no target is in both: digits and other; name them alike"),
        (
            {"spec": {**_spec(), "scenarios": {"evade": {"attack": {"name": "evade", "epsilon": 0.3}}}}},
            "scenarios.evade.attack: {'name': 'evade'} and {'name': 'evade', 'epsilon': 0.3}; state the same",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_difference(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Problems) as refused:
        compare(_run(BEFORE), _run(BEFORE, draw=1, **changes))
    assert any(line.startswith(said) for line in refused.value.problems)


def test_defences_and_models_may_differ() -> None:
    spec = _spec(defences=["rounding"], recipe={"epochs": 3})
    found = compare(_run(BEFORE), _run(BEFORE, draw=1, spec=spec))
    assert len(found.changes) == 5


def test_what_only_one_run_was_asked_for_is_a_remark() -> None:
    later, rows = _run({k: v for k, v in BEFORE.items() if k != "infer"})
    scenarios = {name: about for name, about in later.scenarios.items() if name != "infer"}
    found = compare(_run(BEFORE), (later.model_copy(update={"scenarios": scenarios}), rows))
    assert not [change for change in found.changes if change.key.attack == "infer"]
    assert "scenario infer: only in the first run, so it is not compared" in found.remarks


def test_another_state_of_the_code_is_refused() -> None:
    a, b, older = ({"evade": {"title": "Evade", **code}} for code in ({"code": "1f"}, {"code": "2e"}, {}))
    with pytest.raises(Problems, match=r"attacks.evade: its code, or that of what judges it, differs"):
        compare(_run(BEFORE, attacks=a), _run(BEFORE, draw=1, attacks=b))
    assert compare(_run(BEFORE, attacks=a), _run(BEFORE, draw=1, attacks=older)).changes
