"""Which rows of a run the interaction matrix compares: for every (A, B) B's figure with A on and off."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from threatloop.analysis.estimates import harm_of, paired
from threatloop.analysis.index import Index
from threatloop.core.measurement import (
    ADAPTIVE,
    ATTACK,
    CONTROL,
    FORM,
    MATCHED,
    WITHOUT,
    Measurement,
    MetricNote,
    RunRecord,
)
from threatloop.core.study_note import ATTACK_FAMILY, DEFENCE_FAMILY
from threatloop.numerics.means import Bounds

BySeed = Mapping[int, Measurement]
REFERENCES: Final = {"aimed": CONTROL, "matched": MATCHED}
"""What else A is compared with, beside its absence, and the arms of it: the same harm, not aimed at B, which leaves the
part that is aimed; and an honest victim of the same clean accuracy, which leaves the part that is no lost accuracy."""
_INSIDE = frozenset({"gradients", "weights"})


@dataclass(frozen=True)
class Pairing:
    """One cell before it is judged.

    Attributes:
        family: ``defence × attack`` or ``attack × attack``.
        row: A: name of the condition, or of the attack in a chain's first step.
        column: B: name of the scenario that attacks alone, or of the attack where none is the same as B.
        scenario, condition, step: where the rows with A on stand in the table.
        attack, metric: B and its headline figure.
        harm: +1 where a larger figure is worse for the defender, −1 where a smaller one is.
        offs: rows without A, by arm and seed: the unchanged attack, and the forms that it takes against some defences.
        arms: rows with A, by arm and seed: the unchanged attack, and the forms of one who knows the defences.
        references: rows of the other things that A is compared with, by name; without those that such an A has not.
        reads_inside: B reads the model itself, past whatever stands in front of it.
        reason: why there is nothing to compare; empty where there is.
    """

    family: str
    target: str
    row: str
    column: str
    scenario: str
    condition: str
    step: int
    attack: str
    metric: str
    note: MetricNote
    harm: int
    offs: Mapping[str, BySeed] = field(repr=False)
    arms: Mapping[str, BySeed] = field(repr=False)
    references: Mapping[str, BySeed] = field(repr=False)
    reads_inside: bool = False
    reason: str = ""

    @property
    def label(self) -> str:
        """Unique within a run; ``row`` and ``column`` alone are unique within a family and target."""
        return "\x1f".join((self.family, self.target, self.row, self.column))

    @property
    def adaptive(self) -> bool:
        """Whether an attacker who knows the defences was tried and has figures."""
        return any(arm != ATTACK and values_of(rows) for arm, rows in self.arms.items())

    def harms(self, on: BySeed, off: BySeed, gates: tuple[str, str]) -> dict[int, float]:
        """By seed how much worse B's figure is for the defender with A on, where the gate gave these answers."""
        pairs = both(on, off)
        return {
            seed: self.harm * (a.value - b.value)
            for seed, (a, b) in pairs.items()
            if (a.gate, b.gate) == gates and a.value is not None and b.value is not None
        }

    @property
    def frame(self) -> tuple[float, Bounds | None]:
        """Equivalence margin, and bounds of a difference; from all rows, so that every stage has the same."""
        on = [value for rows in self.arms.values() for value in values_of(rows).values()] or [0.0]
        off = [
            value for rows in (*self.offs.values(), *self.references.values()) for value in values_of(rows).values()
        ] or [0.0]
        extremes = ({0: max(on), 1: min(on)}, {0: min(off), 1: max(off)})
        found = paired(*extremes, self.note, self.harm)
        return found.margin, found.bounds


def values_of(rows: BySeed) -> dict[int, float]:
    """The computed values by seed."""
    return {seed: row.value for seed, row in rows.items() if row.value is not None and math.isfinite(row.value)}


def both(on: BySeed, off: BySeed) -> dict[int, tuple[Measurement, Measurement]]:
    """The rows of the seeds in which both have a value."""
    return {seed: (on[seed], off[seed]) for seed in sorted(values_of(on).keys() & values_of(off).keys())}


_Key = tuple[str, str, str, str, int, str]
_Rows = Mapping[_Key, BySeed]


def pairings(record: RunRecord, rows: Iterable[Measurement]) -> tuple[Pairing, ...]:
    """Every cell that the run's spec asks for, those without figures included: silence never reads as safe."""
    rows = list(rows)
    index, found = Index(record, rows), defaultdict[_Key, dict[int, Measurement]](dict)
    for row in rows:
        if row.lap == 1 and index.is_headline(row.attack, row.metric):
            found[row.target, row.scenario, row.condition, row.arm, row.step, row.metric][row.seed] = row
    return (*_defended(record, index, found), *_chained(record, index, found))


