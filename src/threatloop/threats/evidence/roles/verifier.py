"""Second role: whether the passage is there word for word - which we check - and states the candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from threatloop.threats.evidence.endpoint import Endpoint
from threatloop.threats.evidence.roles.asking import Closed, question
from threatloop.threats.evidence.roles.extractor import Ttp
from threatloop.threats.evidence.spans import Span, located, whole_sentences

_TASK = """You check claims against passages. The material's field "claims" is a list; each has a number, a name, a \
summary and a passage. A claim is supported only if its passage alone, read literally, states that \
behaviour; a topic in common, a plan, a denial or a piece of advice does not support it. Give a verdict for \
every number, once."""


@dataclass(frozen=True)
class Claim:
    """A candidate whose passage, widened to whole sentences, lies at ``span`` of the document's text."""

    name: str
    summary: str
    span: Span


class Verdict(Closed):
    number: int
    supported: bool


class Verdicts(Closed):
    verdicts: Annotated[tuple[Verdict, ...], Field(max_length=100)]

    @model_validator(mode="after")
    def _every_number_once(self, info: ValidationInfo) -> Self:
        if info.context is not None and sorted(one.number for one in self.verdicts) != list(range(info.context)):
            raise ValueError(f"needs one verdict for each number from 0 to {info.context - 1}")
        return self


def grounded(ttps: Sequence[Ttp], text: str, chunk: Span, sentences: Sequence[Span]) -> tuple[Claim, ...]:
    """The candidates whose passage stands in the chunk word for word, white space aside. No model has a say in this."""
    spans = [(one, located(one.passage, text, chunk)) for one in ttps]
    return tuple(Claim(one.name, one.summary, whole_sentences(span, sentences)) for one, span in spans if span)


def verify(endpoint: Endpoint, claims: Sequence[Claim], text: str) -> tuple[Claim, ...]:
    """The claims that the model finds stated by their passage, which it sees without the rest of the document.

    Raises:
        Unanswered, Unfit: as `Endpoint.ask`.
    """
    if not claims:
        return ()
    listed = [
        {"number": number, "name": one.name, "summary": one.summary, "passage": one.span.of(text)}
        for number, one in enumerate(claims)
    ]
    said = endpoint.ask(question(_TASK, Verdicts, claims=listed), Verdicts, context=len(claims))
    supported = {one.number for one in said.verdicts if one.supported}
    return tuple(one for number, one in enumerate(claims) if number in supported)
