"""How bad an advisory is: from its CVSS vectors, else from the database's own word, else unknown."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from threatloop.supply_chain.result import Severity
from threatloop.threats.advisories import Advisory, Affected

_TYPES: Final = ("CVSS_V4", "CVSS_V3", "CVSS_V2")
"""The newest first: of several vectors the newest version's counts, as FIRST recommends."""
_WORDS: Final = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
    "none": Severity.LOW,
}


def severity_of(advisory: Advisory, affected: Affected) -> tuple[Severity, str]:
    """The severity, and what it stands on: a vector, the database's word, or why it is unknown.

    A package's own vectors count before those of the advisory.
    """
    problem = "the advisory has no CVSS vector and no rating"
    for vectors in (affected.severity, advisory.severity):
        for kind in _TYPES:
            for vector in (value for name, value in vectors if name == kind):
                rated = _rated(kind, vector)
                if rated is not None:
                    return rated, vector
                problem = f"its vector cannot be read: {vector[:80]}" if scorer() else _MISSING
    if advisory.rating in _WORDS:
        return _WORDS[advisory.rating], f"rated {advisory.rating} by its database"
    return Severity.UNKNOWN, problem


_MISSING: Final = "reading CVSS vectors needs cvss: pip install 'threatloop[scan]'"


def scorer() -> bool:
    """Whether the library that reads vectors is there."""
    try:
        import cvss  # noqa: F401
    except ImportError:
        return False
    return True


@lru_cache(maxsize=4096)
def _rated(kind: str, vector: str) -> Severity | None:
    if not scorer():
        return None
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError

    try:
        if kind == "CVSS_V4":
            return _WORDS.get(str(CVSS4(vector).severity).lower())
        found = CVSS3(vector) if kind == "CVSS_V3" else CVSS2(vector)
        return _WORDS.get(str(found.severities()[0]).lower())
    except (CVSSError, ValueError, KeyError, IndexError):
        return None


def worst(found: Iterable[tuple[Severity, str]]) -> tuple[Severity, str]:
    """The worst of those that are known, else unknown with its reason."""
    all_ = list(found)
    known = [one for one in all_ if one[0] is not Severity.UNKNOWN]
    return min(known or all_, key=lambda one: one[0].rank)
