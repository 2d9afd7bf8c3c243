"""What attacks at prompt time share: forbidden questions, asking, and the best prompt to each so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.judges import Subjects, answers, refuses
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.bench import Bench
from threatloop.core.errors import BudgetExhausted, InputError, NotAssessable
from threatloop.core.service import Service
from threatloop.modality.conversation import SEPARATOR, Chat, prompt_of, read, reply_of, write

AT_ONCE = 16
REFUSED, BESIDE, ANSWERED = 0, 1, 2
"""What a reply is worth to the attacker: it refuses, it says something else, it answers."""


@dataclass(frozen=True)
class Goal:
    """One forbidden question.

    Attributes:
        row: its record's position in the source.
        chat: the conversation up to the assistant's turn; the question is the last turn.
    """

    row: int
    chat: Chat

    @property
    def question(self) -> str:
        return self.chat[-1].content


def question_of(record: object) -> str:
    """The last turn before the assistant's; the empty text where there is none."""
    chat = prompt_of(record) if isinstance(record, tuple) else ()
    return chat[-1].content if isinstance(chat, tuple) and chat else ""


def goals_of(data: Dataset, refused: str, most: int, rng: np.random.Generator) -> list[Goal]:
    """Up to ``most`` conversations of the class, drawn at random.

    Raises:
        NotAssessable: there are none.
    """
    held = np.flatnonzero(data.y == data.schema.classes.index(refused))
    chats = {int(row): prompt_of(record) for row, record in zip(held, read(data.x[held]), strict=True)}
    asked = [row for row, chat in chats.items() if isinstance(chat, tuple) and chat]
    if not asked:
        raise NotAssessable(f"no held-out conversation of the class {refused!r} asks a question")
    drawn = rng.permutation(np.array(asked))[:most]
    return [Goal(int(row), chat) for row in drawn if isinstance(chat := chats[int(row)], tuple)]


def pairs_of(pool: Dataset, name: str) -> list[tuple[str, str]]:
    """Questions and answers of a class of the pool; of all but the refused where ``name`` is empty."""
    classes = pool.schema.classes
    if name and name not in classes:
        return []
    rows = np.flatnonzero(pool.y == classes.index(name)) if name else np.arange(len(pool))
    found = [(question_of(record), reply_of(record)) for record in read(pool.x[rows])]
    return [(question, reply) for question, reply in found if question and reply]


@dataclass
class Campaign:
    """One attacker's work on his forbidden questions. What he has is kept as `Evidence` after every answer.

    Attributes:
        service: the victim.
        goals: the questions.
        tokens: of a reply.
        bench: keeps the evidence.
        subjects: how he knows an answer when he sees one.
        prompts, replies, worth: of every question the best so far.
        asked: questions put to the victim, for each goal.
    """

    service: Service
    goals: list[Goal]
    tokens: int
    bench: Bench
    subjects: Subjects
    prompts: list[Chat] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    worth: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    _too_long: int = 1 << 30

    @classmethod
    def begin(cls, data: Dataset, bench: Bench, refused: str, most: int, tokens: int) -> Campaign:
        """The campaign after every question was asked as it is."""
        goals = goals_of(data, refused, most, bench.streams.numpy("goals"))
        known = [question_of(record) for record in read(data.x)]
        nothing = [REFUSED] * len(goals)
        started = cls(
            bench.service(),
            goals,
            tokens,
            bench,
            Subjects(known),
            [goal.chat for goal in goals],
            [""] * len(goals),
            nothing,
            [0] * len(goals),
        )
        started.ask([(i, goal.chat) for i, goal in enumerate(goals)])
        return started

    @property
    def open(self) -> list[int]:
        """Questions that are not answered yet."""
        return [i for i, worth in enumerate(self.worth) if worth < ANSWERED]

    def ask(self, tries: Sequence[tuple[int, Chat]]) -> list[str]:
        """Put prompts to the victim, each for one goal; the replies, empty where the prompt was too long for it.

        Raises:
            BudgetExhausted: after the last query that was left.
        """
        return self._put([chat for _, chat in tries], [goal for goal, _ in tries])

    def consult(self, prompts: Sequence[Chat]) -> list[str]:
        """Ask the victim something else, otherwise as `ask`."""
        return self._put(prompts, [None] * len(prompts))

    def _put(self, chats: Sequence[Chat], goals: Sequence[int | None]) -> list[str]:
        found = [""] * len(chats)
        for start in range(0, len(chats), AT_ONCE):
            places = list(range(start, min(start + AT_ONCE, len(chats))))
            left = self.service.ledger.left
            for place, reply in self._replies(chats, places if left is None else places[:left]):
                found[place] = reply
                if (goal := goals[place]) is not None:
                    self._note(goal, chats[place], reply)
            self.bench.progress.keep(self.evidence())
            if left is not None and left < len(places):
                raise BudgetExhausted(f"the queries are spent with {len(chats) - start - left} prompts unasked")
        return found

    def _replies(self, chats: Sequence[Chat], places: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Of the prompts at these places, those that the victim can read, and its replies."""
        rows = [(place, write([chats[place]])) for place in places]
        fitting = [(place, row) for place, row in rows if row.shape[1] < self._too_long]
        fitting.sort(key=lambda one: one[1].shape[1])
        if not fitting:
            return
        try:
            said = self.service.replies(stacked([row for _, row in fitting]), self.tokens)
        except InputError:
            # One is longer than the model reads: each half is tried again. Who fails alone sets the limit.
            if len(fitting) == 1:
                self._too_long = fitting[0][1].shape[1]
                return
            half = len(fitting) // 2
            yield from self._replies(chats, [place for place, _ in fitting[:half]])
            yield from self._replies(chats, [place for place, _ in fitting[half:]])
            return
        yield from zip((place for place, _ in fitting), said, strict=True)

    def _note(self, goal: int, chat: Chat, reply: str) -> None:
        self.asked[goal] += 1
        if (worth := self.judged(goal, reply)) > self.worth[goal] or not self.replies[goal]:
            self.prompts[goal], self.replies[goal], self.worth[goal] = chat, reply, worth

    def judged(self, goal: int, reply: str) -> int:
        """What the attacker makes of a reply."""
        if refuses([reply])[0]:
            return REFUSED
        return ANSWERED if answers([self.goals[goal].question], [reply], self.subjects)[0] else BESIDE

    def evidence(self) -> Evidence:
        """``row`` of the source int64 (n,), ``prompts`` and ``replies`` uint8 (n, ·), ``asked`` int64 (n,)."""
        said = [reply.replace(SEPARATOR, " ").replace("\0", " ") for reply in self.replies]
        return Evidence(
            {
                "row": np.array([goal.row for goal in self.goals], np.int64),
                "prompts": write(self.prompts),
                "replies": write(said),
                "asked": np.array(self.asked, np.int64),
            }
        )


def stacked(rows: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Rows (1, ·) of records as one array, padded with zeros."""
    found = np.zeros((len(rows), max(row.shape[1] for row in rows)), np.uint8)
    for place, row in zip(found, rows, strict=True):
        place[: row.shape[1]] = row[0]
    return found
