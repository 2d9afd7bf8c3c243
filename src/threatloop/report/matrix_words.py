"""Verdicts of the interaction matrix as marks, words and styles."""

from __future__ import annotations

from typing import Final

from threatloop.analysis.matrix import NO_ADAPTIVE, RESOLVED, SUSPECT, Interaction
from threatloop.numerics.undefined import Undefined
from threatloop.report.words import Words

_WORDS: Final = {
    "amplifies": Words("▲", "amplifies", "gain"),
    "weakens": Words("▼", "weakens", "none"),
    "no effect": Words("≈", "no effect", "null"),
    "unresolved": Words("?", "unresolved", "open"),
    "too few seeds": Words("?", "too few seeds", "open"),
    "not assessed": Words("–", "not assessed", "missing"),
}


PARTS: Final = {"aimed": "Aimed part", "matched": "At matched accuracy"}
"""Comparisons beside that with A's absence, and how they are headed."""


def mark(cell: Interaction) -> Words:
    """The verdict of a cell; what weakens by ruining the model is no win."""
    if cell.suspect and cell.verdict in RESOLVED:
        return Words("⚠", f"{SUSPECT}: would be {cell.verdict!r}", "suspect")
    if not cell.usable and cell.verdict == "weakens":
        return Words("✗", "weakens, but the model is not usable", "open")
    if cell.verdict == "unresolved" and cell.why.startswith(NO_ADAPTIVE):
        return Words("?", f"unresolved: {NO_ADAPTIVE}", "open")
    return _WORDS[cell.verdict]


def part_mark(cell: Interaction, reference: str) -> Words:
    """The verdict of a comparison with another reference than A's absence."""
    part = cell.part(reference)
    if part is None or isinstance(part, Undefined):
        return _WORDS["not assessed"]
    return _WORDS[part.verdict]


def legend(two_stage: bool) -> str:
    """What the marks mean, in one line."""
    seeds = "tested once on fresh seeds" if two_stage else "all seeds tested in one stage"
    return (
        "▲ A amplifies B, ▼ weakens it, ≈ shown to have no effect within ±δ, ? open, ✗ weakens but ruins the model, "
        "⚠ a self-check of the attack failed, "
        f"– not assessed; difference of harm with A on minus off, positive helps the attacker; {seeds}"
    )


def sign(cell: Interaction) -> str:
    """``plus``, ``minus`` or ``zero``: the side on which the measured difference lies."""
    if isinstance(cell.effect, Undefined) or isinstance(cell.effect.mean, Undefined) or cell.effect.mean == 0:
        return "zero"
    return "plus" if cell.effect.mean > 0 else "minus"
