"""What makes an attack suspect, and what does not."""

from __future__ import annotations

import pytest

from threatloop.core.measurement import UNBOUNDED
from threatloop.core.metric import ONE_ANSWER, Graded, Reading
from threatloop.engine.figures import Figure
from threatloop.engine.products import Product
from threatloop.engine.self_checks import self_checks
from threatloop.engine.task import Ref

REF = Ref("0" * 40)


@pytest.mark.parametrize(("value", "reason", "passed"), [(1.0, "", True), (0.6, "", False), (0.6, ONE_ANSWER, None)])
def test_an_attack_need_not_win_where_nothing_can_win(value: float, reason: str, passed: bool | None) -> None:
    figure = Figure(REF, REF, REF, REF, "evasion", "", (), 0, 1, 1, 1, UNBOUNDED, "pgd", "D→D", by_proxy=False)
    second = Reading("evasion.success_on_correct", None if reason else value, 0, undefined=reason)
    (notice,) = self_checks("digits", figure, Product(Graded((Reading("evasion", value, 32), second))), ())
    assert notice.passed is passed
    assert ("not computed" in notice.why) == (passed is None)
