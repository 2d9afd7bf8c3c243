"""A language model behind OpenAI's protocol: replies, scores of texts where it echoes them, behind a Service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Model
from threatloop.core.digests import digest_json
from threatloop.core.endpoint import CHAT, COMPLETIONS, ECHO, LOGPROBS, Offer, OpenAI
from threatloop.core.errors import AccessError, InputError, NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import Chat, Record, Turn, read
from threatloop.modality.text import SCORES
from threatloop.models.answers import Answers
from threatloop.models.chat_answers import likeliest_in, reply_in
from threatloop.models.chat_questions import Ask, Questions
from threatloop.models.remote import remote_model
from threatloop.models.wire import PASSING, EndpointError, Failed, Wire

FILTERED = frozenset({"content_filter", "content_policy_violation"})
"""Words of servers that will not answer a prompt: a refusal, as if the model had made it."""
TOO_LONG = ("context_length", "maximum context", "context length", "context size", "too long")
GREETING: Chat = (Turn("user", "Say yes."),)
SENTENCE = "The sun is up."
SEEDS = 1 << 31


@dataclass(frozen=True)
class RemoteChat:
    """Answers from an endpoint; the same question with the same parameters is asked once, and ever.

    Kept are replies and numbers by the digest of the question, never the question.

    Attributes:
        source: the model as `remote_model` made it.
    """

    source: Model

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Scores of the tokens that count, float32 (n, width, 3); of mean and spread over the vocabulary only NaN.

        The endpoint's own tokenizer says what a token is. See `threatloop.modality.text.SCORES`.

        Raises:
            NotAssessable: the endpoint does not score given texts, or not conversations.
            InputError: records of another width.
            CapReached: the request cap is reached.
            EndpointError: it failed after all retries, answered something else, or a text is too long for it.
        """
        schema = self.source.schema
        assert isinstance(schema, TextSchema)
        if x.shape[1:] != (schema.width,):
            raise InputError(f"a query has records of shape {x.shape[1:]}; the model reads ({schema.width},)")
        self._need(ECHO, "log-probabilities of given texts, which completions with echo and logprobs would show")
        found = np.full((len(x), schema.width, SCORES), np.nan, np.float32)
        for row, answer in zip(
            found, self._answered([self._questions.scoring(record) for record in read(x)]), strict=True
        ):
            scores = np.frombuffer(answer, np.float32)[: schema.width]
            row[: len(scores), 0] = scores
        return found

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `threatloop.core.service.Speaking`. A prompt that the server's own filter stops has the reply "".

        Raises:
            NotAssessable: the endpoint does not go on with such records.
            CapReached, EndpointError, InputError: as for `log_probs`.
        """
        ask, drawn, asks = self._questions.reply, Counter[Record](), []
        for record in read(x):
            again = None
            if temperature and seed is not None:
                # A prompt that comes again is to be drawn anew, as from one local generator.
                again = int(digest_json([seed, drawn[record]])[:15], 16) % SEEDS
                drawn[record] += 1
            asks.append(ask(record, tokens, float(temperature), again))
        return [answer.decode() for answer in self._answered(asks)]

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        """See `threatloop.core.service.Speaking`.

        Raises:
            NotAssessable: the endpoint refused logprobs, or does not show those of the whole vocabulary.
            CapReached, EndpointError, InputError: as for `log_probs`.
        """
        end = self._endpoint
        self._need(LOGPROBS, "logprobs, and the endpoint refused them")
        if end.vocabulary is None:
            raise NotAssessable(
                "needs the log-probabilities of all tokens by number; the endpoint shows the "
                f"{end.top_logprobs} likeliest by their text (say `vocabulary` where it shows all)"
            )
        biases = [None] * len(x) if bias is None else bias
        ask = self._questions.following
        asks = [ask(record, end.vocabulary, one) for record, one in zip(read(x), biases, strict=True)]
        found = [np.frombuffer(answer, np.float32) for answer in self._answered(asks)]
        return np.stack(found) if found else np.empty((0, end.vocabulary), np.float32)

    def differentiable(self) -> NoReturn:
        """Not to be had from an endpoint."""
        raise AccessError("needs gradients; an endpoint answers text and log-probabilities only")

    def model(self) -> Model:
        """Only what is known of it: an endpoint keeps its weights."""
        return self.source

    def named(self) -> Model:
        """The same model with what the endpoint offers, tried now, once: a wrong address is found before any compute.

        Raises:
            EndpointError: it cannot be reached, or neither chats nor completes.
            InputError: the data are no texts.
        """
        if not isinstance(self.source.schema, TextSchema):
            raise InputError(f"endpoint: protocol openai serves text; the data hold {self.source.schema.kind} records")
        if (offers := self._endpoint.offers) is not None:
            self._greet(offers)
            return self.source
        found = {**self._endpoint.model_dump(), "offers": self._tried()}
        return remote_model(OpenAI.model_validate(found), self.source.schema)

    @cached_property
    def _endpoint(self) -> OpenAI:
        return OpenAI.model_validate(self.source.architecture.parameters)

    @cached_property
    def _wire(self) -> Wire:
        return Wire(self._endpoint, Answers(self._endpoint))

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self._endpoint)

    def _tried(self) -> Sequence[Offer]:
        """What it offers: asked with all that could be granted, then with less."""
        found, failures, questions = list[Offer](), list[Failed](), self._questions
        trials: tuple[tuple[Record, Offer], ...] = ((GREETING, CHAT), (SENTENCE, COMPLETIONS))
        for greeting, offer in trials:
            answered = self._tentative(questions.likeliest(greeting), failures)
            if answered is not None and likeliest_in(answered):
                found.append(LOGPROBS)
            elif answered is None:
                answered = self._tentative(questions.reply(greeting, 1), failures)
            if answered is not None:
                reply_in(answered, self._endpoint.place)
                found.append(offer)
        if not found:
            raise failures[0]
        if COMPLETIONS in found:
            ask = questions.scoring(SENTENCE)
            answered = self._tentative(ask, failures)
            # Many servers answer such a question without the scores.
            with suppress(EndpointError):
                found += [ECHO] if answered is not None and ask.kept(answered) else []
        return found

    def _greet(self, offers: Sequence[Offer]) -> None:
        """Ask one thing of what the spec says is offered."""
        ask = self._questions.reply(GREETING if CHAT in offers else SENTENCE, 1)
        ask.kept(self._sent(ask))

    def _tentative(self, ask: Ask, failures: list[Failed]) -> Any:
        """The answer, or None where the server will not answer such a question: by 500, too, if it knows no better."""
        try:
            return self._sent(ask)
        except Failed as error:
            if error.status in (401, 403) or 300 <= error.status < 400 or error.status in set(PASSING) - {500}:
                raise
            failures.append(error)
            return None

    def _sent(self, ask: Ask) -> Any:
        return self._wire.json("POST", f"{self._endpoint.place}{ask.path}", dict(ask.body))

    def _need(self, offer: Offer, what: str) -> None:
        offers = self._endpoint.offers
        if offers is not None and offer not in offers:
            raise NotAssessable(f"needs {what}")

    def _answered(self, asks: Sequence[Ask]) -> list[bytes]:
        """What is kept of the answer to each: known ones from the record of answers, the others asked side by side."""
        keys = [ask.key for ask in asks]
        known = self._wire.answers.known(list(dict.fromkeys(keys)))
        fresh = {key: ask for key, ask in zip(keys, asks, strict=True) if key not in known}
        pool = ThreadPoolExecutor(self._endpoint.parallel)
        try:
            known |= dict(zip(fresh, pool.map(self._fresh, fresh, fresh.values()), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)
        return [known[key] for key in keys]

    def _fresh(self, key: bytes, ask: Ask) -> bytes:
        try:
            answered = self._sent(ask)
        except Failed as error:
            if error.code.lower() in FILTERED and ask.path.startswith("/chat"):
                answered = {"choices": [{"text": ""}]}
            elif any(words in error.said for words in TOO_LONG):
                where = f"{self._endpoint.place}{ask.path}"
                raise EndpointError(
                    f"{where}: a text is longer than the model reads; cut the data's texts, or bring others"
                ) from None
            else:
                raise
        kept = ask.kept(answered)
        self._wire.answers.keep([key], [kept])
        return kept
