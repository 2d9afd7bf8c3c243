"""Marks in what a language model writes: records are written anew under a key, and found again in their tokens."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.keyed_tokens import KeyedTokens, grams_of
from threatloop.algorithms.lookalikes import folded
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Detection, WrittenMark
from threatloop.core.schema import TextSchema
from threatloop.core.service import Responder
from threatloop.modality.conversation import Record, prompt_of, read, replied, said_in, spelled, write

if TYPE_CHECKING:
    from threatloop.models.language.codecs import Codec
    from threatloop.models.language.language import Language
    from threatloop.models.language.writing import Change

Floats = npt.NDArray[np.float64]


class TextMark(WrittenMark):
    """What such marks share: replies, or the rest of documents, are written anew by the owner's model.

    Every record keeps its question, or the first ``kept`` of a document's tokens, and gets as many new tokens at most
    as it had. What has no reply stays as it is. Bytes that are no text by themselves are not written, since the text
    would be read in other tokens afterwards. The detector needs text, key and tokenizer alone; it scores the
    reply, or the whole document.

    Raises:
        NotAssessable: no text, or the model writes none.
    """

    context: int = Field(default=1, ge=1, le=16, description="tokens before a token that decide its number")
    temperature: float = Field(default=1.0, gt=0, le=4, description="at which the owner's model writes")
    kept: float = Field(
        default=0.25, gt=0, lt=1, description="share of a document's tokens that stay; they are unmarked"
    )

    folds: bool = Field(default=False, description="the detector reads look-alike characters as what they look like")

    @abstractmethod
    def change(self, keyed: KeyedTokens) -> Change:
        """What happens to logits at every step; temperature is applied afterwards."""

    @abstractmethod
    def evidence(self, numbers: Floats, owners: npt.NDArray[np.int64], texts: int) -> tuple[Floats, Floats]:
        """z and p of every text (texts,) from the numbers (m,) of its tokens; 0 and 1 where it has none."""

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        """The records, written anew; drawn under the key, so that they repeat."""
        language, schema = language_behind(self.writer), _text(data)
        codec, records = language.codec, read(data.x)
        wholes = [codec.tokens(record).ids for record in records]
        starts = [start_of(record, codec, self.kept) for record in records]
        rows = [row for row, start in enumerate(starts) if 0 < start < min(len(wholes[row]), language.context)]
        room = [len(wholes[row]) - starts[row] for row in rows]
        for row, ids in zip(
            rows, self._written(language, [wholes[r][: starts[r]] for r in rows], room, key), strict=True
        ):
            before = wholes[row][: starts[row]] if isinstance(records[row], str) else ()
            records[row] = replied(records[row], codec.text([*before, *ids]), schema.width)
        return data.with_x(write(records, schema.width))

    def _written(
        self, language: Language, prompts: Sequence[Sequence[int]], room: Sequence[int], key: bytes
    ) -> list[list[int]]:
        """What the owner's model writes behind prompts, of so many tokens at most each."""
        import torch

        from threatloop.algorithms.spoken import Spoken
        from threatloop.models.language.writing import Style, continued

        if not prompts:
            return []
        marked, readable = self.change(KeyedTokens(key, self.context)), Spoken(language.codec, language.codec.ends)
        style = Style(max(room), self.temperature, change=lambda rows, logits: marked(rows, readable(rows, logits)))
        drawn = hashlib.blake2b(key, digest_size=8, person=b"text-draws").digest()
        generator = torch.Generator().manual_seed(int.from_bytes(drawn, "little") >> 1)
        found = continued(language, prompts, style, generator)
        return [ids[:most] for ids, most in zip(found, room, strict=True)]

    def detect(self, data: Dataset, key: bytes, reference: Dataset) -> Detection:
        """Evidence in the text alone; the reference is not needed."""
        return self.detect_under(data, [key], reference)[0]

    def detect_under(self, data: Dataset, keys: Sequence[bytes], reference: Dataset) -> list[Detection]:  # noqa: ARG002
        """Cut into tokens once for all keys."""
        texts, scored = self.cut(data)
        found = []
        for keyed in (KeyedTokens(key, self.context) for key in keys):
            grams = grams_of(texts, scored, keyed)
            whole = grams.together()
            z, p = self.evidence(keyed.uniforms(whole.words), whole.owners, 1)
            _, single = self.evidence(keyed.uniforms(grams.words), grams.owners, grams.texts)
            found.append(Detection(float(z[0]), float(p[0]), single))
        return found

    def cut(self, data: Dataset) -> tuple[list[Sequence[int]], list[Sequence[bool]]]:
        """The tokens of every text, and which of them are scored."""
        _text(data)
        codec = language_behind(self.writer).codec
        texts, scored = list[Sequence[int]](), list[Sequence[bool]]()
        for record in map(self._seen, read(data.x)):
            tokens, start = codec.tokens(record), 0 if isinstance(record, str) else start_of(record, codec, self.kept)
            texts.append(tokens.ids)
            scored.append([counts and place >= start for place, counts in enumerate(tokens.counted)])
        return texts, scored

    def _seen(self, record: Record) -> Record:
        """A record as the detector reads it."""
        said = said_in(record)
        return (
            replied(record, folded(said), len(said.encode()) + len(spelled(record).encode())) if self.folds else record
        )


def start_of(record: Record, codec: Codec, kept: float) -> int:
    """The token with which a reply, or the part of a document that may be written anew, begins; 0: there is none."""
    if isinstance(record, str):
        ids = codec.tokens(record).ids
        # No character is cut in two.
        whole = (n for n in range(max(1, round(kept * len(ids))), len(ids)) if record.startswith(codec.text(ids[:n])))
        return next(whole, 0)
    return len(codec.prompt(prompt_of(record))) if said_in(record) else 0


def language_behind(responder: Responder) -> Language:
    """The language that a responder asks.

    Raises:
        NotAssessable: it answers with classes.
    """
    from threatloop.models.language.language import Language

    found = responder.differentiable()
    if not isinstance(found, Language):
        raise NotAssessable("the owner's model writes no text")
    return found


def _text(data: Dataset) -> TextSchema:
    if not isinstance(data.schema, TextSchema):
        raise NotAssessable(f"a mark in what a model writes needs text; these are {data.schema.kind} records")
    return data.schema
