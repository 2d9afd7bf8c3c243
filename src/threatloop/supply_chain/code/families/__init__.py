"""The rules, one file per family."""

from __future__ import annotations

from typing import Final

from threatloop.supply_chain.code.families import execution, hub, loading, secrets, serving, training, transport
from threatloop.supply_chain.code.rule import Rule

RULES: Final[tuple[Rule, ...]] = (
    *loading.RULES,
    *hub.RULES,
    *transport.RULES,
    *serving.RULES,
    *execution.RULES,
    *training.RULES,
    *secrets.RULES,
)
BY_ID: Final = {rule.id: rule for rule in RULES}
