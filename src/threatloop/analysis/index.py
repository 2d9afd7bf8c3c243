"""Rows of a run, grouped as the summaries need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.core.measurement import Measurement, MetricNote, RunRecord

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"

_UNKNOWN: Final = MetricNote(title="", unit="", worst=None, margin=0.05, meaning="")


@dataclass(frozen=True)
class Cell:
    """All seeds of one metric in one arm at one step."""

    target: str
    scenario: str
    lap: int
    step: int
    metric: str
    arm: str

    @property
    def label(self) -> str:
        return "\x1f".join(map(str, (self.target, self.scenario, self.lap, self.step, self.metric, self.arm)))


class Index:
    """Rows by cell, in the order in which cells first appear.

    Args:
        record: of the same run; supplies metrics and attacks, which the analysis knows by name only.
        rows: of the run.
    """

    def __init__(self, record: RunRecord, rows: Iterable[Measurement]) -> None:
        self.record = record
        self.cells: dict[Cell, list[Measurement]] = defaultdict(list)
        for row in rows:
            self.cells[Cell(row.target, row.scenario, row.lap, row.step, row.metric, row.arm)].append(row)
        self._first: dict[str, str] = {}
        for cell, found in self.cells.items():
            self._first.setdefault(found[0].attack, cell.metric)

    def note(self, metric: str) -> MetricNote:
        """What the run says of the metric; a secondary figure without a note of its own has its parent's margin."""
        notes = self.record.metrics
        parent = metric
        while parent not in notes and "." in parent:
            parent = parent.rpartition(".")[0]
        found = notes.get(parent, _UNKNOWN)
        return found if parent == metric and found.title else found.model_copy(update={"title": metric})

    def is_headline(self, attack: str, metric: str) -> bool:
        """Whether this is the attack's first metric."""
        metrics = self.record.attacks.get(attack, {}).get("metrics") or [self._first.get(attack)]
        return bool(metric == metrics[0])

    def scenarios(self) -> list[tuple[str, str]]:
        """Every (target, scenario) that has rows."""
        return list(dict.fromkeys((cell.target, cell.scenario) for cell in self.cells))

    def of(self, target: str, scenario: str, lap: int = 1) -> Mapping[Cell, Sequence[Measurement]]:
        """The cells of one scenario and lap."""
        return {
            cell: rows
            for cell, rows in self.cells.items()
            if (cell.target, cell.scenario, cell.lap) == (target, scenario, lap)
        }


def by_gate(rows: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Rows by what the gate said, accepted before refused: values behind a gate are never averaged across it."""
    found: dict[str, list[Measurement]] = defaultdict(list)
    for row in rows:
        found[row.gate].append(row)
    return dict(sorted(found.items()))
