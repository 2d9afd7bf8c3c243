"""Figures: each metric of each attack against its baseline, over paired seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import (
    PENDING,
    Estimate,
    Paired,
    baselines,
    by_seed,
    estimate,
    harm_of,
    not_computed,
    paired,
    trials_of,
)
from threatloop.analysis.index import REFUSED, Cell, Index, by_gate
from threatloop.analysis.risk import risk
from threatloop.core.measurement import ATTACK, REFERENCE, Measurement, MetricNote, Notice, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined


@dataclass(frozen=True)
class Figure:
    """One metric of one attack in one scenario on one target, first lap.

    Attributes:
        gate: ``accepted`` or ``refused`` where the figure rests on data that met an ingest gate, else empty. Seeds on
            the two sides of a gate make two figures.
        stopped: the gate refused this very step; later steps then meet the honest victim.
        headline: whether this is the attack's first metric.
        value: over seeds.
        baseline: over the same seeds.
        effect: the paired advantage, value − baseline; the verdict *amplifies* means that the attacker gains.
        risk: mean over seeds of clip((m − b) / (m* − b), 0, 1).
        records: median number of records behind the figure in a seed.
        queries: median number of records asked of the service.
        stop_reasons: why the attack stopped, each once.
        missing: why seeds have no value, and how many.
        suspect: the self-checks that failed; the finding may understate the attack.
        references: name and value of the same attack on other models, such as the attacker's own (``surrogate``).
    """

    target: str
    scenario: str
    step: int
    steps: int
    attack: str
    direction: str
    metric: str
    gate: str
    stopped: bool
    headline: bool
    value: Estimate
    baseline: Estimate
    effect: Effect | Undefined
    risk: Estimate
    records: int
    queries: int
    stop_reasons: tuple[str, ...]
    defences: str
    by_proxy: bool
    missing: tuple[tuple[str, int], ...]
    suspect: tuple[str, ...]
    references: tuple[tuple[str, Estimate], ...]
    paired: Paired = field(repr=False)


def figures(index: Index, streams: Streams) -> tuple[Figure, ...]:
    """Every figure of the attack arms of the first lap, with its effect still to be judged."""
    cells = {cell: by_gate(rows) for cell, rows in index.cells.items() if cell.arm == ATTACK and cell.lap == 1}
    first: dict[tuple[str, str], int] = {}
    for cell, groups in cells.items():
        if any(groups.keys() - {""}):
            place = (cell.target, cell.scenario)
            first[place] = min(cell.step, first.get(place, cell.step))
    return tuple(
        _figure(index, cell, gate, first.get((cell.target, cell.scenario)) == cell.step, group, streams)
        for cell, groups in cells.items()
        for gate, group in groups.items()
    )


def failed_checks(record: RunRecord, target: str, scenario: str, attack: str, condition: str = "") -> tuple[str, ...]:
    """The failed self-checks that cast doubt on this attack here, under this condition alone.

    A check without target or scenario concerns all of them; one that names an attack of the run concerns that one.
    The seeds of one check make one line.
    """
    failed: dict[str, list[str]] = {}
    for check in record.self_checks:
        here = check.target in ("", target) and check.scenario in ("", scenario)
        here = here and condition == next((c for c in record.conditions if check.what.endswith(f" under {c}")), "")
        if check.passed is False and here and attack in (named_attacks(record, check) or {attack}):
            failed.setdefault(check.what, []).append(check.why)
    return tuple(f"{what}: {whys[0]}{_more(whys)}" for what, whys in failed.items())


def _more(whys: Sequence[str]) -> str:
    return f" (and {len(whys) - 1} more seeds)" if len(whys) > 1 else ""


def named_attacks(record: RunRecord, notice: Notice) -> set[str]:
    """The attacks of the run that a notice names, alone or as one of its words."""
    words = notice.what.replace(":", " ").replace(",", " ").split()
    return {name for name in record.attacks if name == notice.what or name in words}


def _figure(index: Index, cell: Cell, gate: str, gated: bool, rows: Sequence[Measurement], streams: Streams) -> Figure:
    first, note = rows[0], index.note(cell.metric)
    values, usual = by_seed(rows), baselines(rows)
    harm = harm_of(note, list(usual.values()))
    label = f"{cell.label}\x1f{gate}"
    return Figure(
        target=cell.target,
        scenario=cell.scenario,
        step=cell.step,
        steps=first.steps,
        attack=first.attack,
        direction=first.direction,
        metric=cell.metric,
        gate=gate,
        stopped=gated and gate == REFUSED,
        headline=index.is_headline(first.attack, cell.metric),
        value=estimate(values, note.unit, streams, f"value {label}", trials_of(rows)),
        baseline=estimate(usual, note.unit, streams, f"baseline {label}", trials_of(rows)),
        effect=PENDING,
        risk=_risk(values, usual, note, harm, streams, label),
        records=round(median(row.n for row in rows)),
        queries=round(median(row.queries for row in rows)),
        stop_reasons=tuple(sorted({row.stop_reason for row in rows})),
        defences=first.defences,
        by_proxy=any(row.by_proxy for row in rows),
        missing=not_computed(rows),
        suspect=failed_checks(index.record, cell.target, cell.scenario, first.attack),
        references=_references(index, cell, gate, streams),
        paired=paired(values, usual, note, harm),
    )


def _references(index: Index, cell: Cell, gate: str, streams: Streams) -> tuple[tuple[str, Estimate], ...]:
    """The reference arms of the same metric, on the same side of the gate."""
    found = []
    for other, rows in index.of(cell.target, cell.scenario).items():
        if other.arm.startswith(REFERENCE) and (other.step, other.metric) == (cell.step, cell.metric):
            values, unit = by_seed(r for r in rows if r.gate in (gate, "")), index.note(cell.metric).unit
            found.append((other.arm.removeprefix(REFERENCE), estimate(values, unit, streams, other.label + gate)))
    return tuple(found)


def _risk(
    values: dict[int, float], usual: dict[int, float], note: MetricNote, harm: int, streams: Streams, label: str
) -> Estimate:
    if note.worst is None:
        none = Undefined("this figure only describes and has no worst case")
        return Estimate(none, none, 0)
    seeds = sorted(values.keys() & usual.keys())
    found = [risk(values[s], usual[s], note.worst, harm >= 0) for s in seeds]
    known = [r for r in found if not isinstance(r, Undefined)]
    if not known:
        reason = next((r for r in found if isinstance(r, Undefined)), Undefined("no seed has value and baseline"))
        return Estimate(reason, reason, 0)
    return estimate(dict(enumerate(known)), "rate", streams, f"risk {label}")
