"""Verdicts and the opening paragraph in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from threatloop.analysis.chains import Enablement, Gate
from threatloop.analysis.effects import ALPHA, Effect
from threatloop.analysis.findings import Figure
from threatloop.analysis.index import REFUSED
from threatloop.analysis.laps import LoopGain
from threatloop.analysis.summary import DIRECTIONS, Summary
from threatloop.core.measurement import ATTACK, WITHOUT, RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers

DIRECTION_WORDS: Final[Mapping[str, str]] = {
    "D→D": "Data → Data",
    "D→M": "Data → Model",
    "M→D": "Model → Data",
    "M→M": "Model → Model",
}


@dataclass(frozen=True)
class Words:
    """A verdict as shown: a mark that needs no colour, a phrase, and a class for the style sheet."""

    mark: str
    phrase: str
    style: str


@dataclass(frozen=True)
class Sentence:
    """A sentence that starts with a bold lead."""

    lead: str
    text: str


_OPEN: Final = {"unresolved": Words("?", "unresolved", "open"), "too few seeds": Words("?", "too few seeds", "open")}
_STOPPED: Final = Words("■", "stopped at gate", "open")
_AGAINST_BASELINE: Final = {
    "amplifies": Words("▲", "attacker gains", "gain"),
    "weakens": Words("▼", "worse than baseline", "none"),
    "no effect": Words("≈", "within ±{margin} of baseline", "none"),
}
_BETWEEN_ARMS: Final = {
    "amplifies": Words("▲", "amplifies", "gain"),
    "weakens": Words("▼", "weakens", "none"),
    "no effect": Words("≈", "no effect", "none"),
}
_DESCRIBING: Final = {
    "amplifies": Words("↑", "higher", "describe"),
    "weakens": Words("↓", "lower", "describe"),
    "no effect": Words("≈", "unchanged within ±{margin}", "describe"),
}


def against_baseline(figure: Figure) -> Words:
    """The verdict on an attack against its baseline; a failed self-check overrides it."""
    if isinstance(figure.value.mean, Undefined):
        return Words("–", "not computed", "open")
    if figure.stopped:
        return _STOPPED
    if figure.suspect:
        return Words("⚠", "attack suspect", "suspect")
    if _is_slight_gain(figure):
        return Words("△", f"gain below the margin of {figure.paired.margin:g}", "slight")
    return _words(figure.effect, _AGAINST_BASELINE, figure.paired.harm)


def _is_slight_gain(figure: Figure) -> bool:
    """A gain of the attacker that is there, though shown to be smaller than the margin: not the same as none."""
    effect, harm = figure.effect, figure.paired.harm
    if isinstance(effect, Undefined) or effect.verdict != "no effect" or isinstance(effect.q, Undefined):
        return False
    if isinstance(effect.mean, Undefined) or isinstance(effect.interval, Undefined):
        return False
    return effect.q <= ALPHA and effect.mean * harm > 0 and 0.0 not in effect.interval


def between_arms(pair: Enablement | LoopGain) -> Words:
    """The verdict on a difference between two arms of a chain, or two second laps.

    Where the gate refused both arms of a chain there are two honest victims to compare, which says nothing of the step.
    """
    if isinstance(pair, Enablement) and pair.gate_on == pair.gate_off == REFUSED:
        return _STOPPED
    return _words(pair.effect, _BETWEEN_ARMS, pair.paired.harm)


def _words(effect: Effect | Undefined, table: Mapping[str, Words], harm: int) -> Words:
    if isinstance(effect, Undefined):
        return Words("–", "not computed", "open")
    found = _OPEN.get(effect.verdict) or (table if harm else _DESCRIBING)[effect.verdict]
    return replace(found, phrase=found.phrase.replace("{margin}", f"{effect.delta:g}"))


def opening(record: RunRecord, summary: Summary) -> list[Sentence]:
    """The paragraph to forward: the worst finding per direction, what the gates did, and what is missing."""
    sentences = [Sentence("Verdict", _verdict(record, summary))]
    sentences += [_direction(record, summary, direction) for direction in DIRECTIONS]
    chains = {(f.target, f.scenario) for f in summary.figures if f.steps > 1}
    for gate in summary.gates:
        told = (gate.target, gate.scenario) in chains or gate.status != "passes"
        if gate.arm == ATTACK and gate.lap == 1 and told:
            sentences.append(_gate(record, summary, gate))
    if summary.loops:
        sentences.append(Sentence("Second lap", _loops(summary)))
    return [*sentences, Sentence("Not covered", _gaps(record, summary))]


def _verdict(record: RunRecord, summary: Summary) -> str:
    found = {d: [f for t in record.targets if (f := summary.worst(d, t))] for d in DIRECTIONS}
    gained = [d for d, figures in found.items() if any(against_baseline(f).style == "gain" for f in figures)]
    unseen = [d for d, figures in found.items() if not figures]
    if len(unseen) == len(found):
        return "none: nothing could be assessed, which says nothing about safety. Per direction, the worst figure:"
    phrases = {against_baseline(f).phrase for figures in found.values() for f in figures}
    nothing = "too few seeds for any verdict" if phrases == {"too few seeds"} else "no gain of an attacker is shown"
    of = f"the attacker gains in {len(gained)} of the four directions" if gained else nothing
    named = f" ({', '.join(DIRECTION_WORDS[d] for d in gained)})" if gained else ""
    verb = "is" if len(unseen) == 1 else "are"
    missing = f"; {len(unseen)} of {'them' if gained else 'the four directions'} {verb} not assessed at all" * bool(
        unseen
    )
    return f"{of}{named}{missing}. Per direction, the worst figure:"


def _direction(record: RunRecord, summary: Summary, direction: str) -> Sentence:
    found = [f for target in record.targets if (f := summary.worst(direction, target))]
    worst = max(found, key=_rank, default=None)
    lead = DIRECTION_WORDS[direction]
    if worst is None:
        return Sentence(lead, "not assessed.")
    others = sorted(set(record.targets) - {f.target for f in found})
    gap = f" Not assessed on {', '.join(others)}." if others else ""
    return Sentence(lead, _finding(record, worst) + gap)


def _finding(record: RunRecord, figure: Figure) -> str:
    note = record.metrics.get(figure.metric)
    title, unit = (note.title, note.unit) if note else (figure.metric, "")
    what = f"{record.attacks.get(figure.attack, {}).get('title', figure.attack)} on {figure.target}"
    if isinstance(figure.value.mean, Undefined):
        return f"{what}: {title} {figure.value.mean}."
    reached = f"{what}: {title} {numbers.with_interval(figure.value, unit)}"
    known = not isinstance(figure.baseline.mean, Undefined)
    usual = f" against {numbers.mean(figure.baseline, unit)} at baseline" if known else ""
    gate = " (the gate refused the data: this is the honest victim)" if figure.gate == REFUSED else ""
    risk = "" if isinstance(figure.risk.mean, Undefined) else f", risk {numbers.number(figure.risk.mean, 2)}"
    return f"{reached}{usual}{gate} – {against_baseline(figure).phrase}{risk}."


def _gate(record: RunRecord, summary: Summary, gate: Gate) -> Sentence:
    lead = f"“{gate.scenario}” on {gate.target}"
    if gate.status == "stopped":
        text = (
            f"stopped at gate: {gate.accepted} of {gate.n} seeds pass; what follows is shown with the oracle removal."
        )
        return Sentence(lead, text)
    text = f"the ingest gate lets {gate.accepted} of {gate.n} seeds through"
    names = record.scenarios.get(gate.scenario, {}).get("attacks", [])
    for other in summary.gates:
        if (other.target, other.scenario, other.lap) != (gate.target, gate.scenario, 1) or other.status != "stopped":
            continue
        step = other.arm.removeprefix(WITHOUT)
        if step.isdigit() and int(step) <= len(names):
            text += f"; without {names[int(step) - 1]}, {other.accepted} of {other.n}"
    return Sentence(lead, f"{text}.")


def _loops(summary: Summary) -> str:
    verdicts = [between_arms(loop).phrase for loop in summary.loops]
    gains = verdicts.count("amplifies")
    if set(verdicts) == {"too few seeds"}:
        return "whether feeding the loot back pays is open: too few seeds."
    if not gains:
        nulls = verdicts.count("no effect")
        return (
            f"feeding the loot back shows no gain in any of {len(verdicts)} comparisons ({nulls} are shown to be null)."
        )
    return f"feeding the loot back gains in {gains} of {len(verdicts)} comparisons with a control."


def _gaps(record: RunRecord, summary: Summary) -> str:
    suspects = sum(bool(figure.suspect) and figure.headline for figure in summary.figures)
    missing = sum(isinstance(figure.value.mean, Undefined) for figure in summary.figures)
    parts = [
        f"{_count(len(record.not_assessed), 'pairing')} not assessed",
        f"{_count(missing, 'figure')} not computed",
        f"{_count(len(record.errors), 'error')}",
        f"{_count(suspects, 'finding')} under suspicion because a self-check failed",
    ]
    return f"{', '.join(parts)}. What is not covered is not known to be safe."


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"


def _rank(figure: Figure) -> tuple[bool, float]:
    risk = figure.risk.mean
    return figure.gate != REFUSED, risk if not isinstance(risk, Undefined) else -1.0
