"""First role: candidate tactics, techniques and procedures (TTPs) of one chunk, each with its passage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from threatloop.threats.evidence.endpoint import Endpoint
from threatloop.threats.evidence.roles.asking import Closed, question

MOST = 12
_TASK = """You extract adversary behaviour from one part of a document: tactics, techniques and procedures that the \
text says were used, demonstrated or found possible against an AI system, its data or its supply chain. For \
each, give a short name, a summary of one or two sentences, and the passage that states it, copied character \
by character from the material's field "text". Leave out general background, defences and advice. An empty \
list is a good answer where there is none."""


class Ttp(Closed):
    """A candidate, in the model's words, and the passage that it claims to have copied."""

    name: Annotated[str, Field(min_length=3, max_length=160)]
    summary: Annotated[str, Field(max_length=800)]
    passage: Annotated[str, Field(min_length=1, max_length=2_000)]


class Extracted(Closed):
    ttps: Annotated[tuple[Ttp, ...], Field(max_length=MOST)]


def extract(endpoint: Endpoint, text: str) -> tuple[Ttp, ...]:
    """Candidates in the text of a chunk; at most 12.

    Raises:
        Unanswered, Unfit: as `Endpoint.ask`.
    """
    return endpoint.ask(question(_TASK, Extracted, text=text), Extracted).ttps
