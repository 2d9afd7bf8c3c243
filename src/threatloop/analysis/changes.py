"""One figure in two runs: its values on either side, and the test of their difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from threatloop.analysis.effects import ALPHA, MIN_SEEDS, RATE_MARGIN, Contrast, Effect, Tested, examine
from threatloop.analysis.estimates import UNIT_BOUNDS, Estimate
from threatloop.analysis.exposure import FEWEST_ACCEPTED
from threatloop.analysis.findings import failed_checks
from threatloop.analysis.index import ACCEPTED, REFUSED
from threatloop.core.measurement import ADAPTIVE, ATTACK, Measurement, MetricNote, RunRecord
from threatloop.numerics.intervals import Interval
from threatloop.numerics.means import Bounds, mostly_constant
from threatloop.numerics.two_samples import permutation_p, welch, welch_equivalence
from threatloop.numerics.undefined import Undefined

Reading = Literal["worse", "better", "unchanged", "identical", "unresolved", "too few seeds", "lost", "new"]
Family = Literal["headline", "other", "victim"]
VICTIM: Final = "victim"
TEST_ACCURACY: Final = MetricNote(
    title="Test accuracy", unit="rate", worst=0.0, margin=RATE_MARGIN, meaning="Of the victim, without any attack."
)
_SMALLEST_MARGIN: Final = 1e-12


@dataclass(frozen=True, order=True)
class Key:
    """Where a figure stands in either run.

    Attributes:
        scenario: ``victim`` for the victim's accuracy.
        condition: name of the set of defences; empty for the target as it is.
        arm: ``attack``, or a form of the attacker who knows the defences.
    """

    target: str
    scenario: str
    condition: str
    step: int
    attack: str
    metric: str
    arm: str

    @property
    def label(self) -> str:
        return "\x1f".join(map(str, (*vars(self).values(),)))


@dataclass(frozen=True)
class Change:
    """One figure in both runs.

    Attributes:
        before, after: over the seeds of either run.
        paired: by seed; else the runs are two independent samples.
        effect: after − before, in the metric's own orientation; *amplifies* is worse for the defender.
        reading: in words. *identical*: equal in every paired seed. *lost*: the second run has no such figure, *new*:
            the first has none.
        gates: what the ingest gate said in either run, where it differs.
        suspect: in which runs a self-check of the attack failed.
        why: of the reading.
    """

    key: Key
    family: Family
    unit: str
    before: Estimate
    after: Estimate
    paired: bool
    effect: Effect | Undefined
    reading: Reading
    gates: tuple[str, str]
    suspect: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Side:
    """A figure of one run.

    Attributes:
        values: by seed; where a gate let data through, of those seeds only.
        usual: mean baseline; NaN where there is none.
        gate: the side of the gate that the values stand on, or empty.
    """

    family: Family
    note: MetricNote
    values: Mapping[int, float]
    usual: float
    gate: str
    suspect: bool


def sides(record: RunRecord, rows: Iterable[Measurement]) -> dict[Key, Side]:
    """Everything of a run that can get better or worse: figures with a worst case, first laps, and accuracy."""
    cells: dict[Key, list[Measurement]] = {}
    for row in rows:
        note = record.metrics.get(row.metric)
        if row.lap == 1 and row.arm.startswith((ATTACK, ADAPTIVE)) and note is not None and note.worst is not None:
            key = Key(row.target, row.scenario, row.condition, row.step, row.attack, row.metric, row.arm)
            cells.setdefault(key, []).append(row)
    accuracy: dict[Key, dict[int, float]] = {}
    for victim in record.victims:
        if victim.test_accuracy is not None:
            key = Key(victim.target, VICTIM, victim.condition, 0, "", "test_accuracy", "")
            accuracy.setdefault(key, {})[victim.seed] = victim.test_accuracy
    found = {key: _side(record, key, group) for key, group in cells.items()}
    return found | {key: Side("victim", TEST_ACCURACY, values, 1.0, "", False) for key, values in accuracy.items()}


def _side(record: RunRecord, key: Key, rows: Sequence[Measurement]) -> Side:
    known = [row for row in rows if row.value is not None and np.isfinite(row.value)]
    accepted = {row.seed for row in known if row.gate == ACCEPTED}
    refused = any(row.gate == REFUSED for row in known) and len(accepted) < FEWEST_ACCEPTED
    side = REFUSED if refused else ACCEPTED
    usual = [row.baseline for row in known if row.baseline is not None and np.isfinite(row.baseline)]
    metrics = record.attacks.get(key.attack, {}).get("metrics") or [key.metric]
    return Side(
        "headline" if metrics[0] == key.metric else "other",
        record.metrics[key.metric],
        {row.seed: row.value for row in known if row.gate in ("", side) and row.value is not None},
        float(np.mean(usual)) if usual else float("nan"),
        side if any(row.gate for row in known) else "",
        bool(failed_checks(record, key.target, key.scenario, key.attack)),
    )


def harm(before: Side, after: Side) -> int:
    """+1 where a larger value is worse for the defender, else −1."""
    worst = before.note.worst
    assert worst is not None
    usual = [side.usual for side in (before, after) if np.isfinite(side.usual)]
    return 1 if worst >= (float(np.mean(usual)) if usual else 0.5) else -1


def tested(name: str, before: Side, after: Side, paired: bool, rng: np.random.Generator) -> Tested:
    """The test of after − before, oriented so that more is worse for the defender; see `judge_tested`."""
    sign, note = harm(before, after), before.note
    bounds, margin = UNIT_BOUNDS.get(note.unit), max(note.margin, _SMALLEST_MARGIN)
    if paired:
        shared = sorted(before.values.keys() & after.values.keys())
        differences = tuple(sign * (after.values[s] - before.values[s]) for s in shared)
        span = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        return examine(Contrast(name, differences, margin, span), ALPHA, rng)
    off, on = ([sign * v for v in side.values.values()] for side in (before, after))
    ends = None if bounds is None else (min(sign * b for b in bounds), max(sign * b for b in bounds))
    seeds, mean, interval = min(len(off), len(on)), float(np.mean(on) - np.mean(off)), _between(off, on, ends)
    if seeds < MIN_SEEDS:
        few = Undefined(f"{seeds} seeds are fewer than {MIN_SEEDS}")
        return Tested(name, seeds, margin, mean, interval, few, few)
    return Tested(name, seeds, margin, mean, interval, permutation_p(off, on, rng), welch_equivalence(off, on, margin))


def _between(off: Sequence[float], on: Sequence[float], bounds: Bounds | None) -> Interval | Undefined:
    """Welch's interval; where neither run has a spread, the ends of what their bounds leave open."""
    found = welch(off, on)
    if isinstance(found, Interval) or bounds is None:
        return found
    a, b = mostly_constant(off, bounds), mostly_constant(on, bounds)
    if isinstance(a, Undefined) or isinstance(b, Undefined):
        return found
    return Interval(b.low - a.high, b.high - a.low, a.level, a.method)
