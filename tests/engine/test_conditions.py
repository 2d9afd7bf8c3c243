"""Sets of defences: what they change, what they share, and who attacks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from threatloop import api
from threatloop.core.errors import Problems
from threatloop.engine.plan import Plan

SMOOTH, ROUND = {"smooth": ["label_smoothing"]}, {"round": [{"name": "rounding", "digits": 1}]}
SCENARIOS: dict[str, Any] = {"membership": {"attack": "lira"}, "theft": {"attack": tiny.THEFT}}


def keys_of(plan: Plan, operation: str, condition: str, arm: str = "attack", scenario: str = "membership") -> set[str]:
    """Keys of the tasks of one operation on which the figures of an arm rest."""
    found = set()
    for _, figure in plan.figures:
        if (figure.condition, figure.arm, figure.scenario) != (condition, arm, scenario):
            continue
        waiting = [figure.grade.key]
        while waiting:
            task = plan.tasks[waiting.pop()]
            found |= {task.key} if task.operation == operation else set()
            waiting += [ref.key for ref in task.inputs.values()]
    assert found
    return found


def test_a_condition_costs_what_it_changes_and_no_more(tmp_path: Path) -> None:
    bare = tiny.plan(tiny.spec(scenarios=SCENARIOS), tmp_path)
    both = tiny.plan(tiny.spec(scenarios=SCENARIOS, defences={**SMOOTH, **ROUND}), tmp_path)
    assert bare.tasks.keys() <= both.tasks.keys()
    assert keys_of(both, "train", "") != keys_of(both, "train", "smooth")
    # A serving defence changes answers, not the model; the attacker who does not know of it changes nothing.
    assert keys_of(both, "train", "") == keys_of(both, "train", "round")
    assert keys_of(both, "shadows", "") == keys_of(both, "shadows", "smooth")
    assert keys_of(both, "act", "") != keys_of(both, "act", "round")


def test_who_knows_the_defences_trains_his_shadows_with_them(tmp_path: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios=SCENARIOS, defences={**SMOOTH, **ROUND}), tmp_path)
    assert keys_of(plan, "shadows", "smooth", "adaptive") != keys_of(plan, "shadows", "smooth")
    # Nothing of a serving defence is in the weights: he trains as before and serves them as the victim does.
    assert keys_of(plan, "shadows", "round", "adaptive") == keys_of(plan, "shadows", "round")
    assert keys_of(plan, "act", "round", "adaptive") != keys_of(plan, "act", "round")
    arms = {(figure.condition, figure.arm) for _, figure in plan.figures if figure.scenario == "membership"}
    twice = {(name, arm) for name in ("smooth", "round") for arm in ("attack", "adaptive", "baseline")}
    # Where scores are withheld or falsified, he also tries without them.
    assert arms == twice | {("round", "adaptive:2"), ("", "attack"), ("", "baseline")}


def test_rows_name_their_condition_and_stay_out_of_the_summary(tmp_path: Path) -> None:
    finished = tiny.run(tiny.spec(scenarios=SCENARIOS, defences=ROUND), tmp_path)
    assert finished.record.errors == ()
    assert finished.record.conditions == {"round": [{"name": "rounding"}]}
    rows = [row for row in tiny.table(finished.out) if row["metric"] == "membership"]
    assert {(row["condition"], row["defences"]) for row in rows} == {("", ""), ("round", "rounding")}
    assert {victim.condition for victim in finished.record.victims} == {"", "round"}
    assert all(victim.seconds is not None for victim in finished.record.victims)
    written, store = tiny.spec(scenarios=SCENARIOS, defences=ROUND), str(tmp_path / "store")
    result = api.audit(written, out=tmp_path / "again", store=store, backend="inline")
    assert {figure.defences for figure in result.summary.figures} == {""}


def test_the_judge_asks_the_victim_as_it_is_served(tmp_path: Path) -> None:
    written = tiny.spec(scenarios={"theft": {"attack": tiny.THEFT}}, defences=ROUND)
    loss = {victim.condition: victim.test_loss for victim in tiny.run(written, tmp_path).record.victims}
    assert loss[""] != loss["round"]


@pytest.mark.parametrize(
    ("defences", "expected"),
    [
        ({"a": []}, "defences.a: is empty"),
        ({"a": ["roundin"]}, "did you mean 'rounding'?"),
        ({"a": ["rounding", "rounding"]}, "names rounding more than once"),
        ({"a": ["spread_spectrum"]}, "name it as a scenario's `protection`"),
        ({"a": [{"name": "rounding", "digits": 9}]}, "digits"),
    ],
)
def test_sets_that_make_no_sense(defences: dict[str, Any], expected: str) -> None:
    with pytest.raises(Problems) as caught:
        api.load_spec(tiny.spec(scenarios=SCENARIOS, defences={**defences, "fine": ["rounding"]}))
    assert expected in "\n".join(caught.value.problems)


def test_a_set_is_checked_beside_the_targets_own(tmp_path: Path) -> None:
    target = {**tiny.DIGITS, "defences": ["rounding"]}
    with pytest.raises(Problems, match=r"beside targets.digits.defences: names rounding more than once"):
        api.load_spec(tiny.spec({"digits": target}, SCENARIOS, defences=ROUND))
    gate = {"gate": ["watermark_gate"]}
    plan = tiny.plan(tiny.spec({"digits": tiny.DIGITS, "bare": tiny.TABLE}, SCENARIOS, defences=gate), tmp_path)
    assert {notice.target for notice in plan.not_assessed} == {"bare"}
    with pytest.raises(Problems, match=r"defences.gate: watermark_gate works on image records"):
        tiny.plan(tiny.spec({"bare": tiny.TABLE}, SCENARIOS, defences=gate), tmp_path)


def test_figures_that_follow_from_kept_labels_are_known(tmp_path: Path) -> None:
    scenario = {"backdoor": {"attack": {"name": "badnets", "rate": 0.2}}}
    sets = {"labels": ["labels_only"], "cleaned": ["input_purification"]}
    tiny.run(tiny.spec({"digits": tiny.DIGITS}, scenario, defences=sets), tmp_path)
    rows = [row for row in tiny.table(tmp_path / "out") if row["metric"] == "attack_success" and row["arm"] == "attack"]
    assert {(row["condition"], row["by_labels"]) for row in rows} == {("", True), ("labels", True), ("cleaned", False)}
    assert len({row["outcome"] for row in rows if row["seed"] == 0}) == 1


def test_rounded_answers_keep_their_class_and_lose_their_digits() -> None:
    from threatloop.core.assets import Dataset
    from threatloop.core.schema import ImageSchema
    from threatloop.core.seeds import Streams
    from threatloop.defences.serving.rounding import Rounding

    exact = np.log(np.array([[0.52, 0.48], [0.501, 0.499], [0.999, 0.001]], np.float32))
    schema = ImageSchema(classes=("a", "b"), channels=1, height=1, width=1)
    own = Dataset(np.zeros((3, 1, 1, 1), np.float32), np.zeros(3, np.int64), schema, np.arange(3))
    answers = Rounding(digits=1).bind(lambda x: exact[: len(x)], own, Streams(0))(own.x)
    np.testing.assert_array_equal(answers.argmax(axis=1), exact.argmax(axis=1))
    np.testing.assert_allclose(np.exp(answers), np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]), atol=1e-5)
    assert np.isfinite(answers).all()


def test_who_imitates_a_marked_victim_draws_a_secret_of_his_own() -> None:
    from threatloop.algorithms.ownership import secret
    from threatloop.core.seeds import Streams
    from threatloop.scenario.lifecycle import strangers

    victim, other = Streams(0, ("seed-3", "train")), Streams(0, ("seed-4", "train"))
    assert secret(victim) == secret(Streams(0, ("seed-3", "lap-1", "claim")))
    assert len({secret(victim).path, secret(strangers(victim)).path, secret(strangers(other)).path}) == 3


def test_a_filter_that_removes_nothing_leaves_the_very_same_victim_and_clone(tmp_path: Path) -> None:
    sets = {"apart": ["near_duplicates"], **SMOOTH}
    finished = tiny.run(tiny.spec(scenarios={"theft": {"attack": tiny.THEFT}}, defences=sets), tmp_path)
    rows = [row for row in tiny.table(finished.out) if row["arm"] == "attack" and row["metric"] == "fidelity"]
    contents = {row["condition"]: (row["model"], row["outcome"]) for row in rows}
    assert contents["apart"] == contents[""]
    assert contents["smooth"][0] != contents[""][0]
    assert contents["smooth"][1] != contents[""][1]
