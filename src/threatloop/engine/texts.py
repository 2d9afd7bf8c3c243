"""Texts for the gallery of a run folder: a few of each figure, what was said before an attack beside what is after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from threatloop.core.measurement import ATTACK, BASELINE, ORACLE, REFERENCE, WITHOUT
from threatloop.core.metric import Exchange, Graded
from threatloop.core.text_item import Said, TextItem
from threatloop.engine.facts import TargetFacts
from threatloop.engine.figures import Figure
from threatloop.engine.products import Product
from threatloop.runs.texts import passage, withheld, without_echo

GALLERY_SEED = 0
MOST_TEXTS = 6
"""Of a figure; those that the attacker wants come first, up to all but two."""

Before = Mapping[tuple[str, str, int, int, int], Mapping[int, Exchange]]
"""By target, scenario, seed, step and lap what was said where that step was replaced by its baseline, by record."""


def in_gallery(figure: Figure) -> bool:
    """Whether pictures and texts are kept: of the first seed, of the arms in which something is attacked."""
    attacked = figure.arm in (ATTACK, ORACLE) or figure.arm.startswith(REFERENCE)
    return attacked and figure.seed == GALLERY_SEED


def said_without(figures: Iterable[tuple[str, Figure]], products: Mapping[str, Product]) -> Before:
    """What models said where there was no attack."""
    found = {}
    for target, figure in figures:
        product = products.get(figure.grade.key)
        replaced = not figure.condition and figure.arm in (BASELINE, f"{WITHOUT}{figure.step}")
        if replaced and product is not None and isinstance(product.value, Graded):
            found[_place(target, figure)] = {one.record: one for one in product.value.texts}
    return found


def said_of(target: str, figure: Figure, graded: Graded, before: Before, facts: TargetFacts) -> list[TextItem]:
    """A few texts of a figure.

    What an attacker made of a sensitive question is withheld for good, in a reply that repeats it too.
    """
    known = before.get(_place(target, figure), {})
    return [
        TextItem(
            target=target,
            scenario=figure.scenario,
            arm=figure.arm,
            step=figure.step,
            lap=figure.lap,
            seed=figure.seed,
            record=one.record,
            before=_said(known[one.record], facts.sensitive) if one.record in known else None,
            after=_said(one, facts.sensitive),
            private=not facts.public,
            sensitive=facts.sensitive,
        )
        for one in _chosen(graded.texts)
    ]


def _place(target: str, figure: Figure) -> tuple[str, str, int, int, int]:
    return target, figure.scenario, figure.seed, figure.step, figure.lap


def _chosen(texts: tuple[Exchange, ...]) -> list[Exchange]:
    hits, others = [one for one in texts if one.hit], [one for one in texts if not one.hit]
    first = hits[: max(MOST_TEXTS - 2, MOST_TEXTS - len(others))]
    return [*first, *others[: MOST_TEXTS - len(first)]]


def _said(one: Exchange, sensitive: bool) -> Said:
    made = sensitive and bool(one.question) and one.prompt != one.question
    prompt = withheld(one.prompt) if made else passage(one.prompt)
    shown = without_echo(one.reply, one.prompt, one.question) if made else one.reply
    return Said(prompt=prompt, reply=passage(shown, one.reply), verdict=one.verdict)