def _defended(record: RunRecord, index: Index, rows: _Rows) -> Iterator[Pairing]:
    for target in record.targets:
        for scenario, attack in _singles(record, target).items():
            metric = _headline(record, attack)
            arms = {key[2:4]: found for key, found in rows.items() if key == (target, scenario, *key[2:4], 1, metric)}
            for condition in record.conditions:
                on = {
                    arm: found
                    for (where, arm), found in arms.items()
                    if where == condition and (arm == ATTACK or arm.split(":")[0] == ADAPTIVE)
                }
                about = (DEFENCE_FAMILY, target, condition, scenario, scenario, condition, 1, attack, metric)
                mine = f"{FORM}{condition}:"
                offs = {arm: found for (where, arm), found in arms.items() if not where and arm.startswith(mine)}
                yield _pairing(record, index, about, on, {ATTACK: arms.get(("", ATTACK), {}), **offs}, {})


def _chained(record: RunRecord, index: Index, rows: _Rows) -> Iterator[Pairing]:
    seen: set[tuple[str, str, str]] = set()
    for target in record.targets:
        for scenario, facts in record.scenarios.items():
            names = [str(name) for name in facts.get("attacks", ())]
            if len(names) != 2 or not _applies(record, scenario, target):
                continue
            first, attack = names
            metric = _headline(record, attack)
            column = _same_alone(record, target, scenario, attack)
            row = first if (target, first, column) not in seen else f"{first} ({scenario})"
            seen.add((target, first, column))
            on, off = (rows.get((target, scenario, "", arm, 2, metric), {}) for arm in (ATTACK, f"{WITHOUT}1"))
            references = {
                name: found
                for name, prefix in REFERENCES.items()
                if (found := rows.get((target, scenario, "", f"{prefix}1", 2, metric), {}))
                or (prefix == MATCHED and record.attacks.get(first, {}).get("direction") == "D→M")
            }
            about = (ATTACK_FAMILY, target, row, column, scenario, "", 2, attack, metric)
            yield _pairing(record, index, about, {ATTACK: on} if on else {}, {ATTACK: off}, references)


def _pairing(
    record: RunRecord,
    index: Index,
    about: tuple[str, str, str, str, str, str, int, str, str],
    arms: Mapping[str, BySeed],
    offs: Mapping[str, BySeed],
    references: Mapping[str, BySeed],
) -> Pairing:
    metric, off = about[-1], offs[ATTACK]
    unknown = MetricNote(title=metric, unit="", worst=None, margin=0.05, meaning="")
    note = index.notes.get(metric) or record.metrics.get(metric, unknown)
    # Where B's own baselines lie, whatever A is: the attack alone tells on which side the harm is.
    usual = [row.baseline for row in off.values() if row.baseline is not None and math.isfinite(row.baseline)]
    if not usual:
        on = arms.get(ATTACK, {}).values()
        usual = [row.baseline for row in on if row.baseline is not None and math.isfinite(row.baseline)]
    harm = harm_of(note, usual or list(values_of(off).values()))
    inside = bool(_INSIDE & set(record.attacks.get(about[-2], {}).get("needs", ())))
    reason = _reason(record, about, arms, off, note, harm)
    return Pairing(*about, note, harm, offs, arms, references, inside, reason)


def _reason(
    record: RunRecord, about: tuple[Any, ...], arms: Mapping[str, BySeed], off: BySeed, note: MetricNote, harm: int
) -> str:
    _, target, _, _, scenario, condition, *_ = about
    if not any(values_of(rows) for rows in arms.values()):
        return _why_missing(record, arms, target, scenario, condition)
    if not values_of(off):
        return "without A: " + _why_missing(record, {ATTACK: off}, target, scenario, "")
    if note.worst is None:
        return "this figure only describes and has no worst case"
    return "" if harm else "the undefended figure's baseline lies at its worst case already"


def _why_missing(record: RunRecord, arms: Mapping[str, BySeed], target: str, scenario: str, condition: str) -> str:
    """The first reason that the rows or the run's lists give."""
    for rows in arms.values():
        for row in rows.values():
            if row.undefined:
                return row.undefined
    for notice in (*record.not_assessed, *record.errors):
        of_condition = notice.what.endswith(f"under {condition}") if condition else " under " not in notice.what
        if notice.target in ("", target) and notice.scenario in ("", scenario) and of_condition:
            return notice.why
    return "the run has no such figure"


def _headline(record: RunRecord, attack: str) -> str:
    metrics = record.attacks.get(attack, {}).get("metrics") or [""]
    return str(metrics[0])


def _singles(record: RunRecord, target: str) -> dict[str, str]:
    """Scenarios of a single attack on this target, by name, with their attack."""
    return {
        name: str(facts["attacks"][0])
        for name, facts in record.scenarios.items()
        if len(facts.get("attacks", ())) == 1 and _applies(record, name, target)
    }


def _applies(record: RunRecord, scenario: str, target: str) -> bool:
    named = _written(record, scenario).get("targets")
    return named is None or target in named


def _same_alone(record: RunRecord, target: str, chain: str, attack: str) -> str:
    """The scenario that runs the chain's last attack alone, in the same configuration; else the attack's name."""
    steps = _written(record, chain).get("chain") or [attack]
    for scenario in _singles(record, target):
        if _named(_written(record, scenario).get("attack")) == _named(steps[-1]):
            return scenario
    return attack


def _written(record: RunRecord, scenario: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = record.spec.get("scenarios", {}).get(scenario, {})
    return found


def _named(written: Any) -> Any:
    return {"name": written} if isinstance(written, str) else written
