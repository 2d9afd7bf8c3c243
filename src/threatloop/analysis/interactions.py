"""The interaction matrix: how each attack or defence A changes each attack B, over paired seeds.

Declared here, and so before any run: the families are ``defence × attack`` and ``attack × attack`` on each target, of
the latter the differences from each other reference (the aimed parts, and those at matched clean accuracy), and the
defences' side effects on accuracy. The margin δ is that of B's headline metric. Differences are turned so that a
positive one is worse for the defender, whatever the metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from threatloop.analysis.arm_choice import other_arms
from threatloop.analysis.drafts import Draft, draft_of
from threatloop.analysis.effects import MIN_SEEDS, Contrast, Effect, judge_family
from threatloop.analysis.estimates import estimate
from threatloop.analysis.findings import failed_checks
from threatloop.analysis.matrix import FAMILIES, NO_ADAPTIVE, CellVerdict, Interaction, Matrix
from threatloop.analysis.pairings import REFERENCES, Pairing, both, pairings
from threatloop.analysis.side_effects import side_effects
from threatloop.analysis.two_stage import confirm
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.core.seeds import Streams
from threatloop.core.study_note import DEFENCE_FAMILY
from threatloop.numerics.intervals import Interval, seed_mean
from threatloop.numerics.undefined import Undefined


def interactions(record: RunRecord, rows: Iterable[Measurement]) -> Matrix:
    """Judge every cell of a run, each once.

    Args:
        record: its ``run.json``; its ``study`` tells which seeds screened and what was planned.
        rows: its measurements, in any order.
    """
    drafts = [draft_of(pairing, record) for pairing in pairings(record, rows)]
    streams = Streams(record.run_seed, ("analysis", "interactions"))
    aside = side_effects(record, streams)
    unusable = {(one.target, one.condition) for one in aside if not one.usable}
    cells: list[Interaction] = []
    for target in record.targets:
        for family in FAMILIES:
            found = [one for one in drafts if (one.pairing.target, one.pairing.family) == (target, family)]
            cells += _family(record, found, streams.child(target, family), unusable)
    return Matrix(tuple(cells), aside, record.study is not None)


def _family(
    record: RunRecord, drafts: Sequence[Draft], streams: Streams, unusable: set[tuple[str, str]]
) -> list[Interaction]:
    assessed = [one for one in drafts if not one.pairing.reason and one.values]
    # What cannot differ is not tested, and takes no part in the family's correction.
    certain = {one.pairing.label: _certain(one) for one in assessed if one.same >= MIN_SEEDS}
    effects = _judged([one for one in assessed if one.same < MIN_SEEDS], streams) | certain
    aside: dict[str, dict[str, Effect]] = {}
    for name in REFERENCES:
        having = [one for one in assessed if name in one.aside and one.aside[name].values]
        aside[name] = _judged(having, streams.child(name), name)
    return [
        _interaction(
            one,
            effects.get(one.pairing.label),
            {name: aside[name].get(one.pairing.label) for name in one.aside},
            streams,
            unusable,
            _suspect(record, one.pairing),
        )
        for one in drafts
    ]


def _suspect(record: RunRecord, pairing: Pairing) -> tuple[str, ...]:
    """The failed self-checks of B, with A and without."""
    scenarios = dict.fromkeys((pairing.scenario, pairing.column))
    found = [
        why
        for scenario in scenarios
        for condition in dict.fromkeys(("", pairing.condition))
        for why in failed_checks(record, pairing.target, scenario, pairing.attack, condition)
    ]
    return tuple(dict.fromkeys(found))


def _certain(draft: Draft) -> Effect:
    """The difference of a cell that cannot differ: nothing, in every seed."""
    none = Undefined("A cannot matter here, which needs no test")
    return Effect(
        draft.pairing.label, draft.same, 0.0, none, none, none, none, none, draft.pairing.frame[0], "no effect", ""
    )


def _judged(drafts: Sequence[Draft], streams: Streams, reference: str = "") -> dict[str, Effect]:
    """One family, tested once: on fresh seeds where there are two stages, else on all."""
    cells = [cell for one in drafts if (cell := one.compared(reference).cell) is not None]
    if cells:
        return confirm(cells, streams.numpy("confirm"))
    contrasts = []
    for one in drafts:
        (delta, bounds), values = one.pairing.frame, one.compared(reference).values
        contrasts.append(Contrast(one.pairing.label, tuple(values[seed] for seed in sorted(values)), delta, bounds))
    return judge_family(contrasts, streams.numpy("judge"))


def _interaction(
    draft: Draft,
    effect: Effect | None,
    aside: Mapping[str, Effect | None],
    streams: Streams,
    unusable: set[tuple[str, str]],
    suspect: tuple[str, ...],
) -> Interaction:
    pairing, choice, values = draft.pairing, draft.choice, draft.values
    (delta, bounds), unit, label = pairing.frame, pairing.note.unit, pairing.label
    pairs = both(pairing.arms.get(choice.arm, {}), pairing.offs.get(choice.off, {}))
    on, off = ({s: pairs[s][side].value or 0.0 for s in values if s in pairs} for side in (0, 1))
    verdict, why = _verdict(draft, effect)
    nothing = Undefined(why)
    tested = effect is not None and draft.same < MIN_SEEDS
    narrow = seed_mean([*values.values()], streams.numpy(f"90 {label}"), 0.9, bounds) if tested else nothing
    parts = {name: _missing(pairing, name) if found is None else found for name, found in aside.items()}
    return Interaction(
        family=pairing.family,
        target=pairing.target,
        row=pairing.row,
        column=pairing.column,
        scenario=pairing.scenario,
        condition=pairing.condition,
        step=pairing.step,
        attack=pairing.attack,
        metric=pairing.metric,
        unit=unit,
        delta=delta,
        arm=choice.arm,
        arms=tuple(pairing.arms),
        off_arm=choice.off,
        adaptive=pairing.adaptive,
        gate_on=choice.gates[0],
        gate_off=choice.gates[1],
        on=estimate(on, unit, streams, f"on {label}"),
        off=estimate(off, unit, streams, f"off {label}"),
        effect=effect or nothing,
        half_width=(narrow.high - narrow.low) / 2 if isinstance(narrow, Interval) else narrow,
        aimed=parts.get("aimed"),
        matched=parts.get("matched"),
        verdict=verdict,
        why=why,
        by_construction=draft.same >= MIN_SEEDS,
        screened=draft.screened,
        planned=draft.planned,
        tested=len(values) if draft.planned or draft.main.cell is None else 0,
        usable=(pairing.target, pairing.condition) not in unusable,
        suspect=suspect,
    )


def _missing(pairing: Pairing, reference: str) -> Undefined:
    """Why there is nothing to compare with: the first reason that a row gives."""
    reasons = (row.undefined for row in pairing.references[reference].values())
    return Undefined(next(filter(None, reasons), "no seed has this control"))


def _verdict(draft: Draft, effect: Effect | None) -> tuple[CellVerdict, str]:
    pairing = draft.pairing
    if effect is None:
        return "not assessed", pairing.reason or "no seed has B's figure both with A and without"
    if draft.same >= MIN_SEEDS:
        what = "attacks the very same model" if pairing.reads_inside else "comes to the very same outcome"
        return "no effect", f"by construction: B {what}, with the same figure in all {draft.same} seeds"
    if not draft.begun and effect.verdict == "unresolved":
        return "unresolved", "screened only so far"
    if effect.verdict == "weakens" and pairing.family == DEFENCE_FAMILY and not pairing.adaptive:
        return "unresolved", f"{NO_ADAPTIVE}: the unchanged attack is weaker ({effect.why})"
    if effect.verdict in ("weakens", "no effect") and (doubt := _doubt(draft, effect)):
        return "unresolved", doubt
    return effect.verdict, effect.why


def _doubt(draft: Draft, effect: Effect) -> str:
    """Why the verdict on the chosen arm does not hold for the worst one: it must hold for every arm by itself."""
    _, bounds = draft.pairing.frame
    for arm, values in other_arms(draft.pairing, draft.choice, draft.values).items():
        weakens = effect.verdict == "weakens"
        found = seed_mean(values, np.random.default_rng(0), 0.95 if weakens else 0.9, bounds)
        if isinstance(found, Undefined) or found.high > (0.0 if weakens else effect.delta):
            return f"{effect.verdict} in arm {draft.choice.arm}, but not shown to in arm {arm}"
    return ""
