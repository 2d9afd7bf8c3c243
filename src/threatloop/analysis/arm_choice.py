"""Which arm of a defended attack, and which answers of the gate, a cell is about.

Risk is the larger of the unchanged and the adaptive attacker. A form that is stronger by itself owes nothing to the
defence, so that without it, too, the best form counts. The larger of several noisy means is too large, so an
arm is chosen by seeds that are not tested: by the screening seeds of a study; where all seeds make one stage, for every
seed by the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from threatloop.analysis.pairings import BySeed, Pairing, both, values_of
from threatloop.core.measurement import ATTACK

Gates = tuple[str, str]
_CONTENTS: Final = ("model", "outcome")


@dataclass(frozen=True)
class Choice:
    """What a cell compares.

    Attributes:
        arm: of the attack with A on.
        gates: the gate's answers with A on and off; seeds with others are left out.
        off: arm of the attack with A off.
    """

    arm: str
    gates: Gates = ("", "")
    off: str = ATTACK


def choose(pairing: Pairing, seeds: Collection[int]) -> Choice:
    """The arms that do most harm on these seeds, with A and without, and the commonest answers of the gate."""
    off = _worst_without(pairing, seeds)
    able = _able(pairing, off, seeds)
    if not able:
        return Choice(ATTACK, off=off)
    return max(able, key=lambda one: (np.mean(list(able[one].values())), one.arm == ATTACK))


def other_arms(pairing: Pairing, choice: Choice, seeds: Collection[int]) -> dict[str, list[float]]:
    """Harm of A in these seeds in every arm that was not chosen."""
    able = _able(pairing, choice.off, seeds)
    return {one.arm: [*values.values()] for one, values in able.items() if one.arm != choice.arm}


def differences(pairing: Pairing, choice: Choice, seeds: Collection[int]) -> dict[int, float]:
    """Harm of A on minus off in these seeds, in the chosen arms."""
    return _within(pairing, choice, seeds)


def left_out_differences(pairing: Pairing, seeds: Collection[int]) -> dict[int, float]:
    """The same where all seeds make one stage: in each seed the arms that are the worst in the others."""
    if len(pairing.arms) + len(pairing.offs) < 3 or len(seeds) < 2:
        return differences(pairing, choose(pairing, seeds), seeds)
    found: dict[int, float] = {}
    for seed in seeds:
        rest = [other for other in seeds if other != seed]
        able = _able(pairing, _worst_without(pairing, rest), seeds)
        means = [
            (np.mean(known), values[seed])
            for values in able.values()
            if seed in values and (known := [value for other, value in values.items() if other != seed])
        ]
        if means:
            found[seed] = max(means)[1]
    return found


def reference_differences(pairing: Pairing, reference: str, choice: Choice, seeds: Collection[int]) -> dict[int, float]:
    """Harm of A minus that of another reference than its absence, by name."""
    on, off = pairing.arms.get(choice.arm, {}), pairing.references.get(reference, {})
    return _only(pairing.harms(on, off, _side(on, off, seeds)), seeds)


def same_by_construction(pairing: Pairing, choice: Choice) -> int:
    """Seeds in which A cannot have mattered, if that is all of them, else 0.

    The figure is the same to the last digit, and either the attack read the very same model past whatever A put in
    front of it, or the graded artefact is the very same. The latter alone shows nothing where a figure hardly varies
    over seeds – at its bound an outcome would be the same under many a defence that does act – unless the figure
    follows from labels that whatever stands in front keeps.
    """
    pairs = both(pairing.arms.get(choice.arm, {}), pairing.offs.get(choice.off, {}))
    if not pairs or any(a.value != b.value for a, b in pairs.values()):
        return 0
    model, outcome = (all(_same(getattr(a, what), getattr(b, what)) for a, b in pairs.values()) for what in _CONTENTS)
    commonest = Counter(a.value for a, _ in pairs.values()).most_common(1)[0][1]
    # Behind a first step it reads what that made, which is not the victim.
    kept = all(a.by_labels and b.by_labels for a, b in pairs.values())
    certain = (model and pairing.reads_inside and pairing.step == 1) or (
        outcome and (kept or 2 * commonest <= len(pairs))
    )
    return len(pairs) if certain else 0


def _same(on: str, off: str) -> bool:
    return bool(on) and on == off


def _worst_without(pairing: Pairing, seeds: Collection[int]) -> str:
    """The form that does most harm where A is off: who knows none of the defences may still use it."""
    known = {arm: [v for s, v in values_of(rows).items() if s in seeds] for arm, rows in pairing.offs.items()}
    most = max(map(len, known.values()), default=0)
    able = {arm: pairing.harm * float(np.mean(values)) for arm, values in known.items() if 2 * len(values) > most}
    return max(able, key=lambda arm: (able[arm], arm == ATTACK), default=ATTACK)


def _able(pairing: Pairing, off: str, seeds: Collection[int]) -> dict[Choice, dict[int, float]]:
    """Harm by arm and seed. An arm that most seeds could not compute has nothing to say beside the others."""
    without = pairing.offs.get(off, {})
    choices = [Choice(arm, _side(rows, without, seeds), off) for arm, rows in pairing.arms.items()]
    found = {one: _within(pairing, one, seeds) for one in choices}
    most = max(map(len, found.values()), default=0)
    return {one: values for one, values in found.items() if values and 2 * len(values) > most}


def _within(pairing: Pairing, choice: Choice, seeds: Collection[int]) -> dict[int, float]:
    on, off = pairing.arms.get(choice.arm, {}), pairing.offs.get(choice.off, {})
    return _only(pairing.harms(on, off, choice.gates), seeds)


def _only(values: Mapping[int, float], seeds: Collection[int]) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if seed in seeds}


def _side(on: BySeed, off: BySeed, seeds: Collection[int]) -> Gates:
    answers = Counter((a.gate, b.gate) for seed, (a, b) in both(on, off).items() if seed in seeds)
    return min(answers, key=lambda pair: (-answers[pair], pair), default=("", ""))
