"""A real server of the Open Inference Protocol on loopback, with a real model behind it and faults on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import numpy.typing as npt

from loopback import running

Predict = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


@dataclass
class Server:
    """What the server does and saw.

    Attributes:
        predict: a batch as sent to (n, classes).
        faults: statuses to answer with before the next good answer, first one first; 0 closes the connection.
        requests: requests received, description and inference together.
        records: records answered.
        headers: of the last request.
    """

    predict: Predict
    url: str = ""
    faults: list[int] = field(default_factory=list)
    requests: int = 0
    records: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    reply: Callable[[dict[str, Any]], Any] = field(default=lambda answer: answer)
    inputs: tuple[str, ...] = ("x",)


@contextmanager
def serving(predict: Predict) -> Iterator[Server]:
    """A server of the model ``m`` at ``.url`` until the block ends."""
    state = Server(predict)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self._fails():
                return
            if self.path != "/v2/models/m":
                self._send(404, {"error": "no such model"})
                return
            inputs = [{"name": name, "datatype": "FP32", "shape": [-1]} for name in state.inputs]
            self._send(200, {"name": "m", "inputs": inputs, "outputs": [{"name": "p", "datatype": "FP32"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self._fails():
                return
            (tensor,) = body["inputs"]
            assert self.path == "/v2/models/m/infer"
            kind = {"FP32": np.float32, "UINT8": np.uint8}[tensor["datatype"]]
            found = state.predict(np.array(tensor["data"], kind).reshape(tensor["shape"]))
            state.records += len(found)
            output = {"name": "p", "datatype": "FP32", "shape": list(found.shape), "data": found.ravel().tolist()}
            self._send(200, state.reply({"model_name": "m", "outputs": [output]}))

        def log_message(self, *_: Any) -> None:
            pass

        def _fails(self) -> bool:
            state.requests += 1
            state.headers = {name.lower(): value for name, value in self.headers.items()}
            if not state.faults:
                return False
            if status := state.faults.pop(0):
                self._send(status, {"error": "later"})
            else:
                self.close_connection = True
            return True

        def _send(self, status: int, content: Any) -> None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    with running(Handler) as address:
        state.url = address
        yield state
