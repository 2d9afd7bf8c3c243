"""Steps of a training that is to make later tuning change less of what a language model refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from threatloop.algorithms.method import Robustness
from threatloop.algorithms.refused import affirmed, refused_of
from threatloop.algorithms.text_lessons import Lessons, Sums
from threatloop.core.assets import Dataset
from threatloop.models.language.codecs import padded
from threatloop.models.language.scoring import TOKENS_AT_ONCE, batches, wanted_places

TINY = 1e-12


@dataclass(frozen=True)
class Moved:
    """Learning from states that are moved against the model.

    Huang, Hu, Liu 2024, "Vaccine", arXiv 2402.01109, section 4.

    Attributes:
        lessons: what is learnt.
        radius: of the movement, relative to the norm of the states.
    """

    lessons: Lessons
    radius: float

    def descend(self, rows: Sequence[int], sums: Sums) -> None:
        """Add the gradient of the mean loss at the moved states of tokens, at both ends of the network."""
        lessons = self.lessons
        total = sum(sum(lessons.tokens[row].counted) for row in rows)
        if total == 0:
            return
        for part in batches([len(lessons.tokens[row].ids) for row in rows], TOKENS_AT_ONCE):
            self._descend([rows[i] for i in part], total, sums)

    def _descend(self, rows: Sequence[int], total: int, sums: Sums) -> None:
        language, tokens = self.lessons.language, [self.lessons.tokens[row] for row in rows]
        ids = padded([one.ids for one in tokens], language.codec.pad).to(language.device)
        places = wanted_places(tokens, ids.shape[1]).to(language.device)
        wanted = ids[:, 1:][places]

        def loss(
            embedded: torch.Tensor, moved: torch.Tensor | float, counts: Sums
        ) -> tuple[torch.Tensor, torch.Tensor]:
            last = language.hidden_of(embedded) + moved
            logits = language.project(last[:, :-1][places]).float()
            return self.lessons.loss_of(logits, wanted, counts) / total, last

        vectors = language.embed(ids)
        leaf = vectors.detach().requires_grad_()
        value, last = loss(leaf, 0.0, Sums())
        slopes = torch.autograd.grad(value, (leaf, last))
        first, second = (
            self.radius * state.detach().norm() * slope / (slope.norm() + TINY)
            for state, slope in zip((leaf, last), slopes, strict=True)
        )
        loss(vectors + first, second, sums)[0].backward()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Boosted:
    """Learning while a step towards answers gains little.

    Huang, Hu, Ilhan, Tekin, Liu 2024, "Booster", arXiv 2409.01586, section 3.

    Attributes:
        lessons: what is learnt.
        harm: beginnings of answers to what is refused.
        order: which of them are looked at next.
        by: radius and weight.
    """

    lessons: Lessons
    harm: Lessons
    order: Iterator[int]
    by: Robustness

    def descend(self, rows: Sequence[int], sums: Sums) -> None:
        """Add the gradient of the loss, and of what a normalised step on the harmful loss would gain."""
        learning = list(self.lessons.language.learning().values())
        if not rows:
            return
        self.lessons.descend(rows, sums)
        plain = _taken(learning)
        asked = [next(self.order) for _ in range(min(len(rows), len(self.harm.tokens)))]
        self.harm.descend(asked, Sums())
        here = _taken(learning)
        step = self.by.radius / (float(torch.stack([one.norm() for one in here]).norm()) + TINY)
        kept = [p.detach().clone() for p in learning]
        with torch.no_grad():
            for p, slope in zip(learning, here, strict=True):
                p.sub_(step * slope)
        self.harm.descend(asked, Sums())
        there = _taken(learning)
        with torch.no_grad():
            for p, before, own, near, far in zip(learning, kept, plain, here, there, strict=True):
                p.copy_(before)
                p.grad = own + self.by.weight * (near - far)


def robust(by: Robustness, lessons: Lessons, data: Dataset, rng: np.random.Generator) -> Moved | Boosted:
    """The steps of this kind of training on these records.

    Raises:
        NotAssessable: ``booster``, and nothing in the records is refused.
    """
    if by.kind == "vaccine":
        return Moved(lessons, by.radius)
    language = lessons.language
    tokens = [language.codec.tokens(record) for record in affirmed(refused_of(data, "perturbation_aware"))]
    tokens = [one for one in tokens if len(one.ids) <= language.context] or tokens[:1]
    harm = Lessons(language, tokens, 0.0)
    return Boosted(lessons, harm, _again_and_again(len(tokens), rng), by)


def _again_and_again(n: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (int(one) for one in rng.permutation(n))


def _taken(learning: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    """The gradients, which are then gone."""
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
    for p in learning:
        p.grad = None
    return found
