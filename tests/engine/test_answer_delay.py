"""The time that answers take is read, and is in no key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiny
from threatloop.core.assets import Dataset, Model
from threatloop.core.schema import ImageSchema
from threatloop.engine.operations.timing import REPEATS, seconds_per_thousand

SCHEMA = ImageSchema(classes=("a", "b"), channels=1, height=1, width=1)


class Slow:
    """Takes a millisecond a record."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self.asked.append(len(x))
        time.sleep(0.001 * len(x))
        return np.zeros((len(x), 2), np.float32)

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        raise NotImplementedError


def records(n: int) -> Dataset:
    return Dataset(np.zeros((n, 1, 1, 1), np.float32), np.zeros(n, np.int64), SCHEMA, np.arange(n))


def test_it_is_scaled_to_a_thousand_records_and_soon_ends() -> None:
    quick, slow = Slow(), Slow()
    assert seconds_per_thousand(quick, records(20)) == pytest.approx(1.0, rel=0.3)
    assert quick.asked == [20] * REPEATS
    assert seconds_per_thousand(slow, records(700)) == pytest.approx(1.0, rel=0.3)
    assert slow.asked == [700]
    assert seconds_per_thousand(quick, records(0)) is None


def test_what_stands_in_front_of_a_victim_is_timed_once(tmp_path: Path) -> None:
    scenario = {"backdoor": {"attack": {"name": "badnets", "rate": 0.2}}}
    written = tiny.spec(scenarios=scenario, defences={"filtered": ["strip"]})
    first = tiny.run(written, tmp_path)
    delay = {one.condition: one.answer_seconds for one in first.record.victims}
    assert delay[""] is not None
    assert delay["filtered"] is not None
    assert delay["filtered"] > 3 * delay[""] > 0
    table = tiny.table(tmp_path / "out")
    again = tiny.run(written, tmp_path)
    assert again.record.tasks["executed"] == 0
    assert again.record.victims == first.record.victims
    assert tiny.table(tmp_path / "out") == table
