"""The recommendation in words and figures, for the page and for the terminal alike."""

from __future__ import annotations

from threatloop.analysis.effects import MIN_SEEDS
from threatloop.analysis.recommendation.advice import Advice, Figure, Option
from threatloop.analysis.recommendation.skill import Skill
from threatloop.analysis.recommendation.validate import Validation
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers

OPEN = "?"
"""Behind a risk that is unresolved."""


def risk(option: Option, direction: str) -> str:
    """A risk in short; with a mark where it is unresolved."""
    found = option.risk.get(direction)
    if found is None or isinstance(found.value, Undefined):
        return "–"
    return numbers.number(found.value, 2) + OPEN * (direction in option.unresolved)


def full(found: Figure, places: int = 2) -> str:
    """A figure with its interval."""
    if isinstance(found.value, Undefined):
        return str(found.value)
    if isinstance(found.interval, Undefined):
        return f"{numbers.number(found.value, places)} (no interval)"
    return f"{numbers.number(found.value, places)} {numbers.interval(found.interval, places)}"


def short(found: Figure, places: int, suffix: str = "") -> str:
    """A figure without its interval."""
    return "–" if isinstance(found.value, Undefined) else f"{numbers.number(found.value, places)}{suffix}"


def headline(advice: Advice) -> str:
    """What to turn on, and whether that rests on enough seeds."""
    few = f"; a first look: {numbers.count(advice.seeds, 'seed')}, a verdict needs {MIN_SEEDS}"
    return _choice(advice) + few * (advice.seeds < MIN_SEEDS)


def _choice(advice: Advice) -> str:
    chosen = advice.chosen
    if not chosen.spec:
        return "no set of defences is better than none within the limits"
    how = "measured" if chosen.measured else "predicted, not measured"
    if isinstance(advice.better, Undefined):
        return f"{chosen.label} ({how})"
    share = f"better than no defence in {advice.better:.0%} of the draws"
    return f"{chosen.label} ({how}; {share})"


def details(advice: Advice) -> list[str]:
    """The recommended set figure by figure, against no defence."""
    chosen, plain = advice.chosen, advice.undefended
    lines = []
    for direction, found in chosen.risk.items():
        without = short(plain.risk[direction], 2)
        note = " – unresolved: no attacker who knows the defences was measured" * (direction in chosen.unresolved)
        lines.append(f"risk {direction} {full(found)} against {without} without{note}")
    lines.append(f"test accuracy {full(chosen.accuracy, 3)} against {short(plain.accuracy, 3)} without")
    lines.append(f"training time {full(chosen.cost)} × that without")
    if not isinstance(chosen.delay.value, Undefined):
        lines.append(f"time to answer {full(chosen.delay, 1)} × that without")
    lines += [f"{d}: not assessed" for d in advice.missing]
    lines += [f"{name}: a self-check failed, so its risk is a lower bound" for name in advice.suspect]
    return lines


def trust(found: Validation) -> str:
    """How far predictions can be trusted, in one line."""
    if not found.predictions:
        return f"held-out {found.held_out}: not validated, because {_reason(found.works)}"
    works = found.works
    share = "" if isinstance(works, Undefined) else f", {found.decided} decided, {works:.0%} of which work"
    width = "–" if isinstance(found.width, Undefined) else numbers.number(found.width, 2)
    covered = "–" if isinstance(found.covered, Undefined) else f"{found.covered:.0%}"
    return (
        f"held-out {found.held_out} ({found.combinations} sets{share}): balanced accuracy {_skill(found.model)}, "
        f"main effects only {_skill(found.main_only)}, majority class {_skill(found.majority)}, "
        f"measured on other seeds {_skill(found.measured)}; "
        f"intervals of risk {width} wide on average, {covered} of what was measured inside"
    )


def scope(advice: Advice) -> str:
    """What was looked at, in one line."""
    how = "all sets" if advice.exhaustive else "an evolutionary search"
    return (
        f"{numbers.count(advice.measured, 'set')} of {len(advice.defences)} defences measured over "
        f"{numbers.count(advice.seeds, 'seed')}; {advice.looked_at} looked at ({how} of up to {advice.most}), "
        f"{advice.size} on the front; usable from accuracy {numbers.number(advice.limits.floor, 3)}"
    )


def _skill(found: Skill) -> str:
    if isinstance(found.balanced, Undefined):
        raw = "–" if isinstance(found.accuracy, Undefined) else numbers.number(found.accuracy, 2)
        return f"not computed ({_reason(found.balanced)}; accuracy {raw})"
    return numbers.number(found.balanced, 2)


def _reason(found: float | Undefined) -> str:
    return found.reason if isinstance(found, Undefined) else ""
