"""What a recommendation says, and what a user asks of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threatloop.analysis.recommendation.front import Limits
from threatloop.analysis.recommendation.validate import Validation
from threatloop.core.errors import InputError
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined


@dataclass(frozen=True)
class Figure:
    """A prediction with what a re-audit with as many seeds would probably measure."""

    value: float | Undefined
    interval: Interval | Undefined


@dataclass(frozen=True)
class Option:
    """One set of defences.

    Attributes:
        label: its defences.
        spec: the same as a spec names them.
        measured: it was measured, not only predicted.
        risk: by direction.
        unresolved: directions in which no attacker who knows the defences was measured; the risk there is that without
            defences at least.
        score: 1 − Π(1 − risk).
        accuracy: on test records. cost, delay: seconds of training, and of answering, relative to no defence.
        regret: what the choice rests on: risks added up, and the share of the accuracy that is lost.
        usable: accuracy and cost are within the limits.
    """

    label: str
    spec: tuple[str | dict[str, Any], ...]
    measured: bool
    risk: Mapping[str, Figure]
    unresolved: tuple[str, ...]
    score: float | Undefined
    accuracy: Figure
    cost: Figure
    delay: Figure
    regret: float
    usable: bool


@dataclass(frozen=True)
class Advice:
    """What to turn on together on one target.

    Attributes:
        measured, looked_at: how many sets.
        exhaustive: all admissible sets up to ``most`` defences were looked at.
        limits: what a set must keep.
        undefended: the target as it is.
        chosen: the recommended set; may be no defence.
        front: no set is better in one respect without being worse in another; the least regret first.
        size: of the whole front, of which ``front`` lists the first.
        validations: on held-out combinations, and on held-out pairs.
        suspect: attacks whose self-check failed: their risks are lower bounds.
        missing: directions without an attack.
        better: in how many of the draws the chosen set has less regret than no defence; 1.0 is all of them.
        cloud: accuracy and mean risk of the sets that were looked at, thinned.
    """

    target: str
    seeds: int
    defences: tuple[str, ...]
    measured: int
    looked_at: int
    exhaustive: bool
    most: int
    limits: Limits
    undefended: Option
    chosen: Option
    front: tuple[Option, ...]
    size: int
    validations: tuple[Validation, ...]
    suspect: tuple[str, ...]
    missing: tuple[str, ...]
    better: float | Undefined
    cloud: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Wishes:
    """What the user asks of a set.

    Attributes:
        min_accuracy: floor, in [0, 1].
        max_cost, max_delay: seconds of training, and of answering, relative to no defence, at least 1.
        most: defences in a set; default: as many as the largest measured set has, at least two. Of larger ones the
            run has nothing to say.
    """

    min_accuracy: float | None = None
    max_cost: float | None = None
    most: int | None = None
    max_delay: float | None = None

    def __post_init__(self) -> None:
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 1:
            raise InputError(f"min-accuracy {self.min_accuracy:g}: needs a share from 0 to 1, such as 0.9")
        if self.max_cost is not None and not self.max_cost >= 1:
            raise InputError(f"max-train-cost {self.max_cost:g}: needs at least 1, the cost of no defence; such as 3x")
        if self.max_delay is not None and not self.max_delay >= 1:
            raise InputError(f"max-delay {self.max_delay:g}: needs at least 1, the delay without defences; such as 3x")
        if self.most is not None and self.most < 1:
            raise InputError(f"max-size {self.most}: needs at least 1 defence in a set")
