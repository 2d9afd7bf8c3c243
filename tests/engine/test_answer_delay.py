"""The time that answers take is read, and is in no key."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiny
from threatloop.core.assets import Dataset, Model
from threatloop.core.schema import ImageSchema
from threatloop.engine.operations import timing
from threatloop.engine.operations.timing import FEW, REPEATS, seconds_per_thousand

SCHEMA = ImageSchema(classes=("a", "b"), channels=1, height=1, width=1)


class Slow:
    """Takes some milliseconds a record, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, milliseconds: float) -> None:
        self.asked: list[int] = []
        self.now, self.each = 0.0, milliseconds / 1000
        monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self.asked.append(len(x))
        self.now += self.each * len(x)
        return np.zeros((len(x), 2), np.float32)

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        raise NotImplementedError


def records(n: int) -> Dataset:
    return Dataset(np.zeros((n, 1, 1, 1), np.float32), np.zeros(n, np.int64), SCHEMA, np.arange(n))


@pytest.mark.parametrize(
    ("milliseconds", "n", "asked"),
    [
        (1, 20, [20] * REPEATS),  # All there are, as often as it may be.
        (1, 700, [FEW, 700]),  # Half a second is over after one try.
        (0.1, 2000, [FEW] + [1000] * REPEATS),
        (50, 700, [FEW]),  # A language model: a few tell enough.
    ],
)
def test_it_is_scaled_to_a_thousand_records_and_soon_ends(
    monkeypatch: pytest.MonkeyPatch, milliseconds: float, n: int, asked: list[int]
) -> None:
    slow = Slow(monkeypatch, milliseconds)
    assert seconds_per_thousand(slow, records(n)) == pytest.approx(milliseconds)
    assert slow.asked == asked


def test_without_records_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds_per_thousand(Slow(monkeypatch, 1), records(0)) is None


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
