"""The closed loop as drawn: two nodes, four arrows, the measured figure on each, and the chain's path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from threatloop.analysis.findings import Figure, named_attacks
from threatloop.analysis.index import REFUSED
from threatloop.analysis.summary import DIRECTIONS, Summary
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.words import DIRECTION_WORDS, against_baseline


@dataclass(frozen=True)
class Track:
    """Where one arrow of the drawing runs, in its 640 × 300 box: path, place of its label and of its step number."""

    path: str
    label: tuple[int, int]
    anchor: Literal["start", "middle", "end"]
    badge: tuple[int, int]


TRACKS: Final[Mapping[str, Track]] = {
    "D→D": Track("M176 108 C106 62 106 238 172 196", (104, 146), "end", (122, 150)),
    "D→M": Track("M246 108 C278 66 362 66 390 104", (320, 40), "middle", (320, 76)),
    "M→M": Track("M464 108 C534 62 534 238 468 196", (536, 146), "start", (518, 150)),
    "M→D": Track("M394 192 C362 234 278 234 250 196", (320, 262), "middle", (320, 224)),
}


@dataclass(frozen=True)
class Arrow:
    """One direction on one target.

    Attributes:
        style: ``gain``, ``slight``, ``none``, ``open``, ``suspect`` or ``missing``: how the line is drawn.
        shown: the figure on the arrow, short.
        steps: positions in the chain that runs along this arrow, such as ``1``.
        why: why there is no figure.
    """

    direction: str
    words: str
    track: Track
    style: str
    shown: str
    steps: str
    figure: Figure | None
    why: str


@dataclass(frozen=True)
class Station:
    """One step on a chain's path: the attack and its headline figures, one per answer of the gate."""

    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Drawing:
    """The loop of one target, and the chain whose path it shows."""

    target: str
    arrows: tuple[Arrow, ...]
    chain: str
    path: tuple[Station, ...]


def drawings(record: RunRecord, summary: Summary) -> list[Drawing]:
    """One drawing per target, in the order of the run."""
    return [_drawing(record, summary, target) for target in record.targets]


def _drawing(record: RunRecord, summary: Summary, target: str) -> Drawing:
    chain, attacks = _longest_chain(record, summary, target)
    arrows = tuple(_arrow(record, summary, target, direction, attacks) for direction in DIRECTIONS)
    here = [f for f in summary.figures if (f.target, f.scenario) == (target, chain) and f.headline]
    path = tuple(
        Station(str(record.attacks.get(name, {}).get("title", name)), tuple(f for f in here if f.step == step))
        for step, name in enumerate(attacks, 1)
    )
    return Drawing(target, arrows, chain, path)


def _longest_chain(record: RunRecord, summary: Summary, target: str) -> tuple[str, tuple[str, ...]]:
    measured = {f.scenario: f.steps for f in summary.figures if f.target == target and f.steps > 1}
    if not measured:
        return "", ()
    chain = max(measured, key=lambda name: measured[name])
    by_step = {f.step: f.attack for f in summary.figures if (f.target, f.scenario) == (target, chain)}
    named = record.scenarios.get(chain, {}).get("attacks") or [by_step[step] for step in sorted(by_step)]
    return chain, tuple(named)


def _arrow(record: RunRecord, summary: Summary, target: str, direction: str, chain: tuple[str, ...]) -> Arrow:
    steps = [i for i, name in enumerate(chain, 1) if record.attacks.get(name, {}).get("direction") == direction]
    figure = summary.worst(direction, target)
    style, shown, why = "missing", "not assessed", ""
    if figure is None:
        why = _why(record, target, direction)
    elif isinstance(figure.value.mean, Undefined):
        style, shown, why = "open", "not computed", "; ".join(reason for reason, _ in figure.missing)
    else:
        unit = record.metrics[figure.metric].unit if figure.metric in record.metrics else ""
        style, shown = against_baseline(figure).style, numbers.mean(figure.value, unit)
        why = "the gate refused the data, so this is the honest victim" if figure.gate == REFUSED else ""
    badge = ", ".join(map(str, steps))
    return Arrow(direction, DIRECTION_WORDS[direction], TRACKS[direction], style, shown, badge, figure, why)


def _why(record: RunRecord, target: str, direction: str) -> str:
    named = {name for name, facts in record.attacks.items() if facts.get("direction") == direction}
    if not named:
        return "the run has no attack in this direction"
    for notice in (*record.not_assessed, *record.errors):
        concerned = named_attacks(record, notice) or {*record.scenarios.get(notice.scenario, {}).get("attacks", ())}
        if notice.target in ("", target) and concerned & named:
            return notice.why
    return "no figure was recorded for this target"
