"""What attacks on written marks share: an author of the attacker's own, and texts in the author's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.text_mark import language_behind, start_of
from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.modality.conversation import Record, read, replied, write
from threatloop.models.language.bases import ADAPTED
from threatloop.models.language.codecs import Codec, Tokens
from threatloop.models.language.language import Language
from threatloop.models.language.loading import LANGUAGES


def author_of(training: Training, held: Dataset, streams: Streams) -> Language:
    """What somebody writes with who holds these records: the public base model, or a model trained on them.

    Raises:
        NotAssessable: a model of this architecture writes no text.
    """
    name = training.architecture.name
    if name not in LANGUAGES:
        raise NotAssessable(f"a model of the architecture {name} writes no text")
    model = Model(training.architecture, held.schema, {}) if name == ADAPTED else training.fit(held, streams)
    return language_behind(training.serve(model).responder)


@dataclass
class Draft:
    """A record that is being rewritten.

    Attributes:
        record: as it was.
        ids: its tokens so far.
        start: the first that may change; 0 where none may.
        free: which of them may change, bool.
    """

    record: Record
    ids: list[int]
    start: int
    free: npt.NDArray[np.bool_]

    def text(self, codec: Codec) -> str:
        """What the record says by now."""
        return codec.text(self.ids if isinstance(self.record, str) else self.ids[self.start :])

    def tokens(self, first: int = 0, last: int | None = None) -> Tokens:
        """The tokens up to ``last``, of which those from ``first`` on count."""
        ids = self.ids[:last]
        return Tokens(tuple(ids), tuple(place >= max(1, first) for place in range(len(ids))))


def drafts_of(data: Dataset, language: Language) -> list[Draft]:
    """Every record; what the author cannot read whole may not change."""
    codec, found = language.codec, list[Draft]()
    for record in read(data.x):
        tokens = codec.tokens(record)
        start = start_of(record, codec, 0.0) if len(tokens.ids) <= language.context else 0
        places = zip(tokens.ids, tokens.counted, range(len(tokens.ids)), strict=True)
        free = [bool(start) and counts and place >= start and one not in codec.ends for one, counts, place in places]
        found.append(Draft(record, list(tokens.ids), start, np.array(free, np.bool_)))
    return found


def finished(data: Dataset, drafts: Sequence[Draft], codec: Codec) -> Dataset:
    """The records as the drafts have them; untouched where nothing may change."""
    assert isinstance(data.schema, TextSchema)
    width = data.schema.width
    records = [replied(one.record, one.text(codec), width) if one.free.any() else one.record for one in drafts]
    return data.with_x(write(records, width))
