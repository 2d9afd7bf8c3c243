"""Where sentences, passages and chunks of a text lie, and where a quotation stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHORT, LONG = 120, 500
"""Characters that a passage has at least, where its paragraph has them, and at most, unless a sentence is longer."""
LONGEST_SENTENCE = 1_500
CHUNK = 4_000
"""Characters of a chunk: what a model reads at once."""
SHORTEST_QUOTE = 20
_PARAGRAPH = re.compile(r"\n[ \t]{0,99}\n\s*|\n(?=[ \t]{0,99}(?:[-*+•]|\d{1,3}[.)]|#{1,6})[ \t])")
_END = re.compile(r"[.!?…]{1,3}[\"'”’)\]]{0,4}\s{1,99}(?=[\"'“‘(\[]?[A-Z0-9])")
"""Bounded throughout: a text of dots or blanks costs no more than another."""
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|cf|vs|etc|fig|figs|eq|sec|no|dr|mr|mrs|ms|st|vol|pp|[A-Z]))\.\s*$", re.I
)


@dataclass(frozen=True)
class Span:
    """Characters ``start`` up to, not including, ``end`` of a text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]


def sentences(text: str) -> list[Span]:
    """The sentences, without the white space around them; none crosses a paragraph or exceeds 1,500 characters."""
    return [span for paragraph in _paragraphs(text) for span in _sentences(text, paragraph)]


def passages(text: str) -> list[Span]:
    """Neighbouring sentences of one paragraph, of about 120 to 500 characters together."""
    found = list[Span]()
    for paragraph in _paragraphs(text):
        held = list[Span]()
        for span in _sentences(text, paragraph):
            if held and (span.end - held[0].start > LONG or held[-1].end - held[0].start >= SHORT):
                found.append(Span(held[0].start, held[-1].end))
                held = []
            held.append(span)
        if held:
            found.append(Span(held[0].start, held[-1].end))
    return found


def chunks(text: str) -> list[Span]:
    """Neighbouring passages of at most 4,000 characters together; all text but white space is in one of them."""
    found = list[Span]()
    for span in passages(text):
        if found and span.end - found[-1].start <= CHUNK:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
    return found


def located(quote: str, text: str, within: Span) -> Span | None:
    """Where a quotation stands word for word, white space aside; None where it does not, or is too short."""
    words = quote.split()
    if len(" ".join(words)) < SHORTEST_QUOTE:
        return None
    found = re.compile(r"\s+".join(map(re.escape, words))).search(text, within.start, within.end)
    return Span(*found.span()) if found else None


def whole_sentences(span: Span, all_sentences: Sequence[Span]) -> Span:
    """The span widened to the sentences it lies in, so that no quotation leaves out a "not" in front of it."""
    touched = [one for one in all_sentences if one.start < span.end and span.start < one.end]
    return Span(min(span.start, touched[0].start), max(span.end, touched[-1].end)) if touched else span


def _paragraphs(text: str) -> Iterator[Span]:
    start = 0
    for gap in _PARAGRAPH.finditer(text):
        yield Span(start, gap.start())
        start = gap.end()
    yield Span(start, len(text))


def _sentences(text: str, paragraph: Span) -> Iterator[Span]:
    start = paragraph.start
    for end in _END.finditer(text, paragraph.start, paragraph.end):
        if not _ABBREVIATION.search(text[max(start, end.end() - 12) : end.end()]):
            yield from _pieces(text, start, end.end())
            start = end.end()
    yield from _pieces(text, start, paragraph.end)


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    """The stretch without white space around it, cut at white space where it is too long for a sentence."""
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if end - start <= LONGEST_SENTENCE:
            break
        cut = max(text.rfind(" ", start, start + LONGEST_SENTENCE), text.rfind("\n", start, start + LONGEST_SENTENCE))
        cut = cut if cut > start else start + LONGEST_SENTENCE
        yield Span(start, len(text[:cut].rstrip()) if text[cut - 1].isspace() else cut)
        start = cut
    if start < end:
        yield Span(start, end)
