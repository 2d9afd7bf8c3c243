"""A student that learns to write as another model does: what a thief and his matched surrogate share.

They differ in one method, where the replies come from. Prompts, their order, the recipe, the number of steps and the
initial weights are the same code on the same random streams.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.distil import enough
from threatloop.core.assets import Architecture, Dataset, concatenate
from threatloop.core.attack import ModelToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema, TextSchema
from threatloop.core.service import Service
from threatloop.core.step import Workload
from threatloop.core.training import Training
from threatloop.modality.conversation import SEPARATOR, Record, Turn, prompt_of, read, reply_of, spelled, write
from threatloop.models.language.bases import ADAPTED

SHORTEST = 2
"""Characters of a document's beginning; a record has two bytes at least."""


@dataclass(frozen=True)
class Lessons:
    """What a student is taught about some prompts.

    Attributes:
        replies: the text behind each.
        following: distribution of the first token behind each, float32 (n, vocabulary), where it is known.
    """

    replies: Sequence[str]
    following: npt.NDArray[np.float32] | None = None


class TextTheft(ModelToModel):
    """A student trained on prompts and replies; subclasses say where the replies come from.

    Attributes:
        queries: asked at most, ≥ 1; never more than there are distinct prompts.
        tokens: of a reply at most, ≥ 1.
        answers: learn from ``text`` alone, or also from the ``logprobs`` of each reply's first token, which take a
            query of their own.
        architecture: of the student; None for the victim's.
        steps: least optimisation steps, ≥ 1; never fewer epochs than the victim's recipe. A student that starts from
            nothing needs the default: on 200 prompts of the stand-in, 300 and 900 steps gave agreement .24 and .45 (one
            seed). An adapter of a trained base needs fewer.
    """

    queries: int = Field(default=400, ge=1)
    tokens: int = Field(default=48, ge=1)
    answers: Literal["text", "logprobs"] = "text"
    architecture: Architecture | None = None
    steps: int = Field(default=900, ge=1)

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """A student that cannot be built, or that is another base model."""
        if self.architecture is None or schema.kind != "text":
            return []
        if self.architecture.name == ADAPTED:
            return [f"architecture: {ADAPTED} is the victim's own where it has a base model; leave it out, or take gpt"]
        from threatloop.models.build import blueprint

        try:
            blueprint(self.architecture, schema)
        except InputError as error:
            return [f"architecture: {str(error).removeprefix('architecture ')}"]
        return []

    def with_budget(self, factor: int) -> Self:
        """More queries, and as many more optimisation steps."""
        return self.model_copy(update={"queries": self.queries * factor, "steps": self.steps * factor})

    def work(self, workload: Workload) -> dict[str, float]:
        """Replies, token by token, and training on them."""
        recipe = enough(workload.recipe, self.queries, self.steps)
        return {"training_passes": float(self.queries * recipe.epochs), "scoring_passes": float(self.queries)}

    @abstractmethod
    def lessons(self, service: Service, prompts: npt.NDArray[np.uint8], own: Sequence[str], bench: Bench) -> Lessons:
        """What is taught about prompts (n, width), of which ``own`` are the attacker's own replies."""

    def steal(self, service: Service, bench: Bench) -> Service:
        """A student that its owner may use without limits.

        Raises:
            BudgetExhausted: fewer queries are left than configured; the student of those is kept as best result.
            NotAssessable: no query is left, or the student's vocabulary is not that of the answers.
            InputError: a prompt does not fit the model's context.
        """
        pool = bench.data(Resource.QUERY_POOL)
        each = 2 if self.answers == "logprobs" else 1
        asked = distinct(pool, bench.streams.numpy("queries")).take(slice(max(1, self.queries // each)))
        left = service.ledger.left
        affordable = len(asked) if left is None else left // each
        if affordable < 1:
            raise NotAssessable("the query budget leaves nothing to ask")
        clone = self._taught(service, asked.take(slice(affordable)), bench)
        bench.progress.keep(clone)
        if affordable < len(asked):
            beyond = asked.take(slice(affordable, None))
            self.lessons(service, openings(beyond.x), endings(beyond.x), bench)
        return clone

    def _taught(self, service: Service, asked: Dataset, bench: Bench) -> Service:
        training: Training = bench.resource(Resource.LIFECYCLE)
        prompts = openings(asked.x)
        found = self.lessons(service, prompts, endings(asked.x), bench)
        assert isinstance(asked.schema, TextSchema)
        pairs = zip(read(prompts), found.replies, strict=True)
        data = asked.with_x(write([joined(*pair, asked.schema.width) for pair in pairs], asked.schema.width))
        soft = None
        if found.following is not None:
            blank = np.full_like(found.following, np.nan)
            data, soft = concatenate([data, asked.with_x(prompts)]), np.concatenate([blank, found.following])
        recipe = enough(training.recipe, len(data), self.steps)
        streams = bench.streams.child("clone")
        model = training.fit(data, streams, soft_targets=soft, architecture=self.architecture, recipe=recipe)
        return training.serve(model)


def opening(record: Record) -> Record:
    """What a model is asked to go on from: a conversation up to the assistant's last turn, half of a document."""
    return record[: max(SHORTEST, len(record) // 2)] if isinstance(record, str) else prompt_of(record)


def openings(x: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """`opening` of every record, as records of the same width."""
    return write([opening(record) for record in read(x)], x.shape[1])


def endings(x: npt.NDArray[np.uint8]) -> list[str]:
    """What the records say behind their openings."""
    return [record[len(opening(record)) :] if isinstance(record, str) else reply_of(record) for record in read(x)]


def distinct(data: Dataset, rng: np.random.Generator) -> Dataset:
    """The records in random order, one for each opening: to ask the same thing twice tells nothing."""
    mixed = data.take(rng.permutation(len(data)))
    _, first = np.unique(openings(mixed.x), axis=0, return_index=True)
    return mixed.take(np.sort(first))


def joined(prompt: Record, reply: str, width: int) -> Record:
    """A prompt with its reply, cut to ``width`` bytes; what no text may hold is left out."""
    clean = reply.replace(SEPARATOR, "").replace("\0", "")
    bare: Record = prompt if isinstance(prompt, str) else (*prompt, Turn("assistant", ""))
    fits = clean.encode()[: max(0, width - len(spelled(bare).encode()))].decode(errors="ignore")
    return prompt + fits if isinstance(prompt, str) else (*prompt, Turn("assistant", fits))
