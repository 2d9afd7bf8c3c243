"""How figures are printed: as many digits as their interval supports, and never a number where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import UNIT_BOUNDS, Estimate
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined

_MINUS: Final = "−"
_MOST_DECIMALS: Final = 4
RATES: Final = frozenset(UNIT_BOUNDS)
_COARSE: Final = frozenset({"dB", "z"})
"""Units in which the second decimal never matters."""
ONE_SEED: Final = "(1 seed)"
"""In place of an interval: a longer reason in every row would hide the figures."""
_WIDE: Final = 0.05
"""Half-width from which a rate's third decimal says nothing."""


def decimals(interval: Interval | Undefined | None, unit: str = "") -> int:
    """Decimals that the interval's width supports; rates get three, or two where the interval is wide."""
    if interval is None or isinstance(interval, Undefined) or interval.high <= interval.low:
        return 3 if unit in RATES else 2
    half = (interval.high - interval.low) / 2
    if unit in RATES:
        return 2 if half > _WIDE else 3
    # Half a decade more than the first digit of the half-width, so that rounding never swallows the interval.
    return min(max(math.ceil(0.5 - math.log10(half)), 1), 1 if unit in _COARSE else _MOST_DECIMALS)


def number(value: float | Undefined, places: int = 3, signed: bool = False) -> str:
    """A plain decimal with a real minus sign; large numbers with three significant digits."""
    if isinstance(value, Undefined):
        return str(value)
    shown = f"{value:.3g}" if abs(value) >= 1e5 else f"{value:.{places}f}"
    # A rounded zero has no sign.
    if float(shown) == 0:
        shown = shown.removeprefix("-")
    elif signed and value > 0:
        shown = f"+{shown}"
    return shown.replace("-", _MINUS)


def interval(found: Interval | Undefined, places: int = 3, signed: bool = False) -> str:
    """``[low, high]``; without an interval, the reason."""
    if isinstance(found, Undefined):
        return f"no interval: {found.reason}"
    return f"[{number(found.low, places, signed)}, {number(found.high, places, signed)}]"


def mean(found: Estimate, unit: str = "") -> str:
    """The mean of an estimate."""
    return number(found.mean, decimals(found.interval, unit))


def span(found: Estimate, unit: str = "") -> str:
    """The interval of an estimate; empty where there is no mean, which then carries the reason."""
    if isinstance(found.mean, Undefined):
        return ""
    if found.n == 1 and isinstance(found.interval, Undefined):
        return ONE_SEED
    return interval(found.interval, decimals(found.interval, unit))


def with_interval(found: Estimate, unit: str = "") -> str:
    """Mean and interval in one line."""
    return f"{mean(found, unit)} {span(found, unit)}".rstrip()


def difference(effect: Effect | Undefined, unit: str = "") -> str:
    """A signed mean difference with its interval."""
    if isinstance(effect, Undefined):
        return str(effect)
    places = decimals(effect.interval, unit)
    if isinstance(effect.mean, Undefined):
        return str(effect.mean)
    if effect.n == 1 and isinstance(effect.interval, Undefined):
        return f"{number(effect.mean, places, signed=True)} {ONE_SEED}"
    return f"{number(effect.mean, places, signed=True)} {interval(effect.interval, places, signed=True)}"


def probability(value: float | Undefined) -> str:
    """A p- or q-value."""
    if isinstance(value, Undefined):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(n: int, word: str) -> str:
    """A number and its noun."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def facts(value: object) -> str:
    """A mapping in one line, its ``name`` first, without what is empty; anything else as it is."""
    if not isinstance(value, Mapping):
        return str(value)
    parts = [str(value["name"])] if "name" in value else []
    for key, held in value.items():
        if key != "name" and held not in (None, {}, [], ""):
            parts.append(f"{key.replace('_', ' ')} {facts(held)}")
    return ", ".join(parts)
