"""A language model behind OpenAI's protocol: replies, scores of texts where it echoes them, behind a Service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
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
from threatloop.models.chat_answers import Span, all_of, counted, likeliest_in, reply_in, scores_in
from threatloop.models.remote import remote_model
from threatloop.models.wire import EndpointError, Refused, Wire

FILTERED = frozenset({"content_filter", "content_policy_violation"})
"""Words of servers that will not answer a prompt: a refusal, as if the model had made it."""
TOO_LONG = ("context_length", "maximum context", "context length", "context size", "too long")
GREETING: Chat = (Turn("user", "Say yes."),)
SENTENCE = "The sun is up."
SEEDS = 1 << 31

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Ask:
    """One question, and what is kept of its answer."""

    path: str
    body: Body
    kept: Callable[[Any], bytes]

    @property
    def key(self) -> bytes:
        return bytes.fromhex(digest_json([self.path, dict(self.body)]))


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
        for row, answer in zip(found, self._answered([self._scoring(record) for record in read(x)]), strict=True):
            scores = np.frombuffer(answer, np.float32)[: schema.width]
            row[: len(scores), 0] = scores
        return found

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `threatloop.core.service.Speaking`. A prompt that the server's own filter stops has the reply "".

        Raises:
            NotAssessable: the endpoint does not go on with such records.
            CapReached, EndpointError, InputError: as for `log_probs`.
        """
        drawn = Counter[Record]()
        asks = []
        for record in read(x):
            parameters = {self._endpoint.limit: tokens, "temperature": float(temperature)}
            if temperature and seed is not None:
                # A prompt that comes again is to be drawn anew, as from one local generator.
                parameters["seed"] = int(digest_json([seed, drawn[record]])[:15], 16) % SEEDS
                drawn[record] += 1
            asks.append(Ask(*self._question(record, parameters), _spoken(self._endpoint.place)))
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
        asks = []
        for place, record in enumerate(read(x)):
            parameters: dict[str, Any] = {**self._likeliest(record), "return_tokens_as_token_ids": True}
            if bias is not None:
                parameters["logit_bias"] = {str(token): float(by) for token, by in bias[place].items()}
            asks.append(Ask(*self._question(record, parameters), partial(_shown, end.vocabulary, end.place)))
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

    def _tried(self) -> Sequence[Offer]:
        """What it offers: asked with all that could be granted, then with less."""
        found, refused = list[Offer](), list[EndpointError]()
        one = {self._endpoint.limit: 1, "temperature": 0.0}
        trials: tuple[tuple[Record, Offer], ...] = ((GREETING, CHAT), (SENTENCE, COMPLETIONS))
        for greeting, offer in trials:
            path, body = self._spelled(greeting, {**one, **self._likeliest(greeting)})
            answered = self._tentative(path, body, refused)
            if answered is not None and likeliest_in(answered):
                found.append(LOGPROBS)
            elif answered is None:
                answered = self._tentative(*self._spelled(greeting, one), refused)
            if answered is not None:
                reply_in(answered, self._endpoint.place)
                found.append(offer)
        if not found:
            raise refused[0]
        if COMPLETIONS in found:
            ask = self._scoring(SENTENCE)
            answered = self._tentative(ask.path, ask.body, refused)
            # Many servers answer such a question without the scores.
            with suppress(EndpointError):
                found += [ECHO] if answered is not None and ask.kept(answered) else []
        return found

    def _greet(self, offers: Sequence[Offer]) -> None:
        """Ask one thing of what the spec says is offered."""
        greeting = GREETING if CHAT in offers else SENTENCE
        path, body = self._spelled(greeting, {self._endpoint.limit: 1, "temperature": 0.0})
        reply_in(self._wire.json("POST", f"{self._endpoint.place}{path}", dict(body)), self._endpoint.place)

    def _tentative(self, path: str, body: Body, refused: list[EndpointError]) -> Any:
        """The answer, or None where the server refuses such a request."""
        try:
            return self._wire.json("POST", f"{self._endpoint.place}{path}", dict(body))
        except Refused as error:
            if error.status in (401, 403) or 300 <= error.status < 400:
                raise
            refused.append(error)
            return None

    def _need(self, offer: Offer, what: str) -> None:
        offers = self._endpoint.offers
        if offers is not None and offer not in offers:
            raise NotAssessable(f"needs {what}")

    def _question(self, record: Record, parameters: Body) -> tuple[str, Body]:
        document = isinstance(record, str)
        what = "an endpoint that goes on with raw text (completions)" if document else "an endpoint that chats"
        self._need(COMPLETIONS if document else CHAT, what)
        return self._spelled(record, parameters)

    def _spelled(self, record: Record, parameters: Body) -> tuple[str, Body]:
        if isinstance(record, str):
            renamed = {"max_tokens" if name == self._endpoint.limit else name: v for name, v in parameters.items()}
            return "/completions", {"model": self._endpoint.model, "prompt": record, **renamed}
        messages = [{"role": turn.role, "content": turn.content} for turn in record]
        return "/chat/completions", {"model": self._endpoint.model, "messages": messages, **parameters}

    def _likeliest(self, record: Record) -> dict[str, Any]:
        """Parameters that ask for the likeliest next tokens."""
        most, one = self._endpoint.top_logprobs, {self._endpoint.limit: 1, "temperature": 0.0}
        shown = {"logprobs": most} if isinstance(record, str) else {"logprobs": True, "top_logprobs": most}
        return {**one, **shown}

    def _scoring(self, record: Record) -> Ask:
        """A text to be echoed with its scores; one more token is written, since servers refuse none."""
        text, spans = self._rendered(record)
        body = {"model": self._endpoint.model, "prompt": text, "max_tokens": 1, "temperature": 0.0}
        kept = partial(_scored, text, spans, self._endpoint.place)
        return Ask("/completions", {**body, "logprobs": 1, "echo": True}, kept)

    def _rendered(self, record: Record) -> tuple[str, list[Span] | None]:
        """A record as raw text, and where the assistant speaks in it; a document counts as a whole."""
        if isinstance(record, str):
            return record, None
        text, spans = "", list[Span]()
        for turn in record:
            written: str | None = getattr(self._endpoint.turns, turn.role, None)
            if written is None:
                raise NotAssessable(
                    "conversations are scored as raw text, and the endpoint's `turns` do not say how its model writes "
                    f"one of the role {turn.role}"
                )
            before, _, behind = written.partition("{}")
            start = len(text) + len(before)
            if turn.role == "assistant":
                spans.append(Span(start, start + len(turn.content)))
            text += before + turn.content + behind
        return text, spans

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
        where = f"{self._endpoint.place}{ask.path}"
        try:
            answered = self._wire.json("POST", where, dict(ask.body))
        except Refused as error:
            if error.code.lower() in FILTERED and ask.path.startswith("/chat"):
                answered = {"choices": [{"text": ""}]}
            elif any(words in error.said for words in TOO_LONG):
                raise EndpointError(
                    f"{where}: a text is longer than the model reads; cut the data's texts, or bring others"
                ) from None
            else:
                raise
        kept = ask.kept(answered)
        self._wire.answers.keep([key], [kept])
        return kept


def _spoken(where: str) -> Callable[[Any], bytes]:
    return lambda answered: reply_in(answered, where).encode()


def _shown(vocabulary: int, where: str, answered: Any) -> bytes:
    return all_of(likeliest_in(answered), vocabulary, where).tobytes()


def _scored(text: str, spans: Sequence[Span] | None, where: str, answered: Any) -> bytes:
    return counted(*scores_in(answered, text, where), spans).tobytes()
