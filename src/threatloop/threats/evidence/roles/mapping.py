"""Third role: which of the techniques that retrieval found a claim shows, or none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from threatloop.threats.evidence.endpoint import Endpoint
from threatloop.threats.evidence.mapper import Candidate
from threatloop.threats.evidence.roles.asking import Closed, question
from threatloop.threats.evidence.roles.verifier import Claim

NONE = "none"
_TASK = """You map claims to techniques of MITRE ATLAS. The material's field "claims" is a list; each has a number, a \
name, a summary, a passage and its candidates with id, name and description. For every number, once, name \
the id of the most specific of its own candidates that the passage shows, or "none" where none of them fits."""


class Mapping(Closed):
    number: int
    technique: Annotated[str, Field(max_length=40)]


class Mappings(Closed):
    mappings: Annotated[tuple[Mapping, ...], Field(max_length=100)]

    @model_validator(mode="after")
    def _only_candidates(self, info: ValidationInfo) -> Self:
        allowed: Sequence[frozenset[str]] | None = info.context
        if allowed is None:
            return self
        if sorted(one.number for one in self.mappings) != list(range(len(allowed))):
            raise ValueError(f"needs one mapping for each number from 0 to {len(allowed) - 1}")
        if wrong := [one.number for one in self.mappings if one.technique not in allowed[one.number]]:
            raise ValueError(f"number {wrong[0]} names none of its own candidates; name one of their ids, or {NONE!r}")
        return self


def map_claims(
    endpoint: Endpoint,
    claims: Sequence[Claim],
    candidates: Sequence[Sequence[Candidate]],
    descriptions: dict[str, str],
    text: str,
) -> tuple[str | None, ...]:
    """Of each claim, the id of one of its own candidates, or None.

    Raises:
        Unanswered, Unfit: as `Endpoint.ask`.
    """
    if not claims:
        return ()
    listed = [
        {
            "number": number,
            "name": claim.name,
            "summary": claim.summary,
            "passage": claim.span.of(text),
            "candidates": [
                {"id": one.technique, "name": one.name, "description": descriptions[one.technique]} for one in found
            ],
        }
        for number, (claim, found) in enumerate(zip(claims, candidates, strict=True))
    ]
    allowed = tuple(frozenset({NONE, *(one.technique for one in found)}) for found in candidates)
    said = endpoint.ask(question(_TASK, Mappings, claims=listed), Mappings, context=allowed)
    chosen = {one.number: one.technique for one in said.mappings}
    return tuple(None if chosen[number] == NONE else chosen[number] for number in range(len(claims)))
