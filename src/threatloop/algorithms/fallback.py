"""What attackers of scores do where a server withholds or falsifies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatloop.core.attack import Step
from threatloop.core.defence import Adaptation


def with_hard_answers(
    attack: Step[Any], forms: tuple[Step[Any], ...], to: frozenset[Adaptation]
) -> tuple[Step[Any], ...]:
    """The forms of an attack with a field ``answers``, of which one learns from labels where scores are defended.

    Against serving defences every form that learns from scores is replaced by the one that learns from labels: the
    form that reads scores as they are is the unchanged attack.
    """
    if Adaptation.LABELS not in to:
        return forms
    hard = attack.model_copy(update={"answers": "hard"})
    return (hard, *(form for form in forms if getattr(form, "answers", "hard") == "hard" and form != hard))


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
