"""What texts look like to a language model that somebody holds: their states, and where they would push it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from threatloop.core.errors import InputError
from threatloop.core.service import Service
from threatloop.modality.conversation import Record
from threatloop.models.language.codecs import Tokens, padded
from threatloop.models.language.language import Language
from threatloop.models.language.scoring import LOGITS_AT_ONCE, batches, wanted_places

SKETCH = 64
"""Dimensions to which what a model got wrong is thrown, of the vocabulary's."""
Floats = npt.NDArray[np.float32]


def language_behind(service: Service) -> Language:
    """The language model of a service that its caller owns.

    Raises:
        InputError: it is none.
    """
    found = service.responder.differentiable()
    if not isinstance(found, Language):
        raise InputError(f"a model of {service.schema.kind} records is no language model")
    return found


def mean_states(language: Language, records: Sequence[Record]) -> Floats:
    """The mean of each record's last states over its tokens, float32 (n, width)."""
    tokens = _tokens(language, records)
    found = np.zeros((len(tokens), language.width), np.float32)
    with torch.inference_mode():
        for rows in batches([len(one.ids) for one in tokens]):
            ids = padded([tokens[row].ids for row in rows], language.codec.pad).to(language.device)
            lengths = torch.tensor([len(tokens[row].ids) for row in rows], device=language.device)
            inside = torch.arange(ids.shape[1], device=language.device) < lengths[:, None]
            states = language.hidden(ids).float() * inside[..., None]
            found[rows] = (states.sum(1) / lengths[:, None]).cpu().numpy()
    return found


def pushes(language: Language, records: Sequence[Record], seed: int) -> Floats:
    """Where each record pushes the last layer, unit rows (n, `SKETCH` · width); 0 for one that pushes nowhere.

    The gradient of the record's loss with respect to the last layer is a sum of outer products of what was got wrong
    (over the vocabulary) and of states; the first is thrown to `SKETCH` dimensions by random signs, which keep angles.
    As Xia, Malladi, Gururangan, Arora, Chen 2024, "LESS", arXiv 2402.04333, section 3, of the last layer alone.
    """
    tokens = _tokens(language, records)
    signs = torch.randint(0, 2, (language.codec.size, SKETCH), generator=torch.Generator().manual_seed(seed))
    thrown = (signs.float() * 2 - 1).to(language.device) / SKETCH**0.5
    found = np.zeros((len(tokens), SKETCH * language.width), np.float32)
    with torch.inference_mode():
        for rows in batches([len(one.ids) for one in tokens]):
            ids = padded([tokens[row].ids for row in rows], language.codec.pad).to(language.device)
            places = wanted_places([tokens[row] for row in rows], ids.shape[1]).to(language.device)
            states = language.hidden(ids)[:, :-1][places].float()
            wrong = _wrong(language, states, ids[:, 1:][places], thrown)
            ends = np.cumsum(places.sum(dim=1).cpu().numpy())
            for row, start, end in zip(rows, [0, *ends[:-1]], ends, strict=True):
                push = (wrong[start:end].T @ states[start:end]).flatten()
                found[row] = (push / push.norm().clamp_min(1e-12)).cpu().numpy()
    return found


def _wrong(language: Language, states: torch.Tensor, wanted: torch.Tensor, thrown: torch.Tensor) -> torch.Tensor:
    """Probabilities minus what was wanted, thrown to few dimensions, (m, `SKETCH`)."""
    step = max(1, LOGITS_AT_ONCE // language.codec.size)
    parts = [
        torch.softmax(language.project(states[at : at + step]).float(), 1) @ thrown - thrown[wanted[at : at + step]]
        for at in range(0, len(states), step)
    ]
    return torch.cat(parts) if parts else states.new_zeros((0, thrown.shape[1]))


def _tokens(language: Language, records: Sequence[Record]) -> list[Tokens]:
    """Tokens of the records, cut where the model's context ends."""
    tokens = [language.codec.tokens(record) for record in records]
    return [Tokens(one.ids[: language.context], one.counted[: language.context]) for one in tokens]
