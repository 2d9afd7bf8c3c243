"""Token sequences: int32 ids padded on the right; a service answers what comes next at every position."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import TokenSchema
from threatloop.modality.base import Floats, Modality


class Tokens(Modality[TokenSchema]):
    """Text as token ids."""

    kind = "tokens"

    def problems(self, data: Dataset) -> list[str]:
        """Ids outside the vocabulary, padding before the end, records with fewer than two tokens, no records."""
        schema, x = data.schema, np.asarray(data.x)
        assert isinstance(schema, TokenSchema)
        if x.ndim != 2 or x.shape[1] != schema.context or not np.issubdtype(x.dtype, np.integer):
            return [f"records are {x.dtype} of shape {x.shape[1:]}; the schema says integers ({schema.context},)"]
        if len(data) == 0:
            return ["there are no records"]
        real = x != schema.pad
        checks = (
            ((x < 0) | (x >= len(schema.vocabulary)), f"ids outside 0 to {len(schema.vocabulary) - 1}"),
            (~real[:, :-1] & real[:, 1:], "padding before the end"),
            (real.sum(axis=1, keepdims=True) < 2, "fewer than two tokens"),
        )
        rows = [(np.flatnonzero(bad.any(axis=1)), what) for bad, what in checks]
        return [f"{len(bad)} records have {what} (first: record {bad[0]})" for bad, what in rows if len(bad)]

    def encode(self, x: npt.NDArray[Any], schema: TokenSchema) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """int64 token ids (n, context)."""
        return np.asarray(x, dtype=np.int64)

    def project(self, x: npt.NDArray[Any], schema: TokenSchema) -> npt.NDArray[Any]:  # noqa: ARG002
        """Not assessable: ids have no order, so there is no nearest one."""
        raise NotAssessable("token ids have no order, so there is no nearest valid record")

    def losses(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """Mean negative log-likelihood per real next token of each record, float64 (n,), ≥ 0, in nats.

        The answer at position t predicts the token at t + 1; padding is not counted.

        Args:
            log_probs: float32 (n, context, vocabulary).
            data: the n records.

        Raises:
            InputError: the answers do not fit the records, or a record has no next token to predict.
        """
        schema = data.schema
        assert isinstance(schema, TokenSchema)
        if log_probs.shape != (len(data), schema.context, len(schema.vocabulary)):
            raise InputError(
                f"answers have shape {log_probs.shape}; the records need "
                f"({len(data)}, {schema.context}, {len(schema.vocabulary)})"
            )
        following = self.encode(data.x, schema)[:, 1:]
        real = following != schema.pad
        counts = real.sum(axis=1)
        if (counts == 0).any():
            raise InputError(f"record {np.flatnonzero(counts == 0)[0]} has no next token; need at least two tokens")
        scores = np.take_along_axis(log_probs[:, :-1], following[..., None], axis=2)[..., 0].astype(np.float64)
        return np.asarray(-np.where(real, scores, 0.0).sum(axis=1) / counts)

    def membership_signal(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """Minus the loss: the mean log-likelihood per real next token, float64 (n,).

        Carlini et al. 2021, "Extracting Training Data from Large Language Models", arXiv 2012.07805, section 4.2
        (perplexity).
        """
        return -self.losses(log_probs, data)
