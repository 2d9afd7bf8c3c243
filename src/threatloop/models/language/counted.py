"""A language model of which every text that it reads is counted, for those who hold it with a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from threatloop.models.language.language import Language, Reading


class Counted(Language):
    """Says how many texts it is about to read, then reads them.

    Args:
        inner: what reads.
        charge: called with the number of texts; what it raises ends the reading before it began.
    """

    def __init__(self, inner: Language, charge: Callable[[int], None]) -> None:
        self.codec, self.context, self.width, self.device = inner.codec, inner.context, inner.width, inner.device
        self._inner, self._charge = inner, charge

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.hidden`."""
        self._charge(len(ids))
        return self._inner.hidden(ids)

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Language.project`; free, since states were paid for."""
        return self._inner.project(hidden)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.embed`; free."""
        return self._inner.embed(ids)

    def hidden_of(self, embedded: torch.Tensor, prefix: Sequence[int] = ()) -> torch.Tensor:
        """See `Language.hidden_of`."""
        self._charge(len(embedded))
        return self._inner.hidden_of(embedded, prefix)

    def behind(self, prefix: Sequence[int], ids: torch.Tensor) -> torch.Tensor:
        """See `Language.behind`; every continuation counts."""
        self._charge(len(ids))
        return self._inner.behind(prefix, ids)

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Reading, torch.Tensor]:
        """See `Language.begin`; what is written behind a prompt counts with it."""
        self._charge(len(prompts))
        return self._inner.begin(prompts)

    def go_on(self, reading: Reading, following: Sequence[int]) -> torch.Tensor:
        """See `Language.go_on`."""
        return self._inner.go_on(reading, following)

    def learning(self) -> Mapping[str, nn.Parameter]:
        """See `Language.learning`."""
        return self._inner.learning()

    def train(self, on: bool = True) -> None:
        """See `Language.train`."""
        self._inner.train(on)
