"""One question after the other is put to every deployment of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from threatloop.algorithms.prompt_choice import chosen
from threatloop.algorithms.prompt_questions import Question
from threatloop.algorithms.prompted import addressed
from threatloop.core.assets import Evidence
from threatloop.core.errors import BudgetExhausted, InputError, NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.core.service import Service
from threatloop.modality.conversation import Chat, read, rows_of, write


@dataclass
class Interview:
    """Questions, and what was read in reply.

    Attributes:
        service: of all deployments.
        deployments: how many there are.
        tokens: of a reply at most.
        keep: is given the evidence after every question.
        texts: of each deployment, what was read so far; "" where a reply is missing.
    """

    service: Service
    deployments: int
    tokens: int
    keep: Callable[[Evidence], None]
    texts: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.texts = [[] for _ in range(self.deployments)]

    def put(self, question: Question) -> None:
        """Ask every deployment; one that the records' width has no room for is left out.

        Raises:
            BudgetExhausted: after the last query that was left.
        """
        if not self._fits(question.chat):
            return
        replies, spent = self._ask([question.chat] * self.deployments)
        found = [question.read(reply) for reply in replies]
        if question.again is not None and spent is None:
            back = [question.again(text) if text else None for text in found]
            open_rows = [i for i, chat in enumerate(back) if chat is not None and self._fits(chat)]
            more, spent = self._ask([back[i] for i in open_rows], open_rows)  # type: ignore[misc]
            for i, reply in zip(open_rows, more, strict=True):
                found[i] = question.read(reply) if reply else found[i]
        for own, text in zip(self.texts, found, strict=True):
            own.append(text)
        self.keep(self.evidence())
        if spent is not None:
            raise spent

    def evidence(self) -> Evidence:
        """The guesses so far.

        Raises:
            NotAssessable: there was no question with room for it.
        """
        if not self.texts[0]:
            raise NotAssessable(f"no question fits records of {self._width()} bytes; give the data more `room`")
        guesses, agreement = chosen(self.texts)
        everything = [text for own in self.texts for text in own]
        return Evidence({"guess": rows_of(guesses), "agreement": agreement, "replies": rows_of(everything)})

    def _ask(
        self, chats: Sequence[Chat], places: Sequence[int] | None = None
    ) -> tuple[list[str], BudgetExhausted | None]:
        """Replies, "" where the budget ended before one; and that it ended."""
        to = range(len(chats)) if places is None else places
        left = self.service.ledger.left
        size = len(chats) if left is None else min(left, len(chats))
        found = [""] * len(chats)
        if size:
            x = write([addressed(chats[i], to[i]) for i in range(size)], self._width())
            found[:size] = self.service.replies(x, self.tokens)
        if size == len(chats):
            return found, None
        return found, BudgetExhausted(f"{len(chats) - size} more questions would pass the limit")

    def _fits(self, chat: Chat) -> bool:
        try:
            return bool(read(write([addressed(chat, self.deployments - 1)], self._width())))
        except InputError:
            return False

    def _width(self) -> int:
        schema = self.service.schema
        assert isinstance(schema, TextSchema)
        return schema.width
