"""Questions to an endpoint that is down, slow, busy or babbling: retried within bounds, then said in one line."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from scripted_chat import Body, Fault, Script, scripted
from threatloop.core.errors import InputError
from threatloop.threats.evidence.endpoint import KEY_VARIABLE, Endpoint, Unanswered, Unfit

QUESTION = [{"role": "system", "content": "Say one."}, {"role": "user", "content": "{}"}]


class One(BaseModel):
    model_config = ConfigDict(extra="forbid")
    one: int


def endpoint(server: Script, **settings: Any) -> Endpoint:
    return Endpoint(server.url, "m", **{"timeout": 5.0, "backoff": 0.0, **settings})


def always(said: str) -> Any:
    return lambda _: said


@pytest.mark.parametrize(
    "said", ['{"one": 1}', ' \n{"one": 1}\n', '```json\n{"one": 1}\n```', '<think>\n{"one": 7}</think>\n{"one": 1}']
)
def test_answers(said: str) -> None:
    with scripted(always(said)) as server:
        assert endpoint(server).ask(QUESTION, One) == One(one=1)
    assert server.bodies[0]["messages"] == QUESTION
    assert server.bodies[0]["response_format"]["json_schema"]["schema"] == One.model_json_schema()


def test_a_server_without_schemas_is_asked_plainly() -> None:
    with scripted(always('{"one": 1}')) as server:
        server.schemas = False
        assert endpoint(server).ask(QUESTION, One) == One(one=1)
    assert server.bodies[1] == {"model": "m", "messages": QUESTION}


def test_the_model_is_told_what_was_wrong() -> None:
    def reply(body: Body) -> str:
        return '{"one": 1}' if len(body["messages"]) > 2 else '{"one": "x", "two": 2}'

    with scripted(reply) as server:
        assert endpoint(server).ask(QUESTION, One) == One(one=1)
    correction = server.bodies[1]["messages"][-1]["content"]
    assert "one: Input should be a valid integer" in correction
    assert "two: Extra inputs are not permitted" in correction


@pytest.mark.parametrize("said", ["", "I cannot do that.", '{"one": ', "[" * 5000, '{"one": 1} and more', "null"])
def test_broken_json_ends_after_bounded_tries(said: str) -> None:
    with scripted(always(said)) as server, pytest.raises(Unfit, match="does not answer by the schema after 3 tries"):
        endpoint(server).ask(QUESTION, One)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_passing_failures_are_retried(status: int) -> None:
    with scripted(always('{"one": 1}')) as server:
        server.faults = [Fault(status), Fault(status)]
        assert endpoint(server).ask(QUESTION, One) == One(one=1)
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("status", "said"),
    [(429, "too busy"), (500, "out of order"), (401, KEY_VARIABLE), (302, "redirects"), (404, "--llm-model")],
)
def test_lasting_failures_are_said(status: int, said: str) -> None:
    with scripted(always('{"one": 1}')) as server, pytest.raises(Unanswered, match=f"status {status}.*{said}"):  # noqa: PT012
        server.faults = [Fault(status, headers={"location": "http://example.invalid/"})] * 9
        endpoint(server).ask(QUESTION, One)
    assert len(server.bodies) <= 4


def test_waits_as_long_as_the_server_asks() -> None:
    with scripted(always('{"one": 1}')) as server:
        server.faults = [Fault(429, headers={"retry-after": "0.3"})]
        started = time.perf_counter()
        endpoint(server).ask(QUESTION, One)
        assert time.perf_counter() - started >= 0.3


def test_down() -> None:
    with scripted(always("")) as server:
        pass
    with pytest.raises(Unanswered, match="no answer after 3 tries"):
        endpoint(server, retries=2).ask(QUESTION, One)


@pytest.mark.parametrize("pause", [0.5, 0.02])
def test_slow(pause: float) -> None:
    with scripted(always("")) as server:
        server.faults = [Fault(200, b"x" * 200, pause=pause)]
        started = time.perf_counter()
        with pytest.raises(Unanswered, match="no answer after 1 tries"):
            endpoint(server, timeout=0.2, retries=0).ask(QUESTION, One)
        assert time.perf_counter() - started < 3


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"choices": []}', b"[" * 9000, b'{"choices": [{"message": 1}]}'])
def test_another_protocol(body: bytes) -> None:
    with scripted(always("")) as server, pytest.raises(Unanswered, match="none of OpenAI's chat protocol"):  # noqa: PT012
        server.faults = [Fault(200, body)]
        endpoint(server).ask(QUESTION, One)


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threatloop.threats.evidence.endpoint.MOST_BYTES", 1000)
    with scripted(always("x" * 5000)) as server, pytest.raises(Unanswered, match="no answer after 1 tries"):
        endpoint(server, retries=0).ask(QUESTION, One)


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "very-secret")
    with scripted(always("very-secret")) as server:
        asked = endpoint(server, key_variable="SOME_KEY")
        with pytest.raises(Unfit) as error:
            asked.ask(QUESTION, One)
    assert {one["authorization"] for one in server.headers} == {"Bearer very-secret"}
    assert "very-secret" not in str(error.value) + repr(asked)


@pytest.mark.parametrize("url", ["ftp://x", "x:8000", "http://", "http://me:pw@host/v1", "http://host/v1?key=1"])
def test_addresses(url: str) -> None:
    with pytest.raises(InputError, match="--llm"):
        Endpoint(url, "m")
