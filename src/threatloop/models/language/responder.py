"""A language model on this machine behind a Service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.core.assets import Model
from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import read
from threatloop.modality.text import SCORES
from threatloop.models.device import resolve
from threatloop.models.language.language import Language
from threatloop.models.language.loading import language_of
from threatloop.models.language.scoring import batches, token_scores
from threatloop.models.language.writing import Style, check_prompts, continued


@dataclass(frozen=True)
class LanguageResponder:
    """Scores of texts, and replies.

    Attributes:
        source: the model.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        told: scores of records that were read before, float32 (width, 3) each, by the records' bytes.
    """

    source: Model
    device: str = "cpu"
    told: Mapping[bytes, npt.NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Scores of the tokens that count, float32 (n, width, 3); see `threatloop.modality.text.SCORES`.

        Raises:
            InputError: records of another width, or longer than the model's context.
        """
        schema = self.source.schema
        assert isinstance(schema, TextSchema)
        if x.shape[1:] != (schema.width,):
            raise InputError(f"a query has records of shape {x.shape[1:]}; the model reads ({schema.width},)")
        found = np.empty((*x.shape, SCORES), np.float32)
        new = np.array([record.tobytes() not in self.told for record in x], np.bool_)
        for row in np.flatnonzero(~new):
            found[row] = self.told[x[row].tobytes()]
        if new.any():
            language = self.differentiable()
            found[new] = token_scores(language, [language.codec.tokens(one) for one in read(x[new])], schema.width)
        return found

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `threatloop.core.service.Speaking`."""
        language = self.differentiable()
        prompts = [language.codec.prompt(record) for record in read(x)]
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        written = continued(language, prompts, Style(tokens, temperature), generator)
        return [language.codec.text(ids) for ids in written]

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """See `threatloop.core.service.Speaking`."""
        language = self.differentiable()
        prompts = [language.codec.prompt(record) for record in read(x)]
        check_prompts(language, prompts)
        found = np.empty((len(prompts), language.codec.size), np.float32)
        with torch.inference_mode():
            for rows in batches([len(prompt) for prompt in prompts]):
                _, logits = language.begin([prompts[row] for row in rows])
                for place, row in enumerate(rows):
                    for token, change in (bias[row] if bias else {}).items():
                        logits[place, token] += change
                found[rows] = torch.log_softmax(logits, 1).cpu().numpy()
        return found

    def differentiable(self) -> Language:
        """The language itself, frozen."""
        return language_of(self.source, resolve(self.device))

    def model(self) -> Model:
        """The weights themselves."""
        return self.source
