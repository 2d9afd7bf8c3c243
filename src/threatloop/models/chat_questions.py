"""Questions to a server of OpenAI's protocol: how records and parameters are spelled, and what is kept of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from threatloop.core.digests import digest_json
from threatloop.core.endpoint import CHAT, COMPLETIONS, OpenAI
from threatloop.core.errors import NotAssessable
from threatloop.modality.conversation import Record
from threatloop.models.chat_answers import Span, all_of, counted, likeliest_in, reply_in, scores_in

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Ask:
    """One question, and what is kept of its answer."""

    path: str
    body: Parameters
    kept: Callable[[Any], bytes]

    @property
    def key(self) -> bytes:
        """Digest of the question."""
        return bytes.fromhex(digest_json([self.path, dict(self.body)]))


@dataclass(frozen=True)
class Questions:
    """How one endpoint is asked."""

    endpoint: OpenAI

    def reply(self, record: Record, tokens: int, temperature: float = 0.0, seed: int | None = None) -> Ask:
        """What is written behind a record."""
        drawn = {} if seed is None else {"seed": seed}
        parameters = {self.endpoint.limit: tokens, "temperature": temperature, **drawn}
        return self._ask(record, parameters, partial(_spoken, self.endpoint.place))

    def likeliest(self, record: Record, **more: Any) -> Ask:
        """The same with the log-probabilities of the likeliest next tokens; the reply is kept."""
        most, one = self.endpoint.top_logprobs, {self.endpoint.limit: 1, "temperature": 0.0}
        shown = {"logprobs": most} if isinstance(record, str) else {"logprobs": True, "top_logprobs": most}
        return self._ask(record, {**one, **shown, **more}, partial(_spoken, self.endpoint.place))

    def following(self, record: Record, vocabulary: int, bias: Mapping[int, float] | None) -> Ask:
        """Log-probabilities of the whole vocabulary, by number."""
        biased = {} if bias is None else {"logit_bias": {str(token): float(by) for token, by in bias.items()}}
        asked = self.likeliest(record, return_tokens_as_token_ids=True, **biased)
        return Ask(asked.path, asked.body, partial(_shown, vocabulary, self.endpoint.place))

    def scoring(self, record: Record) -> Ask:
        """A text to be echoed with its scores; one more token is written, since some servers refuse to write none.

        Raises:
            NotAssessable: a conversation, and it is not known how the model's template writes it.
        """
        text, spans = self._rendered(record)
        body = {"model": self.endpoint.model, "prompt": text, "max_tokens": 1, "temperature": 0.0}
        kept = partial(_scored, text, spans, self.endpoint.place)
        return Ask("/completions", {**body, "logprobs": 1, "echo": True}, kept)

    def _ask(self, record: Record, parameters: Parameters, kept: Callable[[Any], bytes]) -> Ask:
        offers, document = self.endpoint.offers, isinstance(record, str)
        if offers is not None and (COMPLETIONS if document else CHAT) not in offers:
            what = "that goes on with raw text (completions)" if document else "that chats"
            raise NotAssessable(f"needs an endpoint {what}")
        if isinstance(record, str):
            renamed = {"max_tokens" if name == self.endpoint.limit else name: v for name, v in parameters.items()}
            return Ask("/completions", {"model": self.endpoint.model, "prompt": record, **renamed}, kept)
        messages = [{"role": turn.role, "content": turn.content} for turn in record]
        return Ask("/chat/completions", {"model": self.endpoint.model, "messages": messages, **parameters}, kept)

    def _rendered(self, record: Record) -> tuple[str, list[Span] | None]:
        """A record as raw text, and where the assistant speaks in it; a document counts as a whole."""
        if isinstance(record, str):
            return record, None
        text, spans = "", list[Span]()
        for turn in record:
            written: str | None = getattr(self.endpoint.turns, turn.role, None)
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


def _spoken(where: str, answered: Any) -> bytes:
    return reply_in(answered, where).encode()


def _shown(vocabulary: int, where: str, answered: Any) -> bytes:
    return all_of(likeliest_in(answered), vocabulary, where).tobytes()


def _scored(text: str, spans: Sequence[Span] | None, where: str, answered: Any) -> bytes:
    return counted(*scores_in(answered, text, where), spans).tobytes()
