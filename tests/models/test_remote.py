"""A victim behind the Open Inference Protocol: right answers, retries, terms, and answers that are not trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import tiny
from inference_server import Server, serving
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.endpoint import OpenInference
from threatloop.core.errors import CapReached, InputError, Problems
from threatloop.core.schema import ImageSchema
from threatloop.models.answers import Answers
from threatloop.models.build import build, load
from threatloop.models.network import dump
from threatloop.models.remote import RemoteResponder, remote_model
from threatloop.models.responder import local_service
from threatloop.models.wire import EndpointError

SCHEMA = ImageSchema(channels=1, height=8, width=8, classes=tuple("0123456789"))
ARCHITECTURE = Architecture(name="mlp", parameters={"hidden": [8]})
MODEL = dump(build(ARCHITECTURE, SCHEMA, torch.Generator().manual_seed(0)), ARCHITECTURE, SCHEMA)
X = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)


def predict(x: Any) -> Any:
    """Probabilities of the real network; what is sent is encoded already."""
    with torch.no_grad():
        return load(MODEL, torch.device("cpu"))(torch.from_numpy(x)).softmax(1).numpy()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(predict) as found:
        yield found


def endpoint(server: Server, **more: Any) -> OpenInference:
    terms = {"authorised_by": "the test", "request_cap": 100, "per_second": 1000.0, "batch": 8, **more}
    return OpenInference(url=server.url, model="m", **terms)


def responder(server: Server, **more: Any) -> RemoteResponder:
    return RemoteResponder(remote_model(endpoint(server, **more), SCHEMA))


def test_it_answers_like_the_model_itself_and_asks_nothing_twice(server: Server) -> None:
    here = responder(server)
    mine = local_service(MODEL).log_probs(X)
    np.testing.assert_allclose(here.log_probs(X), mine, atol=1e-5)
    assert (server.requests, server.records) == (1 + 3, 20)  # description, and three batches of at most 8
    again = np.concatenate([X[::-1], X[:3]])
    np.testing.assert_allclose(responder(server).log_probs(again), mine[[*range(19, -1, -1), 0, 1, 2]], atol=1e-5)
    assert (server.requests, server.records) == (4, 20)


def test_passing_failures_are_retried_and_booked(server: Server) -> None:
    here = responder(server, input="x", output="p", batch=20)
    server.faults = [503, 0, 429]
    assert here.log_probs(X).shape == (20, 10)
    assert server.requests == 4
    assert Answers(endpoint(server, input="x", output="p")).sent == 4


def test_what_was_answered_before_a_lasting_failure_is_kept(server: Server) -> None:
    here = responder(server, input="x", output="p", retries=1)
    here.log_probs(X[:8])
    server.faults = [500] * 2
    with pytest.raises(EndpointError, match="status 500"):
        here.log_probs(X)
    asked = server.records
    assert here.log_probs(X).shape == (20, 10)
    assert server.records == asked + 12


def test_the_request_cap_holds_over_responders_and_retries(server: Server) -> None:
    terms = {"input": "x", "output": "p", "request_cap": 3}
    server.faults = [503]
    responder(server, **terms).log_probs(X[:8])
    responder(server, **terms).log_probs(X[8:16])
    with pytest.raises(CapReached, match="request_cap of 3 is spent"):
        responder(server, **terms).log_probs(X)
    assert server.requests == 3


def test_the_rate_is_kept(server: Server) -> None:
    import time

    here = responder(server, input="x", output="p", batch=1, per_second=20.0)
    started = time.perf_counter()
    here.log_probs(X[:9])
    assert time.perf_counter() - started >= 8 / 20


def test_a_token_comes_from_the_environment_and_is_written_nowhere(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="TOKEN is not set"):
        responder(server, token_env="TOKEN").log_probs(X)
    monkeypatch.setenv("TOKEN", "s3cret-value")
    responder(server, token_env="TOKEN").log_probs(X)
    assert server.headers["authorization"] == "Bearer s3cret-value"
    assert not any(b"s3cret-value" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (lambda _: b"<html>", "not JSON"),
        (lambda _: {"outputs": "?"}, "no tensor 'p'"),
        (lambda a: {"outputs": [{**a["outputs"][0], "data": [0.5] * 7}]}, "10 classes"),
        (lambda a: {"outputs": [{**a["outputs"][0], "data": [3.0] * 80}]}, "outputs: logits"),
        (lambda a: {"outputs": [{**a["outputs"][0], "data": [float("nan")] * 80}]}, "NaN or infinite"),
    ],
)
def test_answers_are_not_trusted(server: Server, reply: Any, message: str) -> None:
    server.reply = reply
    with pytest.raises(EndpointError, match=message):
        responder(server).log_probs(X[:8])


def test_layout_scale_and_logits(server: Server) -> None:
    seen = []

    def logits(x: Any) -> Any:
        seen.append(x)
        return np.tile(np.arange(10.0), (len(x), 1)) * 3

    server.predict = logits
    here = responder(server, outputs="logits", layout="nhwc", datatype="UINT8")
    answers = here.log_probs(X[:2])
    np.testing.assert_allclose(np.exp(answers).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(seen[0], X[:2].transpose(0, 2, 3, 1))


def test_two_inputs_must_be_named_and_a_missing_model_is_said(server: Server) -> None:
    server.inputs = ("x", "mask")
    with pytest.raises(InputError, match=r"endpoint.input: the model has 2 inputs \(x, mask\); name one"):
        responder(server).named()
    with pytest.raises(EndpointError, match="status 404"):
        RemoteResponder(remote_model(OpenInference(**{**endpoint(server).model_dump(), "model": "n"}), SCHEMA)).named()


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "file:///etc/passwd"},
        {"url": "http://user:word@host"},
        {"authorised_by": ""},
        {"request_cap": 0},
        {"model": "../admin"},
    ],
)
def test_bad_terms_are_refused(bad: dict[str, Any]) -> None:
    good = {"url": "http://host", "model": "m", "authorised_by": "the test", "request_cap": 1}
    with pytest.raises(ValidationError):
        OpenInference.model_validate({**good, **bad})


def test_a_whole_audit_of_an_endpoint(server: Server, tmp_path: Path) -> None:
    """Theft and membership are measured, gradients are *not assessed*, and a second run asks nothing."""
    members = tmp_path / "members.npy"
    np.save(members, np.arange(0, 1200, 2))
    written = {**endpoint(server).model_dump(mode="json"), "request_cap": 2000, "batch": 256}
    target = {**tiny.DIGITS, "endpoint": written, "members": str(members)}
    scenarios = {
        "theft": {"attack": {**tiny.THEFT, "answers": "hard"}},
        "membership": {"attack": "loss_threshold"},
        "inversion": {"attack": "gradient_inversion"},
    }
    spec = tiny.spec({"digits": target}, scenarios)
    finished = tiny.run(spec, tmp_path)
    assert finished.record.errors == ()
    assert [(n.scenario, "an endpoint grants labels, scores" in n.why) for n in finished.record.not_assessed] == [
        ("inversion", True)
    ]
    rows = {(row["scenario"], row["arm"], row["metric"]): row for row in tiny.table(finished.out)}
    assert rows["theft", "attack", "fidelity"]["queries"] == tiny.THEFT["queries"]
    assert rows["membership", "attack", "membership"]["by_proxy"] is False
    assert "authorised by the test" in " ".join(finished.record.notes)
    asked = server.requests
    tiny.run(spec, tmp_path)
    assert server.requests == asked


class Flaky(list[int]):
    """Faults at every fifth request."""

    requests = 0

    def __bool__(self) -> bool:
        self.requests += 1
        return self.requests % 5 == 0

    def pop(self, _: Any = 0) -> int:
        return (429, 500, 0, 503)[self.requests // 5 % 4]


def audited(server: Server, folder: Path, cap: int) -> Any:
    members = folder / "members.npy"
    np.save(members, np.arange(0, 1200, 2))
    terms = {**endpoint(server, request_cap=cap, batch=256, retries=0).model_dump(mode="json")}
    names = ("loss_threshold", "square")
    scenarios = {name: {"attack": tiny.small(name)} for name in names}
    return tiny.run(
        tiny.spec({"digits": {**tiny.DIGITS, "endpoint": terms, "members": str(members)}}, scenarios), folder
    )


def test_an_audit_goes_on_where_faults_or_the_cap_ended_it_and_asks_nothing_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.table(audited(server, tmp_path, 2000).out)
    records = server.records
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    other = tmp_path / "other"
    other.mkdir()
    server.records = server.requests = 0
    capped = audited(server, other, 4).record
    assert server.requests == 4
    assert any("request_cap of 4 is spent; raise it if you are allowed to" in error.why for error in capped.errors)
    # What the cap cut short is no result: no attack counts as one that had its whole budget and failed.
    assert capped.not_assessed == ()
    assert {row["stop_reason"] for row in tiny.table(other / "out")} <= {"finished"}
    server.faults = Flaky()
    ended = audited(server, other, 2000).record.errors
    assert any("run again later: nothing is asked twice" in error.why for error in ended)
    server.faults = []
    finished = audited(server, other, 2000)
    assert finished.record.errors == ()
    assert server.records == records
    assert tiny.table(finished.out) == whole


def test_another_spelling_of_the_same_authorisation_counts_on(server: Server) -> None:
    first = endpoint(server)
    Answers(first).charge()
    Answers(first.model_copy(update={"input": "other", "mean": (0.5,), "request_cap": 5})).charge()
    assert Answers(first).sent == 2


def test_what_an_endpoint_cannot_grant_is_a_mistake_in_the_spec(server: Server, tmp_path: Path) -> None:
    target = {**tiny.DIGITS, "endpoint": endpoint(server).model_dump(mode="json"), "access": ["labels", "gradients"]}
    with pytest.raises(Problems, match="an endpoint cannot grant gradients"):
        tiny.plan(tiny.spec({"digits": target}), tmp_path / "store")


def test_an_unreachable_endpoint_is_one_line_before_any_compute(tmp_path: Path) -> None:
    gone = OpenInference(url="http://127.0.0.1:9", model="m", authorised_by="the test", request_cap=9, retries=0)
    members = tmp_path / "members.npy"
    np.save(members, np.arange(600))
    target = {**tiny.DIGITS, "endpoint": gone.model_dump(mode="json"), "members": str(members)}
    with pytest.raises(EndpointError, match="cannot be reached after 0 retries") as error:
        tiny.plan(tiny.spec({"digits": target}), tmp_path / "store")
    assert "\n" not in str(error.value)
    assert json.loads(gone.model_dump_json())["request_cap"] == 9


def test_the_dataset_type_is_untouched(server: Server) -> None:
    data = Dataset(X, np.zeros(20, np.int64), SCHEMA, np.arange(20))
    service = local_service(remote_model(endpoint(server), SCHEMA), ("labels",))  # type: ignore[arg-type]
    assert service.labels(data.x).shape == (20,)
