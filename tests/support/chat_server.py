"""A real server of OpenAI's protocol on loopback, with a real language model behind it and faults on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import torch

from loopback import running
from threatloop.core.assets import Model
from threatloop.modality.conversation import Record, Turn
from threatloop.models.language.codecs import ByteCodec, Codec
from threatloop.models.language.language import Language
from threatloop.models.language.loading import language_of
from threatloop.models.language.writing import Style, continued

PATHS = ("/v1/chat/completions", "/v1/completions")
SSE = b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n'


@dataclass
class Fault:
    """An answer that is none.

    Attributes:
        status: of HTTP; 0 closes the connection without a word.
        body: bytes, or what becomes JSON.
        headers: beside the length.
        cut: bytes that are announced and never come.
        pause: seconds between two bytes.
    """

    status: int
    body: Any = field(default_factory=lambda: {"error": {"message": "later"}})
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    pause: float = 0.0


@dataclass
class Server:
    """What the server does and saw.

    Attributes:
        offers: of chat, completions, logprobs and echo, what it does; questions for more are refused.
        vocabulary: whether it shows all tokens that are asked for; else at most 20.
        faults: what to answer before the next good answer, first one first.
        reply: what becomes of every good answer.
        filtered: a prompt with this word is stopped by the server's own filter.
        bodies: every question, in order.
        headers: of the last request.
    """

    language: Language
    url: str = ""
    offers: tuple[str, ...] = ("chat", "completions", "logprobs", "echo")
    vocabulary: bool = False
    faults: list[Fault] = field(default_factory=list)
    reply: Callable[[Any], Any] = field(default=lambda answer: answer)
    filtered: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        return len(self.bodies)


@contextmanager
def serving(model: Model, device: str = "cpu") -> Iterator[Server]:
    """A server of the language model ``m`` at ``.url`` until the block ends."""
    state = Server(language_of(model, torch.device(device)))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with state.lock:  # a language reads one batch at a time
                state.bodies.append(body)
                state.headers = {name.lower(): value for name, value in self.headers.items()}
                fault = state.faults.pop(0) if state.faults else answer(state, self.path, body)
            if fault.status:
                self._send(fault)
            else:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

        def _send(self, fault: Fault) -> None:
            raw = fault.body if isinstance(fault.body, bytes) else json.dumps(fault.body).encode()
            self.send_response(fault.status)
            self.send_header("content-length", str(len(raw) + fault.cut))
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if fault.pause:
                with suppress(OSError):  # who asked may have gone
                    for byte in raw:
                        self.wfile.write(bytes([byte]))
                        time.sleep(fault.pause)
            else:
                self.wfile.write(raw)
            self.close_connection = bool(fault.cut)

    with running(Handler) as address:
        state.url = address
        yield state


def answer(state: Server, path: str, body: dict[str, Any]) -> Fault:
    """The answer to one question."""
    chats = path == PATHS[0]
    if path not in PATHS or ("chat" if chats else "completions") not in state.offers or body["model"] != "m":
        return _refusal(404, "model_not_found")
    if body.get("logprobs") and "logprobs" not in state.offers and not body.get("echo"):
        return _refusal(400, "logprobs are not enabled")
    record: Record = body["prompt"] if not chats else tuple(Turn(m["role"], m["content"]) for m in body["messages"])
    if state.filtered and state.filtered in str(record):
        return _refusal(400, "content_filter")
    ids = list(state.language.codec.prompt(record))
    if len(ids) + (not body.get("echo")) > state.language.context:
        return _refusal(400, "maximum context length exceeded")
    with torch.inference_mode():
        choice = _choice(state, ids, body, chats)
    choices = [{"index": 0, "finish_reason": "stop", **choice}]
    return Fault(200, state.reply({"choices": choices, "usage": {"prompt_tokens": len(ids)}}))


def _choice(state: Server, ids: list[int], body: dict[str, Any], chats: bool) -> dict[str, Any]:
    codec = state.language.codec
    seed = body.get("seed")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    style, full = Style(body["max_tokens"], body["temperature"]), len(ids) == state.language.context
    (written,) = [[]] if full else continued(state.language, [ids], style, generator)
    text = codec.text(written)
    if body.get("echo") and "echo" in state.offers:
        return {"text": body["prompt"] + text, "logprobs": _echoed(state, ids, written)}
    found: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chats else {"text": text}
    if body.get("logprobs"):
        shown = _likeliest(state, ids, body)
        named = [{"token": name, "logprob": value} for name, value in shown.items()]
        found["logprobs"] = {"content": [{"top_logprobs": named}]} if chats else {"top_logprobs": [shown]}
    return found


def _likeliest(state: Server, ids: list[int], body: dict[str, Any]) -> dict[str, float]:
    most = body.get("top_logprobs", body["logprobs"])
    most = most if state.vocabulary else min(most, 20)
    _, (logits,) = state.language.begin([ids])
    for token, by in body.get("logit_bias", {}).items():
        logits[int(token)] += by
    values, tokens = torch.log_softmax(logits, 0).topk(most)
    numbered = body.get("return_tokens_as_token_ids", False)
    names = [f"token_id:{t}" if numbered else state.language.codec.text([int(t)]) + f"#{t}" for t in tokens.tolist()]
    return dict(zip(names, values.tolist(), strict=True))


def _echoed(state: Server, ids: list[int], written: list[int]) -> dict[str, Any]:
    """Scores of the tokens of a prompt and of what follows, each by a reading of its own up to there."""
    whole, codec = ids + written, state.language.codec
    log_p = torch.log_softmax(state.language.project(state.language.hidden(torch.tensor([whole]))[0]).float(), 1)
    values = [None, *(float(log_p[i, token]) for i, token in enumerate(whole[1:]))]
    starts = [_characters(codec, whole[:i], whole[i]) for i in range(len(whole))]
    return {"tokens": [codec.text([one]) for one in whole], "token_logprobs": values, "text_offset": starts}


def _characters(codec: Codec, ids: list[int], following: int) -> int:
    """Where the next token begins in the text that was sent, dividing ones included."""
    if isinstance(codec, ByteCodec):
        return max(0, sum(one & 0xC0 != 0x80 for one in ids) - (following & 0xC0 == 0x80))
    return len(codec._tokenizer.decode(ids, skip_special_tokens=False))  # type: ignore[attr-defined]


def _refusal(status: int, code: str) -> Fault:
    return Fault(status, {"error": {"message": f"{code}: you asked ...", "code": code}})
