"""The claims ledger: published interactions of attacks and defences, each with a small test of ours."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from threatloop.core.catalogue import nearest
from threatloop.core.errors import InputError
from threatloop.core.measurement import ATTACK

LEDGER: Final = "ledger.yaml"
WORST: Final = "worst"
"""In place of an arm: of the unchanged and the adaptive attacker the one who does better in the screening seeds."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Side(_Strict):
    """Where one reading stands in the table of measurements.

    Attributes:
        scenario, metric, step, condition: as in the table.
        arm: as in the table, or ``worst``.
        minus: an arm whose reading is subtracted, such as ``baseline``; empty for none.
    """

    scenario: str
    metric: str
    step: int = Field(default=1, ge=1)
    condition: str = ""
    arm: str = ATTACK
    minus: Literal["", "baseline"] = ""


class Claim(_Strict):
    """A published interaction and our test of it.

    Attributes:
        id: short name.
        claim: in a sentence.
        source, setting, reported, evidence: what was published, on what, with which figure, and how good it is.
        expected: sign of the difference measured − against, or of the correlation; 0 for a null.
        test: what ours does, in words.
        target: of the study.
        measured, against: the readings that are compared.
        correlate: or those whose ranks are correlated over the victims of all conditions.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    claim: str
    source: str
    setting: str
    reported: str
    evidence: str
    expected: Literal["+", "-", "0"]
    test: str
    target: str = "digits"
    measured: Side | None = None
    against: Side | None = None
    correlate: tuple[Side, Side] | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        paired = self.measured is not None and self.against is not None
        if paired == (self.correlate is not None):
            raise ValueError("needs both `measured` and `against`, or `correlate`")
        return self

    @property
    def sides(self) -> tuple[Side, ...]:
        """All readings that the test needs."""
        return tuple(side for side in (self.measured, self.against, *(self.correlate or ())) if side is not None)


def ledger() -> tuple[Claim, ...]:
    """The claims that ship with threatloop."""
    text = resources.files("threatloop.analysis").joinpath(LEDGER).read_text(encoding="utf-8")
    return tuple(Claim.model_validate(one) for one in yaml.safe_load(text))


def chosen(names: Sequence[str]) -> tuple[Claim, ...]:
    """The claims with these ids, in the ledger's order; all of them where no id is given.

    Raises:
        InputError: there is no such claim.
    """
    claims = ledger()
    known = [claim.id for claim in claims]
    for name in names:
        if name not in known:
            raise InputError(f"unknown claim {name!r}{nearest(name, known)}; allowed: {', '.join(known)}")
    return tuple(claim for claim in claims if not names or claim.id in names)
