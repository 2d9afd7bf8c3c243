"""Checks that an attack worked as it should: a failed one makes its finding *attack suspect*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from threatloop.core.access import Capability
from threatloop.core.catalogue import ATTACKS
from threatloop.core.measurement import ATTACK, UNBOUNDED, Measurement, Notice
from threatloop.core.metric import ONE_ANSWER
from threatloop.engine.figures import Figure
from threatloop.engine.products import Product
from threatloop.numerics.intervals import Interval, mean_t
from threatloop.scenario.build import Scenario

NO_QUERY = "membership.auc_no_query"
PLANTED = "membership.auc_planted_leak"
SHADOW_SIZE = "membership.shadow_size"
LOSSES = {"loss": "loss", "generator_loss": "loss of the generator"}
"""Notes, less their ``_first`` and ``_last``, and how a check calls them."""
WINS = 0.95
"""Of the records: a few may be of a class that the model gives to everything."""
SMALLEST_SHADOW = 0.8
"""Of the victim's training set; shadow models trained on much less show another leak than the victim's."""


def self_checks(target: str, figure: Figure, product: Product, checks: Sequence[Product]) -> list[Notice]:
    """Checks that the attack itself worked, from the notes it left; a failed one makes its finding *suspect*."""
    if figure.arm == UNBOUNDED:
        return [_unbounded(target, figure, product)]
    if figure.arm != ATTACK:
        return []
    notes = product.facts.get("notes", {})
    found = []
    for loss, what in LOSSES.items():
        first, last = notes.get(f"{loss}_first"), notes.get(f"{loss}_last")
        if first is not None and last is not None:
            found.append(
                _check(target, figure, f"{what} falls with steps", f"loss {first:.3g} → {last:.3g}", last < first)
            )
    if "gradient_nonzero" in notes:
        share = notes["gradient_nonzero"]
        found.append(_check(target, figure, "gradients not mostly zero", f"{share:.0%} of them are not", share > 0.5))
    for reading in (one for check in checks for one in check.value.readings if one.metric == PLANTED):
        why = reading.undefined or f"AUC {reading.value:.3f} for candidates that the model was made surer of"
        found.append(_check(target, figure, "a planted leak is found", why, (reading.low or 0.0) > 0.5))
    for reading in (one for check in checks for one in check.value.readings if one.metric == SHADOW_SIZE):
        ratio = reading.value or 0.0
        why = f"shadows train on {ratio:.0%} as many records as the victim"
        found.append(_check(target, figure, "shadows are as large as the victim", why, ratio >= SMALLEST_SHADOW))
    return found


def _unbounded(target: str, figure: Figure, product: Product) -> Notice:
    """With an unlimited budget the attack must win on nearly every record, of a victim that can be fooled at all."""
    reading = product.value.readings[0]
    if any(one.undefined == ONE_ANSWER for one in product.value.readings):
        return _check(target, figure, "wins without a bound", f"not computed, because {ONE_ANSWER}", None)
    why = reading.undefined or f"{reading.metric} {reading.value:.3f} on {reading.n} records, must be 1"
    return _check(target, figure, "wins without a bound", why, (reading.value or 0.0) >= WINS)


def exchangeability(rows: Sequence[Measurement]) -> list[Notice]:
    """One check per scenario over all seeds: a classifier that never asks the model must not get above .5.

    Over seeds, since one interval in twenty excludes .5 by chance alone. Below .5 is no alarm: what one half of an
    exchangeable, finite set has too much of, the other half lacks, so cross-fitting errs to that side.
    """
    places: dict[tuple[str, str], list[Measurement]] = {}
    for row in rows:
        if row.metric == NO_QUERY:
            places.setdefault((row.target, row.scenario), []).append(row)
    notices = []
    for (target, scenario), found in places.items():
        values = [row.value for row in found if row.value is not None]
        if not values:
            what = f"{found[0].attack}: split could not be checked"
            notices.append(Notice(target=target, scenario=scenario, what=what, why=found[0].undefined, passed=False))
            continue
        inside = mean_t(values) if len(values) > 1 else None
        low, high = (inside.low, inside.high) if isinstance(inside, Interval) else (found[0].low, found[0].high)
        passed = (low or 0.0) <= 0.5
        mean = sum(values) / len(values)
        why = f"AUC {mean:.3f} [{low or 0.0:.3f}, {high or 1.0:.3f}] without a query, {len(values)} seeds"
        what = f"{found[0].attack}: " + ("split is exchangeable" if passed else "split is not exchangeable")
        notices.append(Notice(target=target, scenario=scenario, what=what, why=why, passed=passed))
    return notices


def more_access_is_no_weaker(scenarios: Sequence[Scenario], rows: Sequence[Measurement]) -> list[Notice]:
    """An attack that may use gradients must not do worse than one of the same kind and bound that may not.

    One check per white-box attack, over the seeds that both have; it fails where the mean of the differences lies more
    than two of its standard errors, and more than a hundredth, on the wrong side.
    """
    single = [s for s in scenarios if len(s.steps) == 1 and hasattr(s.steps[0], "norm")]
    values: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        if row.arm == ATTACK and not row.condition and row.value is not None:
            values.setdefault((row.scenario, row.target), {}).setdefault(row.seed, row.value)
    found = []
    whites = [s for s in single if Capability.GRADIENTS in s.steps[0].required() and s.steps[0].unbounded() is not None]
    for white in whites:
        rivals = [s for s in single if Capability.GRADIENTS not in s.steps[0].required() and _same_game(s, white)]
        for target in white.targets:
            worse = [text for s in rivals if (text := _worse(values, white.name, s.name, target))]
            if rivals and (white.name, target) in values:
                name = ATTACKS.name_of(type(white.steps[0]))
                why = "; ".join(worse) or f"no worse than {', '.join(s.name for s in rivals)}"
                what = f"{name}: no weaker than without gradients"
                found.append(Notice(target=target, scenario=white.name, what=what, why=why, passed=not worse))
    return found


def _same_game(one: Scenario, other: Scenario) -> bool:
    """Graded by the same headline, within the same norm and bound."""
    a, b = one.steps[0], other.steps[0]
    bounds = [(getattr(s, "norm", None), getattr(s, "epsilon", None), s.info.metrics[:1]) for s in (a, b)]
    return bounds[0] == bounds[1]


def _worse(values: Mapping[tuple[str, str], Mapping[int, float]], white: str, black: str, target: str) -> str:
    mine, theirs = (values.get((name, target), {}) for name in (white, black))
    gaps = np.array([theirs[seed] - mine[seed] for seed in sorted(mine.keys() & theirs.keys())])
    if not len(gaps):
        return ""
    error = float(gaps.std(ddof=1)) / len(gaps) ** 0.5 if len(gaps) > 1 else 0.0
    if gaps.mean() <= max(0.01, 2 * error):
        return ""
    return f"{black} without gradients does better by {gaps.mean():.3f} over {len(gaps)} seeds"


def _check(target: str, figure: Figure, what: str, why: str, passed: bool | None) -> Notice:
    # What fails behind a defence says nothing of the attack on the target as it is.
    name = f"{figure.attack}: {what}" + (f" under {figure.condition}" if figure.condition else "")
    return Notice(target=target, scenario=figure.scenario, seed=figure.seed, what=name, why=why, passed=passed)
