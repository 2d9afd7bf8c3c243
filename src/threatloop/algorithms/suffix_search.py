"""Greedy coordinate gradient: the suffix behind a question that makes a wanted beginning of the reply likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from threatloop.core.errors import NotAssessable
from threatloop.modality.conversation import Chat, Turn
from threatloop.models.language.language import Language

FILLER = " !"
OTHER = " x"
ASKED_EVERY = 25
"""Steps after which the victim is asked though the target is not yet what it would say."""
EXACT = 4
"""Candidates that are read in full precision after a first look."""
TOKENS_AT_ONCE = 4096
"""Of candidates: the usual 64 of them are read in one go."""
PATIENCE = 5
"""Steps between two questions where the target is what it would say, and the reply is no answer."""


@dataclass(frozen=True)
class Frame:
    """A prompt with a gap for the suffix, as tokens.

    Attributes:
        chat: the question.
        before, after: what stands around the suffix.
        target: how the reply should begin.
    """

    chat: Chat
    before: tuple[int, ...]
    after: tuple[int, ...]
    target: tuple[int, ...]

    @classmethod
    def of(cls, language: Language, chat: Chat, target: str) -> Frame:
        """The frame of a question.

        Raises:
            NotAssessable: the tokenizer leaves no place for a suffix, or the target says nothing.
        """
        one, other = (language.codec.prompt(ended(chat, filler * 4)) for filler in (FILLER, OTHER))
        head = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        tail = next((i for i, (a, b) in enumerate(zip(one[::-1], other[::-1], strict=False)) if a != b), 0)
        # Where blanks are tokens of their own, the first one belongs to the suffix.
        if language.codec.text(one[head - 1 : head]) == FILLER[0]:
            head -= 1
        aim = language.codec.prompt(target)
        if not head or not aim:
            raise NotAssessable("the tokenizer leaves no place for a suffix, or the target has no tokens")
        return cls(chat, tuple(one[:head]), tuple(one[len(one) - tail :]), tuple(aim))

    def room(self, context: int, length: int, tokens: int) -> int:
        """Tokens of a suffix: ``length``, or what the context leaves beside a reply, if need be of the target alone.

        Raises:
            NotAssessable: nothing is left.
        """
        left = context - len(self.before) - len(self.after) - len(self.target)
        if left < 1:
            raise NotAssessable(f"the model's context of {context} tokens leaves no room for a suffix")
        return min(length, max(left + len(self.target) - tokens, min(left, length) // 2, 1))


def ended(chat: Chat, suffix: str) -> Chat:
    """The conversation with a text behind its last turn."""
    return (*chat[:-1], Turn(chat[-1].role, chat[-1].content + suffix))


def allowed_tokens(language: Language) -> torch.Tensor:
    """Ids that a suffix may be made of: those that say printable ASCII, int64 (m,)."""
    said = [language.codec.text([one]) for one in range(language.codec.size)]
    return torch.tensor([one for one, text in enumerate(said) if text and text.isascii() and text.isprintable()])


@dataclass
class SuffixSearch:
    """The search for one suffix (Zou et al. 2023, arXiv 2307.15043, algorithm 1).

    Attributes:
        language: the victim.
        frame: where the suffix stands.
        allowed: ids it may be made of.
        candidates: changed suffixes that are tried in a step.
        topk: ids that the gradient proposes for each place.
        generator: of the random choice among them.
        trail: loss of the start and of the best suffix after every step.
    """

    language: Language
    frame: Frame
    allowed: torch.Tensor
    candidates: int
    topk: int
    generator: torch.Generator
    trail: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        with torch.no_grad():
            self._vectors = self.language.embed(self.allowed.to(self.language.device))

    def run(self, suffix: torch.Tensor, steps: int, answered: Callable[[torch.Tensor], bool]) -> torch.Tensor:
        """The best suffix, or the first behind which the victim answers.

        The likeliest candidate is taken even where it is worse, as in the paper; the best of all is what counts.

        Args:
            suffix: to start from, (length,).
            steps: at most.
            answered: asks the victim.
        """
        losses, hits = self.losses(suffix[None])
        best, least, asked = suffix, float(losses[0]), 0
        last: torch.Tensor | None = None
        self.trail.append(least)
        hit = bool(hits[0])
        if hit:
            last = best
            if answered(best):
                return best
        for number in range(1, steps + 1):
            tries = self._kept(self._changed(suffix, self._proposed(suffix)), suffix)
            if len(tries):
                suffix, loss, hits_now = self._likeliest(tries)
                if loss < least:
                    best, least, hit = suffix, loss, hits_now
            self.trail.append(least)
            due = number == steps or number - asked >= (PATIENCE if hit else ASKED_EVERY) or (hit and not asked)
            if due and best is not last:
                asked, last = number, best
                if answered(best):
                    break
        return best

    def _likeliest(self, tries: torch.Tensor) -> tuple[torch.Tensor, float, bool]:
        """The best of several suffixes, its loss, and whether the target is what the victim would say.

        Where the processor multiplies bfloat16 faster, a first look in it leaves a few, which are then read exactly.
        """
        if len(tries) > 2 * EXACT and self.language.rounds:
            with self.language.rounded():
                rough, _ = self.losses(tries)
            tries = tries[rough.topk(EXACT, largest=False).indices.sort().values]
        losses, hits = self.losses(tries)
        place = int(losses.argmin())
        return tries[place], float(losses[place]), bool(hits[place])

    def losses(self, suffixes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean negative log-likelihood of the target behind each suffix (n, length), float32 (n,); and whether every
        token of it is the likeliest, bool (n,).

        All share what stands before the suffix, which the model reads once; the output layer sees the places of the
        target alone.
        """
        tail = torch.tensor([*self.frame.after, *self.frame.target], dtype=torch.int64)
        rows = torch.cat([suffixes.cpu(), tail.expand(len(suffixes), -1)], 1)
        step = max(1, TOKENS_AT_ONCE // rows.shape[1])
        with torch.no_grad():
            parts = [
                self._scored(self.language.behind(self.frame.before, rows[i : i + step]))
                for i in range(0, len(rows), step)
            ]
        return torch.cat([part[0] for part in parts]).cpu(), torch.cat([part[1] for part in parts]).cpu()

    def _scored(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        aim = torch.tensor(self.frame.target, device=states.device).expand(len(states), -1)
        # A contiguous slice: gathered places cost far more on processors.
        logits = self.language.project(states[:, -aim.shape[1] - 1 : -1].contiguous()).float()
        losses = F.cross_entropy(logits.transpose(1, 2), aim, reduction="none").mean(1)
        return losses, (logits.argmax(2) == aim).all(1)

    def gradient(self, suffix: torch.Tensor) -> torch.Tensor:
        """Of the loss by the one-hot choice at every place, float32 (length, allowed): small is promising."""
        frame, device = self.frame, self.language.device
        parts = (suffix.tolist(), (*frame.after, *frame.target))
        with torch.no_grad():
            mine, behind = (self.language.embed(torch.tensor([list(part)], device=device)) for part in parts)
        with torch.enable_grad():
            mine = mine.clone().requires_grad_(True)
            loss = self._scored(self.language.hidden_of(torch.cat([mine, behind], 1), frame.before))[0].sum()
            (slope,) = torch.autograd.grad(loss, mine)
        return (slope[0] @ self._vectors.T).float().cpu()

    def _proposed(self, suffix: torch.Tensor) -> torch.Tensor:
        """For every place the positions in ``allowed`` that the gradient likes best, int64 (length, k)."""
        return (-self.gradient(suffix)).topk(min(self.topk, len(self.allowed)), dim=1).indices

    def _changed(self, suffix: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
        """Suffixes with one place changed; all places equally often, no change twice. Twice as many as are tried,

        since some do not survive as text.
        """
        length, k = best.shape
        order = torch.randperm(k, generator=self.generator)
        shift = int(torch.randint(length, (1,), generator=self.generator))
        numbers = torch.arange(min(2 * self.candidates, length * k))
        places, ranks = (numbers + shift) % length, order[(numbers // length) % k]
        tries = suffix.repeat(len(numbers), 1)
        tries[numbers, places] = self.allowed[best[places, ranks]]
        return tries[(tries != suffix).any(1)]

    def _kept(self, tries: torch.Tensor, suffix: torch.Tensor) -> torch.Tensor:
        """Those that are the same tokens again when the prompt is sent as text."""
        kept = [place for place, ids in enumerate(tries.tolist()) if self.survives(ids)][: self.candidates]
        return tries[kept] if kept else suffix[None][:0]

    def survives(self, ids: Sequence[int]) -> bool:
        """Whether a suffix's text is cut into these very tokens."""
        again = self.language.codec.prompt(ended(self.frame.chat, self.language.codec.text(ids)))
        return again == (*self.frame.before, *ids, *self.frame.after)

    def started(self, length: int) -> torch.Tensor:
        """Exclamation marks, as in the paper.

        Raises:
            NotAssessable: no suffix of one token, repeated, survives the tokenizer.
        """
        marks = self.language.codec.prompt(FILLER)
        for one in (marks[-1], *self.allowed.tolist()):
            if one in self.allowed and self.survives([one] * length):
                return torch.full((length,), one, dtype=torch.int64)
        raise NotAssessable("no suffix survives the victim's tokenizer")
