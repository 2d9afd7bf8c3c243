"""Texts and conversations: rows of bytes; a service answers scores of the tokens that a model reads in them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.modality.base import Floats, Modality
from threatloop.modality.beginnings import spoken
from threatloop.modality.conversation import prompt_of, read, row_problem, text_of
from threatloop.modality.pairs import all_pairs, write_pairs

HASHED = 512
"""Numbers that stand for the runs of characters of a text."""
SCORES = 3
"""Of every token that counts: its log-probability, and mean and standard deviation of the log-probability over all
tokens that could stand there."""


class Text(Modality[TextSchema]):
    """Documents and conversations."""

    kind = "text"

    def problems(self, data: Dataset) -> list[str]:
        """Rows that are no records (see `row_problem`), labels out of range, no records."""
        schema, x = data.schema, np.asarray(data.x)
        assert isinstance(schema, TextSchema)
        if x.dtype != np.uint8 or x.shape[1:] != (schema.width,):
            return [f"records are {x.dtype} of shape {x.shape[1:]}; the schema says uint8 ({schema.width},)"]
        if len(data) == 0:
            return ["there are no records"]
        found: dict[str, list[int]] = {}
        for place, row in enumerate(x):
            if problem := row_problem(row):
                found.setdefault(problem, []).append(place)
        lines = [f"{len(rows)} records: each {problem} (first: record {rows[0]})" for problem, rows in found.items()]
        if (bad := np.flatnonzero((data.y < 0) | (data.y >= data.n_classes))).size:
            lines.append(f"{len(bad)} labels are out of range; allowed are 0 to {data.n_classes - 1}")
        return lines

    def encode(self, x: npt.NDArray[Any], schema: TextSchema) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """The bytes, int64 (n, width)."""
        return np.asarray(x, dtype=np.int64)

    def compared(self, x: npt.NDArray[Any], schema: TextSchema) -> Floats:  # noqa: ARG002
        """What is asked, not what is answered: runs of three to five characters within words, hashed, (n, `HASHED`)."""
        from sklearn.feature_extraction.text import HashingVectorizer

        runs = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), n_features=HASHED, alternate_sign=True)
        texts = [text_of(prompt_of(record)) for record in read(x)]
        return np.asarray(runs.transform(texts).toarray(), np.float32)

    def project(self, x: npt.NDArray[Any], schema: TextSchema) -> npt.NDArray[Any]:  # noqa: ARG002
        """Not assessable: texts have no order, so there is no nearest one."""
        raise NotAssessable("texts have no order, so there is no nearest valid record")

    def losses(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """Mean negative log-likelihood per token that counts of each record, float64 (n,), ≥ 0, in nats.

        Args:
            log_probs: float32 (n, width, `SCORES`), NaN after the last token.
            data: the n records.

        Raises:
            InputError: the answers do not fit the records, or a record has no token that counts.
        """
        counted = self.counted(log_probs, data)
        scores = np.where(counted, log_probs[..., 0], 0.0).astype(np.float64)
        return np.asarray(-scores.sum(axis=1) / counted.sum(axis=1))

    def membership_signal(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """Minus the loss: the mean log-likelihood per token, float64 (n,).

        Carlini et al. 2021, "Extracting Training Data from Large Language Models", arXiv 2012.07805, section 4.2
        (perplexity).
        """
        return -self.losses(log_probs, data)

    def flattened(self, log_probs: Floats, temperature: float) -> Floats:
        """Every token so much less likely, also where the model is certain; mean and deviation are as they were."""
        found = log_probs.copy()
        found[..., 0] = np.float32(temperature) * (found[..., 0] - 1)
        return found

    def token_scores(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """See `Modality.token_scores`; float64 (n, width, `SCORES`).

        Raises:
            InputError: as for `losses`.
        """
        return np.where(self.counted(log_probs, data)[..., None], log_probs, np.nan).astype(np.float64)

    def exchanged(self, x: npt.NDArray[Any], schema: TextSchema) -> npt.NDArray[np.uint8]:
        """See `Modality.exchanged`."""
        return write_pairs([pair.exchanged for pair in all_pairs(x)], schema.width)

    def compressed(self, data: Dataset) -> npt.NDArray[np.float64]:
        """See `Modality.compressed`: a document, or what the assistant says in a conversation."""
        said = [record if isinstance(record, str) else spoken(record) for record in read(data.x)]
        return np.array([8.0 * len(zlib.compress(text.encode())) for text in said])

    def counted(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.bool_]:
        """Where the answers hold a token, bool (n, width).

        Raises:
            InputError: as for `losses`.
        """
        schema = data.schema
        assert isinstance(schema, TextSchema)
        needed = (len(data), schema.width, SCORES)
        if log_probs.shape != needed:
            raise InputError(f"answers have shape {log_probs.shape}; the records need {needed}")
        counted = ~np.isnan(log_probs[..., 0])
        if len(empty := np.flatnonzero(~counted.any(axis=1))):
            raise InputError(f"record {empty[0]} has no token that counts: nothing is said, or not by the assistant")
        return np.asarray(counted)
