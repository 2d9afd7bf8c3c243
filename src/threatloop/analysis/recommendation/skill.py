"""How often a prediction was right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatloop.numerics.undefined import Undefined


@dataclass(frozen=True)
class Skill:
    """How often a prediction of "works" was right.

    Attributes:
        accuracy: share of right predictions.
        balanced: mean of the shares among what works and what does not.
    """

    accuracy: float | Undefined
    balanced: float | Undefined


def balanced(truth: Sequence[bool], said: Sequence[bool]) -> Skill:
    """Accuracy and balanced accuracy."""
    a, b = np.array(truth, np.bool_), np.array(said, np.bool_)
    if not a.size:
        none = Undefined("no combination was decided")
        return Skill(none, none)
    right = float((a == b).mean())
    if a.all() or not a.any():
        what = "works" if a.all() else "fails"
        return Skill(right, Undefined(f"every held-out combination {what}"))
    return Skill(right, float((b[a].mean() + (~b[~a]).mean()) / 2))
