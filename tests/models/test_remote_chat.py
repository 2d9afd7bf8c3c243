"""A victim behind OpenAI's protocol: the answers of the model itself, terms, faults, and what it does not offer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from chat_server import SSE, Fault, Server, serving
from threatloop.core.access import Capability
from threatloop.core.assets import Architecture
from threatloop.core.endpoint import ENDPOINT, OpenAI, OpenInference
from threatloop.core.errors import AccessError, CapReached, InputError, NotAssessable
from threatloop.core.schema import ImageSchema, TextSchema
from threatloop.modality.conversation import asked, write
from threatloop.models import wire
from threatloop.models.answers import Answers
from threatloop.models.build import build
from threatloop.models.network import dump
from threatloop.models.remote import remote_model
from threatloop.models.remote_chat import RemoteChat
from threatloop.models.responder import local_service, responder_of
from threatloop.models.wire import EndpointError

SCHEMA = TextSchema(width=60)
GPT = Architecture(name="gpt", parameters={"width": 16, "layers": 1})
MODEL = dump(build(GPT, SCHEMA, torch.Generator().manual_seed(3)), GPT, SCHEMA)
LOCAL = local_service(MODEL)
TURNS = {"system": "\x1es{}", "user": "\x1eu{}", "assistant": "\x1ea{}\x1e"}
CHATS = write([asked("Why?"), asked("And née?", system="Be brief."), asked("Why?")], SCHEMA.width)
ANSWERED = write([asked("Why?", "So."), asked("Où?", "Là-bas, né.", "Be brief."), asked("No?", "")], SCHEMA.width)
DOCUMENTS = write(["hello world", "déjà vu, naïve café", "ab"], SCHEMA.width)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(MODEL) as found:
        yield found


def endpoint(server: Server, **more: Any) -> OpenAI:
    terms = {"authorised_by": "the test", "request_cap": 100, "per_second": 10_000.0, "retries": 0, **more}
    return OpenAI(protocol="openai", url=server.url, model="m", **terms)


def chat(server: Server, **more: Any) -> RemoteChat:
    found = responder_of(remote_model(endpoint(server, **more), SCHEMA))
    assert isinstance(found, RemoteChat)
    return found


def offered(server: Server, **more: Any) -> OpenAI:
    return OpenAI.model_validate(chat(server, **more).named().architecture.parameters)


@pytest.mark.parametrize("x", [CHATS, DOCUMENTS], ids=["conversations", "documents"])
def test_it_replies_like_the_model_itself_and_is_asked_nothing_twice(server: Server, x: Any) -> None:
    different = len(np.unique(x, axis=0))
    assert chat(server).replies(x, 7) == LOCAL.replies(x, 7)
    assert server.requests == different
    assert chat(server).replies(x[::-1], 7) == LOCAL.replies(x, 7)[::-1]
    assert server.requests == different
    assert chat(server).replies(x, 8) == LOCAL.replies(x, 8)
    assert server.requests == 2 * different


@pytest.mark.parametrize("x", [ANSWERED, DOCUMENTS], ids=["conversations", "documents"])
def test_scores_are_those_of_the_model_itself(server: Server, x: Any) -> None:
    found = chat(server, turns=TURNS).log_probs(x)
    np.testing.assert_allclose(found[..., 0], LOCAL.log_probs(x)[..., 0], atol=1e-4)
    assert np.isnan(found[..., 1:]).all()


@pytest.mark.parametrize("counts", [True, False])
def test_a_token_that_the_server_puts_first_shifts_nothing(server: Server, counts: bool) -> None:
    def with_start(answered: Any) -> Any:
        (choice,) = answered["choices"]
        shown = choice["logprobs"]
        tokens = ["<s>", *choice["text"]]
        values, starts = [None, -3.0, *shown["token_logprobs"][1:]], [0, *(3 + s for s in shown["text_offset"])]
        changed = {"tokens": tokens, "token_logprobs": values, "text_offset": starts}
        usage = {"prompt_tokens": answered["usage"]["prompt_tokens"] + 1} if counts else None
        return {"choices": [{**choice, "logprobs": changed}], "usage": usage}

    turns = {"user": "USER: {}\n", "assistant": "BOT: {}\n"}
    x = write([asked("Why?", "So."), asked("Not?", "A longer answer.")], SCHEMA.width)
    plain = chat(server, turns=turns).log_probs(x)
    server.reply = with_start
    np.testing.assert_array_equal(chat(server, turns=turns, authorised_by="another").log_probs(x), plain)


def test_conversations_are_not_scored_without_the_template(server: Server) -> None:
    with pytest.raises(NotAssessable, match="`turns` do not say how its model writes one of the role user"):
        chat(server).log_probs(ANSWERED)
    assert server.requests == 0


@pytest.mark.parametrize(
    ("offers", "refused"),
    [
        (("chat", "completions", "logprobs", "echo"), {}),
        (("chat", "completions", "logprobs"), {"labels", "scores"}),
        (("chat", "completions", "echo"), {"logprobs"}),
        (("chat",), {"labels", "scores", "logprobs"}),
        (("completions", "echo"), {"logprobs"}),
    ],
)
def test_it_is_tried_once_for_what_it_offers(server: Server, offers: Any, refused: Any) -> None:
    server.offers = offers
    found = offered(server)
    assert set(found.offers or ()) == set(offers)
    assert {one for one in found.capabilities if found.refusal(one)} == set(refused)
    assert server.requests <= 5
    if "logprobs" in refused:
        assert found.refusal(Capability.LOGPROBS) == "the endpoint refused logprobs"
        with pytest.raises(NotAssessable, match="the endpoint refused them"):
            RemoteChat(remote_model(found, SCHEMA)).next_log_probs(CHATS)
    before = server.requests
    assert offered(server, offers=offers) == found
    assert server.requests == before + 1


def test_a_server_that_fails_at_what_it_does_not_know_is_tried_with_less(server: Server) -> None:
    server.offers = ("chat",)
    server.faults = [Fault(500)]
    assert offered(server).offers == ("chat",)
    server.faults = [Fault(503)]
    with pytest.raises(EndpointError, match="status 503; run again later"):
        offered(server)
    server.faults = [Fault(401)]
    with pytest.raises(EndpointError, match="status 401; check the address, the model's name and the token"):
        offered(server)


def test_what_is_not_offered_is_said_before_anything_is_asked(server: Server) -> None:
    only_chat, only_text = chat(server, offers=["chat"]), chat(server, offers=["completions"])
    with pytest.raises(NotAssessable, match="goes on with raw text"):
        only_chat.replies(DOCUMENTS, 3)
    with pytest.raises(NotAssessable, match="needs an endpoint that chats"):
        only_text.replies(CHATS, 3)
    with pytest.raises(NotAssessable, match="log-probabilities of given texts"):
        only_chat.log_probs(DOCUMENTS)
    with pytest.raises(AccessError, match="needs gradients"):
        only_chat.differentiable()
    assert server.requests == 0


@pytest.mark.parametrize("x", [CHATS, DOCUMENTS], ids=["conversations", "documents"])
def test_next_tokens_are_known_where_all_are_shown_by_number(server: Server, x: Any) -> None:
    server.vocabulary = True
    here = chat(server, vocabulary=256, top_logprobs=256)
    np.testing.assert_allclose(here.next_log_probs(x), LOCAL.next_log_probs(x), atol=1e-4)
    bias = [{97: 3.0}, {98: -2.0, 99: 1.0}, {}]
    np.testing.assert_allclose(here.next_log_probs(x, bias), LOCAL.next_log_probs(x, bias), atol=1e-4)
    assert here.next_log_probs(x[:0]).shape == (0, 256)


def test_the_likeliest_few_are_not_the_whole_vocabulary(server: Server) -> None:
    with pytest.raises(NotAssessable, match="the endpoint shows the 5 likeliest by their text"):
        chat(server).next_log_probs(CHATS)
    with pytest.raises(NotAssessable, match="of all 256 tokens; the endpoint shows 20 of them"):
        chat(server, vocabulary=256, top_logprobs=256).next_log_probs(CHATS)


def test_drawn_replies_follow_the_seed_and_a_prompt_that_comes_again_is_drawn_anew(server: Server) -> None:
    x = CHATS[[0, 0, 0, 1]]
    first = chat(server).replies(x, 12, 1.0, 5)
    assert len(set(first[:3])) == 3
    assert (chat(server).replies(x, 12, 1.0, 5), server.requests) == (first, 4)
    assert chat(server).replies(x, 12, 1.0, 6) != first


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(200, SSE, {"content-type": "text/event-stream"}), "answers a stream of events, and none was asked for"),
        (Fault(200, SSE), "it holds an error; run again later"),
        (Fault(200, b'{"choices": [{"mess'), "is not JSON"),
        (Fault(200, b"{}", cut=10), "its answer broke off"),
        (Fault(200, {"error": {"message": "Why?"}}), "no text in its answer"),
        (Fault(200, {"choices": []}), "no text in its answer"),
        (Fault(200, {"choices": [{"message": {"content": 5}}]}), "no text in its answer"),
        (Fault(200, b"[" * 100_000), "is not JSON"),
        (Fault(200, b" " * 3000), "answers more than"),
        (Fault(307, {}, {"location": "http://elsewhere/"}), "status 307; it redirects, which is not followed"),
        (Fault(401, {"error": {"message": "bad key s3cret", "code": "invalid_api_key"}}), r"401 \(invalid_api_key\)"),
        (Fault(400, {"error": {"message": "Why?", "code": 400}}), "status 400; check the address"),
        (Fault(400, {"error": {"message": "maximum context length is 9"}}), "longer than the model reads"),
        (Fault(429), "status 429; it is asked too often: lower `per_second`, or run again later"),
        (Fault(500), "status 500; run again later: nothing is asked twice"),
        (Fault(0), "cannot be reached after 0 retries"),
    ],
)
def test_a_fault_is_one_clear_line_without_what_was_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch, fault: Fault, message: str
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    monkeypatch.setattr(wire, "MOST_BYTES", 200_000 if b"[" in bytes(str(fault.body), "utf-8") else 2000)
    server.faults = [fault]
    with pytest.raises(EndpointError, match=message) as error:
        chat(server, token_env="TOKEN").replies(CHATS[:1], 5)
    said = str(error.value)
    assert server.url in said
    assert not any(word in said for word in ("\n", "Why?", "s3cret"))
    assert chat(server, token_env="TOKEN").replies(CHATS[:1], 5) == LOCAL.replies(CHATS[:1], 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "other"}, "does not echo the text"),
        ({"logprobs": None}, "no scores of the text"),
        ({"logprobs": {"token_logprobs": [None, -1.0], "text_offset": [0]}}, "does not say where tokens begin"),
        ({"logprobs": {"token_logprobs": [None, -1.0], "text_offset": [5, 1]}}, "does not say where tokens begin"),
        ({"logprobs": {"token_logprobs": [None, 2.0], "text_offset": [0, 1]}}, "not all log-probabilities"),
        ({"logprobs": {"token_logprobs": [None, float("nan")], "text_offset": [0, 1]}}, "not all log-probabilities"),
        ({"logprobs": {"token_logprobs": [None, None], "text_offset": [0, 1]}}, "not all log-probabilities"),
    ],
)
def test_scores_are_not_trusted(server: Server, change: Any, message: str) -> None:
    server.reply = lambda answered: {"choices": [{**answered["choices"][0], **change}]}
    with pytest.raises(EndpointError, match=message):
        chat(server).log_probs(DOCUMENTS)


def test_an_answer_that_trickles_in_ends(server: Server) -> None:
    server.faults = [Fault(200, b" " * 1000, pause=0.005)]
    with pytest.raises(EndpointError, match="its answer came too slowly"):
        chat(server, timeout=0.05).replies(CHATS[:1], 5)


def test_a_throttled_request_waits_as_long_as_it_is_told(server: Server) -> None:
    server.faults = [Fault(429, headers={"retry-after": "1"}), Fault(503), Fault(0)]
    started = time.perf_counter()
    assert chat(server, retries=3).replies(CHATS[:1], 5) == LOCAL.replies(CHATS[:1], 5)
    assert time.perf_counter() - started >= 1
    assert (server.requests, Answers(endpoint(server)).sent) == (4, 4)


def test_the_cap_holds_over_requests_side_by_side_and_answers_are_kept(server: Server) -> None:
    x = write([asked(f"Why {i}?") for i in range(12)], SCHEMA.width)
    with pytest.raises(CapReached, match="request_cap of 5 is spent"):
        chat(server, request_cap=5, parallel=8).replies(x, 3)
    assert server.requests == 5
    assert chat(server, request_cap=12, parallel=8).replies(x, 3) == LOCAL.replies(x, 3)
    assert server.requests == 12


def test_a_prompt_that_the_server_filters_is_refused_not_a_failure(server: Server) -> None:
    server.filtered = "brief"
    assert chat(server).replies(CHATS, 7)[1] == ""
    assert chat(server).replies(CHATS, 7)[0] == LOCAL.replies(CHATS, 7)[0]


def test_neither_token_nor_texts_are_written_anywhere(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-value")
    here = chat(server, token_env="TOKEN", turns=TURNS)
    here.replies(CHATS, 7)
    here.log_probs(DOCUMENTS)
    assert server.headers["authorization"] == "Bearer s3cret-value"
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert written
    assert not any(text in found for found in written for text in (b"s3cret-value", b"hello", b"brief"))


def test_odd_characters_of_a_reply_do_no_harm(server: Server) -> None:
    server.reply = lambda _: {"choices": [{"message": {"content": "a\x1eb\0c\ud800"}}]}
    assert chat(server).replies(CHATS[:1], 5) == ["abc?"]
    server.reply = lambda _: {"choices": [{"message": {"content": None, "refusal": "I cannot."}}]}
    assert chat(server).replies(CHATS[1:2], 5) == ["I cannot."]


def test_newer_models_are_told_the_limit_by_another_name(server: Server) -> None:
    server.faults = [Fault(200, {"choices": [{"message": {"content": "yes"}}]})]
    assert chat(server, limit="max_completion_tokens").replies(CHATS[:1], 5) == ["yes"]
    assert server.bodies[0]["max_completion_tokens"] == 5
    assert "max_tokens" not in server.bodies[0]


def test_a_wrong_name_a_wrong_address_and_images_are_said(server: Server) -> None:
    missing = endpoint(server).model_copy(update={"model": "n"})
    with pytest.raises(EndpointError, match=r"chat/completions: status 404 \(model_not_found\); check the address"):
        RemoteChat(remote_model(missing, SCHEMA)).named()
    gone = OpenAI(protocol="openai", url="http://127.0.0.1:9", model="m", authorised_by="the test", request_cap=9)
    with pytest.raises(EndpointError, match="cannot be reached after 0 retries"):
        RemoteChat(remote_model(gone.model_copy(update={"retries": 0}), SCHEMA)).named()
    images = ImageSchema(channels=1, height=8, width=8, classes=("a", "b"))
    with pytest.raises(InputError, match="protocol openai serves text; the data hold image records"):
        RemoteChat(remote_model(endpoint(server), images)).named()


def test_a_service_grants_and_counts_as_for_a_model_here(server: Server) -> None:
    service = local_service(remote_model(endpoint(server), SCHEMA), [Capability.TEXT])
    assert len(service.replies(CHATS, 3)) == service.ledger.spent == 3
    with pytest.raises(AccessError, match="used logprobs"):
        service.next_log_probs(CHATS)


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"url": "http://user:word@host"}, "url"),
        ({"url": "ftp://host"}, "url"),
        ({"model": "a\nb"}, "model"),
        ({"authorised_by": ""}, "authorised_by"),
        ({"request_cap": 0}, "request_cap"),
        ({"turns": {"user": "{} {}"}}, "turns"),
        ({"offers": ["tune"]}, "offers"),
    ],
)
def test_bad_terms_are_refused(bad: dict[str, Any], where: str) -> None:
    good = {"protocol": "openai", "url": "http://host", "model": "a/b:c", "authorised_by": "the test", "request_cap": 1}
    with pytest.raises(ValidationError) as error:
        ENDPOINT.validate_python({**good, **bad})
    assert error.value.errors()[0]["loc"][1] == where


def test_protocols_are_told_apart_and_the_first_needs_no_name() -> None:
    terms = {"url": "http://host/", "model": "m", "authorised_by": "the test", "request_cap": 1}
    assert ENDPOINT.validate_python(terms) == OpenInference(**terms)
    openai = ENDPOINT.validate_python({**terms, "protocol": "openai", "offers": ["echo", "chat"]})
    assert isinstance(openai, OpenAI)
    assert (openai.place, openai.offers) == ("http://host/v1", ("chat", "echo"))
    assert ENDPOINT.validate_python(openai.model_dump(mode="json")) == openai
    other = ENDPOINT.validate_python({**terms, "url": "http://host/v1beta/openai", "protocol": "openai"})
    assert other.place == "http://host/v1beta/openai"
