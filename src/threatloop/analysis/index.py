"""Rows of a run, grouped as the summaries need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.core.measurement import Measurement, MetricNote, RunRecord

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"

_SHARES: Final = frozenset({"rate", "auc"})


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
    """Rows of the targets as they are, by cell, in the order in which cells first appear.

    Of a study that spent seeds in two stages only the screening seeds count here: how many fresh ones there are depends
    on what the screening showed, and they belong to the interaction matrix.

    Args:
        record: of the same run; supplies metrics and attacks, which the analysis knows by name only.
        rows: of the run.
    """

    def __init__(self, record: RunRecord, rows: Iterable[Measurement]) -> None:
        self.record = record
        self.cells: dict[Cell, list[Measurement]] = defaultdict(list)
        for row in rows:
            if row.condition or (record.study is not None and row.seed >= record.study.screening_seeds):
                continue
            self.cells[Cell(row.target, row.scenario, row.lap, row.step, row.metric, row.arm)].append(row)
        self._first: dict[str, str] = {}
        values: dict[str, list[float]] = defaultdict(list)
        for cell, found in self.cells.items():
            self._first.setdefault(found[0].attack, cell.metric)
            values[cell.metric] += [row.value for row in found if row.value is not None]
        self.notes = {metric: _note(record.metrics, metric, known) for metric, known in values.items()}

    def note(self, metric: str) -> MetricNote:
        """What is known of a metric that has rows."""
        return self.notes[metric]

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


def _note(notes: Mapping[str, MetricNote], metric: str, values: Sequence[float]) -> MetricNote:
    """The run's own note on the metric, or what a secondary figure may take over from the metric that it belongs to.

    Its margin always, its unit where the values fit into it, its worst case never: a z-score or an error beside a rate
    has another one, and may be worse on the other side. So a figure without a note of its own only describes.
    """
    if metric in notes:
        return notes[metric]
    parent = metric
    while parent not in notes and "." in parent:
        parent = parent.rpartition(".")[0]
    if parent not in notes:
        return MetricNote(title=metric, unit="", worst=None, margin=0.05, meaning="")
    found, suffix = notes[parent], metric[len(parent) + 1 :].replace("_", " ").replace(".", ", ")
    fits = found.unit in _SHARES and all(0 <= value <= 1 for value in values)
    changes = {"title": f"{found.title}: {suffix}", "unit": "rate" if fits else "", "worst": None, "meaning": ""}
    return found.model_copy(update=changes)


def by_gate(rows: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Rows by what the gate said, accepted before refused: values behind a gate are never averaged across it."""
    found: dict[str, list[Measurement]] = defaultdict(list)
    for row in rows:
        found[row.gate].append(row)
    return dict(sorted(found.items()))
