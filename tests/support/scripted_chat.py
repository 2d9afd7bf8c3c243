"""A chat server on loopback that answers as a test says: by a function of the question, after faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import running

Body = dict[str, Any]


@dataclass
class Fault:
    """An answer that is none: a status, what is sent with it, and seconds before each byte.

    Status 0 closes the connection without a word.
    """

    status: int
    body: bytes = b'{"error": {"message": "later"}}'
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0


@dataclass
class Script:
    """What the server does and saw.

    Attributes:
        reply: the text of the answer to a question.
        faults: answered first, one each.
        schemas: whether it takes ``response_format``; else it refuses such questions with 400.
        bodies, headers: of every request.
    """

    reply: Callable[[Body], str]
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    schemas: bool = True
    bodies: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def scripted(reply: Callable[[Body], str]) -> Iterator[Script]:
    """A server at ``.url`` until the block ends."""
    state = Script(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.bodies.append(body)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            self._send(state.faults.pop(0) if state.faults else _answer(state, body))

        def _send(self, fault: Fault) -> None:
            self.close_connection = True
            if not fault.status:
                return
            self.send_response(fault.status)
            self.send_header("content-length", str(len(fault.body)))
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who asked may have gone
                for byte in fault.body if fault.pause else ():
                    time.sleep(fault.pause)
                    self.wfile.write(bytes([byte]))
                if not fault.pause:
                    self.wfile.write(fault.body)

        def log_message(self, *_: Any) -> None:
            pass

    with running(Handler) as address:
        state.url = f"{address}/v1"
        yield state


def _answer(state: Script, body: Body) -> Fault:
    if "response_format" in body and not state.schemas:
        return Fault(400)
    content = {"choices": [{"message": {"role": "assistant", "content": state.reply(body)}}]}
    return Fault(200, json.dumps(content).encode())
