"""Members must not be told from non-members without asking the model; the engine checks it in every seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from threatloop.core.assets import Dataset
from threatloop.core.metric import Reading
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.engine.operations.checks import exchangeability
from threatloop.engine.products import Product
from threatloop.engine.task import Ref, Task

DIGITS = Embedded(embedded="digits").read(Path()).dataset
DATA = DIGITS.take(np.random.default_rng(0).permutation(len(DIGITS)))


def checked(candidates: Dataset, members: Dataset, seed: int) -> Reading:
    inputs = {"candidates": Ref("0" * 40), "members": Ref("1" * 40)}
    task = Task("exchangeability", {}, inputs, Streams(seed))
    (reading,) = exchangeability(task, {"candidates": Product(candidates), "members": Product(members)}).value.readings
    assert reading.metric == "membership.auc_no_query"
    assert isinstance(reading, Reading)
    return reading


def test_an_exchangeable_split_passes_the_check_at_its_rate() -> None:
    false_alarms = 0
    for seed in range(12):
        part = DATA.take(np.random.default_rng(seed).permutation(len(DATA))[:200])
        check = checked(part, part.take(slice(0, 100)), seed)
        assert check.low is not None
        assert check.high is not None
        false_alarms += not check.low < 0.5 < check.high
    assert false_alarms <= 2


def test_a_tilted_split_does_not_whether_the_tilt_is_linear_or_not() -> None:
    part = DATA.take(slice(0, 600))
    brighter = np.array(part.x)
    brighter[:300] = np.minimum(brighter[:300].astype(int) + 6, 255)
    by_class = part.take(np.argsort(part.y % 2, kind="stable"))  # odd digits against even ones
    for data in (part.with_x(brighter), by_class):
        check = checked(data, data.take(slice(0, 300)), 0)
        assert check.low is not None
        assert check.low > 0.5


def test_a_split_too_small_to_check_says_so() -> None:
    part = DATA.take(slice(0, 30))
    check = checked(part, part.take(slice(0, 12)), 0)
    assert check.value is None
    assert "there are 12 and 18" in check.undefined
