"""Access to a model: capabilities (a set, not a ladder), budgets and the query ledger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from threatloop.core.errors import BudgetExhausted


class Capability(StrEnum):
    """What a party may get out of a service."""

    LABELS = "labels"
    SCORES = "scores"
    LOGPROBS = "logprobs"
    TEXT = "text"
    GRADIENTS = "gradients"
    WEIGHTS = "weights"
    TUNE = "tune"


ALL_CAPABILITIES = frozenset(Capability)
BLACK_BOX = frozenset({Capability.LABELS, Capability.SCORES})


@dataclass
class Ledger:
    """Counts every record that is asked of a service and stops at the limit.

    Attributes:
        limit: the most records that may be asked, or None for no limit.
        spent: records asked so far.
    """

    limit: int | None = None
    spent: int = 0

    def charge(self, records: int) -> None:
        """Book ``records`` queries.

        Raises:
            BudgetExhausted: the limit would be passed; nothing is booked then.
        """
        if self.limit is not None and self.spent + records > self.limit:
            raise BudgetExhausted(
                f"{records} more queries would pass the limit of {self.limit} ({self.spent} are spent)"
            )
        self.spent += records

    @property
    def left(self) -> int | None:
        """Records that may still be asked; None means no limit."""
        return None if self.limit is None else self.limit - self.spent
