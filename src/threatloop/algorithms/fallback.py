"""What attackers of scores do where a server withholds or falsifies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatloop.core.defence import Adaptation
from threatloop.core.step import Step


def with_hard_answers(
    attack: Step[Any], forms: tuple[Step[Any], ...], to: frozenset[Adaptation]
) -> tuple[Step[Any], ...]:
    """Where scores are defended, the attack with ``answers`` from labels, and as it is; elsewhere the forms.

    The second one differs from the unchanged attack where what was done to the scores can be undone.
    """
    if Adaptation.LABELS not in to:
        return forms
    hard = attack.model_copy(update={"answers": "hard"})
    return (hard,) if hard == attack else (hard, attack)


def or_from_labels(
    attack: Step[Any],
    forms: tuple[Step[Any], ...],
    to: frozenset[Adaptation],
    row: str,
    given: Mapping[str, Any] | None = None,
) -> tuple[Step[Any], ...]:
    """The forms and, where scores are defended, the attack ``row`` that asks for labels alone.

    Args:
        attack: the attack itself, whose fields the other one takes over where it has them.
        forms: of the attack.
        to: what is defended against.
        row: of the catalogue.
        given: fields of the other attack that are not taken over.
    """
    if Adaptation.LABELS not in to:
        return forms
    return (*forms, attack._as(row).model_copy(update=dict(given or {})))
