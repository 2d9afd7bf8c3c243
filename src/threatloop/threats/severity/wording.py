"""Descriptions without the phrases that give a severity away."""

from __future__ import annotations

import re

MOST = 20_000
"""Characters of a description that are read."""
_LEVEL = r"(?:critical|high|medium|moderate|low|important|severe|minor|major)"
_MATTER = r"(?:severity|severities|impact|risk|rating|rated|priority|score)"
LEAKS: tuple[tuple[str, str], ...] = (
    ("CVSS vectors", r"(?:CVSS:\d(?:\.\d)?/)?\(?\bAV:[NALP](?:/[A-Za-z]{1,3}:[A-Za-z]{1,2})+\)?"),
    (
        "CVSS scores",
        r"\bCVSS(?:[ -]?v?\d(?:\.\d)?)?(?:\s+(?:base|temporal|vector|score|rating|of|is))*[\s:=]*\d{0,2}(?:\.\d)?",
    ),
    (
        "base scores",
        r"\b(?:base|temporal|environmental|severity|impact|exploitability)\s+(?:sub)?scores?"
        r"(?:\s+(?:of|is))?[\s:=]*(?:\d{1,2}(?:\.\d)?)?",
    ),
    ("levels before a matter", rf"\b{_LEVEL}(?:\s+to\s+{_LEVEL})?[\s-]+(?:security[\s-]+)?{_MATTER}\b"),
    (
        "levels after a matter",
        rf"\b(?:security\s+)?{_MATTER}\b(?:\s+(?:level|issue|is|was|as|of|to|be|been|considered|assessed|set|rated))*[\s:=(]*\b{_LEVEL}\b",
    ),
    ("words of severity", r"\b(?:critical(?:ly|ity)?|severe(?:ly|st)?|severity|severities|catastrophic(?:ally)?)\b"),
    ("names of the scale", r"\b(?:CVSS\w*|NVD)\b"),
)
"""What is taken out, by kind, in this order."""
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in LEAKS)


def without_severity(text: str) -> str:
    """The first `MOST` characters with every phrase of `LEAKS` replaced by a space, and runs of spaces made one."""
    text = " ".join(text[:MOST].split())
    for _, pattern in _PATTERNS:
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def leaks_in(text: str) -> tuple[str, ...]:
    """Kinds of `LEAKS` that a text has."""
    return tuple(name for name, pattern in _PATTERNS if pattern.search(text[:MOST]))
