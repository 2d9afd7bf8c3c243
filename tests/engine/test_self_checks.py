"""What makes an attack suspect, and what does not."""

from __future__ import annotations

import pytest

from threatloop import api
from threatloop.core.measurement import ATTACK, UNBOUNDED, Measurement
from threatloop.core.metric import ONE_ANSWER, Graded, Reading
from threatloop.engine.figures import Figure
from threatloop.engine.products import Product
from threatloop.engine.self_checks import more_access_is_no_weaker, self_checks
from threatloop.engine.task import Ref

REF = Ref("0" * 40)


@pytest.mark.parametrize(("value", "reason", "passed"), [(1.0, "", True), (0.6, "", False), (0.6, ONE_ANSWER, None)])
def test_an_attack_need_not_win_where_nothing_can_win(value: float, reason: str, passed: bool | None) -> None:
    figure = Figure(REF, REF, REF, REF, "evasion", "", (), 0, 1, 1, 1, UNBOUNDED, "pgd", "D→D", by_proxy=False)
    second = Reading("evasion.success_on_correct", None if reason else value, 0, undefined=reason)
    (notice,) = self_checks("digits", figure, Product(Graded((Reading("evasion", value, 32), second))), ())
    assert notice.passed is passed
    assert ("not computed" in notice.why) == (passed is None)


@pytest.mark.parametrize(
    ("condition", "what"), [("", "pgd: loss falls with steps"), ("d", "pgd: loss falls with steps under d")]
)
def test_what_fails_behind_a_defence_names_it(condition: str, what: str) -> None:
    figure = Figure(REF, REF, REF, REF, "evasion", condition, (), 0, 1, 1, 1, ATTACK, "pgd", "D→D", by_proxy=False)
    notes = {"notes": {"loss_first": 1.0, "loss_last": 2.0}}
    (notice,) = self_checks("digits", figure, Product(Graded((Reading("evasion", 0.5, 32),)), notes), ())
    assert (notice.what, notice.passed) == (what, False)


def row(scenario: str, condition: str, seed: int, value: float) -> Measurement:
    about = {"run": "r", "target": "digits", "step": 1, "steps": 1, "arm": ATTACK, "direction": "D→D", "n": 32}
    return Measurement(
        **about, scenario=scenario, condition=condition, seed=seed, value=value, attack="pgd", metric="evasion"
    )


def test_a_defence_does_not_cast_doubt_on_the_attack_without_it() -> None:
    scenarios = {"white": {"attack": "pgd"}, "black": {"attack": "square"}}
    audit = api.load_spec({"targets": {"digits": {"data": "digits"}}, "scenarios": scenarios})
    plain = [row(name, "", seed, value) for name, value in (("white", 0.9), ("black", 0.5)) for seed in range(3)]
    hidden = [row(name, "d", seed, value) for name, value in (("white", 0.1), ("black", 0.5)) for seed in range(3)]
    (notice,) = more_access_is_no_weaker(audit.scenarios, [*plain, *hidden])
    assert notice.passed
