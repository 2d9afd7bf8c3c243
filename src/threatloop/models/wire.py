"""Requests to an endpoint: booked, at its rate, with retries; what comes back is not trusted."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import urllib3

from threatloop.core.endpoint import Terms
from threatloop.core.errors import InputError, ThreatloopError
from threatloop.models.answers import Answers

PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
LOOK = "check the address, the model's name and the token"
MOST_BYTES = 1 << 26
LONGEST_WAIT = 60
LONGEST_ANSWER = 10
"""Times the timeout between two pieces that all pieces together may take."""
PIECE = 1 << 16
STREAM = "text/event-stream"
MOST_CONNECTIONS = 64


class EndpointError(ThreatloopError):
    """An endpoint that cannot be reached, refuses, or answers what it should not. What it answered before is kept."""


class Failed(EndpointError):
    """An endpoint that answered with a status that says it will not answer, after all retries where these may help.

    Args:
        message: one line, without what the server said: it may repeat what it was asked, or the token.
        status: of HTTP.
        code: the server's own word for the reason, where it is one word.
        said: all that the server said, in lower case; for comparing, not for showing.
    """

    def __init__(self, message: str, status: int, code: str, said: str) -> None:
        super().__init__(message)
        self.status, self.code, self.said = status, code, said


@dataclass(frozen=True)
class Wire:
    """The way to one endpoint.

    Attributes:
        terms: on which it may be asked.
        answers: where requests are booked.
    """

    terms: Terms
    answers: Answers
    _pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(maxsize=MOST_CONNECTIONS), repr=False, compare=False
    )

    def json(self, method: str, url: str, body: Any = None) -> Any:
        """What the server answers, as parsed JSON.

        Raises:
            CapReached: the request cap is reached.
            InputError: the token's variable is not set.
            Failed: it answered with another status than 200.
            EndpointError: it cannot be reached after all retries, or its answer is no JSON, broke off, or is too long.
        """
        response = self._request(method, url, None if body is None else json.dumps(body).encode())
        try:
            content = _read(response, time.monotonic() + LONGEST_ANSWER * self.terms.timeout)
        except TimeoutError:
            raise EndpointError(
                f"{url}: its answer came too slowly, in pieces; raise `timeout` if that is usual"
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise EndpointError(
                f"{url}: its answer broke off ({type(error).__name__}); run again: nothing is asked twice"
            ) from None
        finally:
            response.release_conn()
        if response.status != 200:
            raise _failed(url, response.status, content)
        if len(content) > MOST_BYTES:
            raise EndpointError(f"{url}: answers more than {MOST_BYTES >> 20} MiB; use a smaller `batch`")
        if STREAM in response.headers.get("content-type", "") or content.lstrip().startswith(b"data:"):
            raise EndpointError(f"{url}: answers a stream of events, and none was asked for; {_streamed(content)}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise EndpointError(f"{url}: its answer is not JSON; check `url`") from None

    def _request(self, method: str, url: str, body: bytes | None) -> Any:
        """Send, with retries; every try is booked first and waits for its turn."""
        end = self.terms
        headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "threatloop"}
        if end.token_env:
            token = os.environ.get(end.token_env)
            if not token:
                raise InputError(f"endpoint.token_env: the environment variable {end.token_env} is not set")
            headers["authorization"] = f"Bearer {token}"
        self.answers.charge()
        try:
            return self._pool.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=end.timeout,
                redirect=False,
                preload_content=False,
                retries=_booked(self.answers.charge)(
                    total=end.retries,
                    backoff_factor=0.2,
                    backoff_max=LONGEST_WAIT,
                    retry_after_max=LONGEST_WAIT,
                    status_forcelist=PASSING,
                    allowed_methods=None,
                    redirect=False,
                    raise_on_status=False,
                ),
            )
        except urllib3.exceptions.MaxRetryError as error:
            why = type(error.reason).__name__ if error.reason else "no answer"
            raise EndpointError(
                f"{url}: cannot be reached after {end.retries} retries ({why}); start it, or mend `url`"
            ) from None
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise EndpointError(f"{url}: cannot be asked ({type(error).__name__})") from None


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """What is sent, or a little more than the most that may be.

    Raises:
        TimeoutError: it is not all there at the deadline; the timeout alone never ends what comes byte by byte.
    """
    found = bytearray()
    while len(found) <= MOST_BYTES and (part := response.read1(PIECE, decode_content=True)):
        found += part
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(found)


def _booked(charge: Callable[[], None]) -> type[urllib3.Retry]:
    """urllib3's retries, each of which counts as a request."""

    class Booked(urllib3.Retry):
        def increment(self, *arguments: Any, **named: Any) -> Self:
            left = super().increment(*arguments, **named)
            charge()
            return left

    return Booked


def _failed(url: str, status: int, content: bytes) -> Failed:
    code, said = _reason(content)
    shown = f"status {status}" + (f" ({code})" if code else "")
    if 300 <= status < 400:
        todo = "it redirects, which is not followed, since the token would go with it; give the final address"
    elif status in PASSING:
        slow = "it is asked too often: lower `per_second`, or " if status == 429 else ""
        todo = f"{slow}run again later: nothing is asked twice"
    else:
        todo = LOOK
    return Failed(f"{url}: {shown}; {todo}", status, code, said)


def _reason(content: bytes) -> tuple[str, str]:
    """The error's code, where it is one plain word, and everything in lower case."""
    said = content.decode(errors="replace").lower()
    try:
        error = json.loads(content)["error"]
        word = error.get("code") or error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", said
    plain = isinstance(word, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", word)
    return (word if plain else ""), said


def _streamed(content: bytes) -> str:
    """What a stream that nobody asked for holds."""
    if b'"error"' in content:
        return "it holds an error; run again later: nothing is asked twice"
    return "check what stands between it and here"
