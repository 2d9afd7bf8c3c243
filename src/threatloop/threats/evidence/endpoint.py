"""Questions to a model behind OpenAI's chat protocol, whose answers must fit a schema; nothing it says is trusted."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from pydantic import BaseModel, ValidationError

from threatloop.core.errors import InputError, ThreatloopError

KEY_VARIABLE = "THREATLOOP_LLM_KEY"
PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same question may be answered."""
MOST_BYTES = 4 << 20
LONGEST_WAIT = 60
PIECE = 1 << 16
MOST_TOKENS = 2_000
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", re.S)
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.S)

Answer = TypeVar("Answer", bound=BaseModel)
Message = dict[str, str]


class Unanswered(ThreatloopError):
    """The endpoint cannot be reached, refuses, or is too slow, after all retries. Asking on is of no use."""


class Unfit(ThreatloopError):
    """The model answers, but not by the schema, however often it is told what is wrong."""


@dataclass(frozen=True)
class Endpoint:
    """A model and how patiently it is asked.

    Attributes:
        url: of the server, up to and with ``/v1`` where it has that; ``/chat/completions`` is added.
        model: its name there.
        key_variable: environment variable whose value is sent as bearer token; nothing is sent where it is unset.
        timeout: seconds to wait for a connection and for each piece of an answer; an answer has three times as long.
        retries: of a request that got no answer, with growing pauses or as long as the server asks, a minute at most.
        corrections: how often a model is told what is wrong with its answer.
        backoff: seconds of the first pause; doubled for each further one.
    """

    url: str
    model: str
    key_variable: str = KEY_VARIABLE
    timeout: float = 60.0
    retries: int = 3
    corrections: int = 2
    backoff: float = 0.5
    _pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"--llm {self.url}: needs an http:// or https:// address with a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InputError(f"--llm: holds credentials or a query; put a key in the variable {self.key_variable}")
        object.__setattr__(self, "url", self.url.rstrip("/").removesuffix("/chat/completions"))

    def ask(self, messages: Sequence[Message], schema: type[Answer], context: Any = None) -> Answer:
        """The model's answer by a schema; where it does not fit, the model is told why and asked again.

        Args:
            messages: of the conversation, instructions first.
            schema: with extra fields forbidden.
            context: for the schema's validators, such as the ids that may be named.

        Raises:
            Unanswered, Unfit: as they say.
        """
        conversation, why = list(messages), ""
        for _ in range(self.corrections + 1):
            said = self._said(conversation, schema)
            try:
                return schema.model_validate_json(_bare(said), context=context)
            except ValidationError as error:
                why = _wrong(error)
            conversation = [*messages, {"role": "assistant", "content": said[:4000]}, _correction(why)]
        raise Unfit(
            f"{self.url}: {self.model} does not answer by the schema after {self.corrections + 1} tries ({why})"
        )

    def _said(self, messages: Sequence[Message], schema: type[BaseModel]) -> str:
        body = {"model": self.model, "messages": list(messages), "temperature": 0, "max_tokens": MOST_TOKENS}
        form = {"name": schema.__name__.lower().strip("_"), "schema": schema.model_json_schema(), "strict": False}
        status, content = self._sent({**body, "response_format": {"type": "json_schema", "json_schema": form}})
        if status in (
            400,
            404,
            415,
            422,
        ):  # it may know no schemas or such parameters; the schema is in the question, too
            status, content = self._sent({"model": self.model, "messages": list(messages)})
        if status != 200:
            raise Unanswered(f"{self.url}: answers with status {status}; {_advice(status, self.key_variable)}")
        try:
            said = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise Unanswered(f"{self.url}: its answer is none of OpenAI's chat protocol; check the address") from None
        return said if isinstance(said, str) else ""

    def _sent(self, body: dict[str, Any]) -> tuple[int, bytes]:
        headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "threatloop"}
        if key := os.environ.get(self.key_variable):
            headers["authorization"] = f"Bearer {key}"
        last = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(LONGEST_WAIT, self._pause(attempt, last)))
            try:
                status, content, last = self._once(body, headers)
            except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
                status, last, why = 0, "", type(error).__name__
                continue
            if status not in PASSING:
                return status, content
        if status:
            return status, content
        raise Unanswered(
            f"{self.url}: no answer after {self.retries + 1} tries ({why}); start it, or check the address"
        )

    def _pause(self, attempt: int, asked: str) -> float:
        wanted = float(asked) if re.fullmatch(r"\d{1,6}(\.\d+)?", asked) else 0.0
        return max(wanted, self.backoff * 2.0 ** (attempt - 1))

    def _once(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Status, content, and how long the server asks to wait. Redirects are not followed: the key would go along."""
        response = self._pool.request(
            "POST",
            f"{self.url}/chat/completions",
            body=json.dumps(body).encode(),
            headers=headers,
            timeout=self.timeout,
            redirect=False,
            retries=False,
            preload_content=False,
        )
        found, deadline = bytearray(), time.monotonic() + 3 * self.timeout
        try:
            while part := response.read1(PIECE, decode_content=True):
                found += part
                if len(found) > MOST_BYTES:
                    raise ValueError("too long")
                if time.monotonic() > deadline:
                    raise TimeoutError
        finally:
            response.close() if len(found) > MOST_BYTES else response.release_conn()
        return response.status, bytes(found), response.headers.get("retry-after", "")


def _bare(said: str) -> str:
    """The answer without the reasoning in front and the fence around it."""
    said = _THOUGHT.sub("", said, count=1) if said.lstrip().startswith("<think>") else said
    fenced = _FENCE.fullmatch(said)
    return fenced[1] if fenced else said


def _wrong(error: ValidationError) -> str:
    """What is wrong, one line, without the values: they may be long, and come from the document."""
    parts = [
        f"{'.'.join(map(str, one['loc'])) or 'the answer'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)[:3]
    ]
    return "; ".join(" ".join(part.split())[:200] for part in parts)


def _correction(why: str) -> Message:
    return {
        "role": "user",
        "content": f"That answer does not fit the schema: {why}. Answer again, with the JSON object alone.",
    }


def _advice(status: int, variable: str) -> str:
    if status in (401, 403):
        return f"check the key in the variable {variable}"
    if 300 <= status < 400:
        return "it redirects, which is not followed, since the key would go along; give the final address"
    if status in PASSING:
        return "it is too busy, or out of order: ingest again later"
    return "check the address, the model's name (--llm-model), and that it reads 8,000 tokens at once"
