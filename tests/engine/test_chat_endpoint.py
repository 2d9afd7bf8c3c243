"""Whole audits of a language model behind an endpoint: what it offers decides what is assessed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import tiny
from chat_server import Server, serving
from threatloop.core.assets import Architecture
from threatloop.core.errors import Problems
from threatloop.core.schema import TextSchema
from threatloop.models.build import build
from threatloop.models.network import dump
from threatloop.models.wire import EndpointError

RECORDS, LENGTH = 120, 24
SCHEMA = TextSchema(width=LENGTH)
GPT = Architecture(name="gpt", parameters={"width": 16, "layers": 1})
MODEL = dump(build(GPT, SCHEMA, torch.Generator().manual_seed(3)), GPT, SCHEMA)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(MODEL) as found:
        yield found


def spec(url: str, folder: Path, **more: Any) -> dict[str, Any]:
    np.save(folder / "members.npy", np.arange(0, RECORDS, 2))
    terms = {"authorised_by": "the test", "request_cap": 2000, "per_second": 10_000.0, "retries": 0, **more}
    target = {
        "data": {"text": "stdlib", "limit": RECORDS, "length": LENGTH},
        "members": str(folder / "members.npy"),
        "model": GPT.model_dump(),
        "recipe": tiny.RECIPE,
        "shadows": 2,
        "endpoint": {"protocol": "openai", "url": url, "model": "m", **terms},
    }
    return tiny.spec({"served": target}, {"membership": {"attack": "loss_threshold"}})


def test_membership_of_a_served_model_is_that_of_the_same_weights(server: Server, tmp_path: Path) -> None:
    finished = tiny.run(spec(server.url, tmp_path), tmp_path)
    assert finished.record.not_assessed == ()
    assert f"is served at {server.url}/v1 (audit authorised by the test)" in " ".join(finished.record.notes)
    rows = {(row["scenario"], row["arm"], row["metric"]): row for row in tiny.table(finished.out)}
    served = rows["membership", "attack", "membership"]["value"]
    asked = server.requests
    tiny.run(spec(server.url, tmp_path), tmp_path)
    assert server.requests == asked

    here = spec(server.url, tmp_path)
    target = here["targets"]["served"]
    del target["endpoint"]
    weights = tmp_path / "m.safetensors"
    save_file(dict(MODEL.weights), weights)
    target |= {"weights": str(weights), "access": ["labels", "scores"]}
    found = tiny.table(tiny.run(here, tmp_path / "here").out)
    (mine,) = [r for r in found if (r["scenario"], r["arm"], r["metric"]) == ("membership", "attack", "membership")]
    assert served == pytest.approx(mine["value"], abs=0.01)
    assert math.isfinite(served)


def test_what_the_endpoint_refuses_is_not_assessed_because_it_refused(server: Server, tmp_path: Path) -> None:
    server.offers = ("chat", "logprobs")
    finished = tiny.run(spec(server.url, tmp_path), tmp_path)
    assert finished.record.errors == ()
    (notice,) = finished.record.not_assessed
    assert notice.scenario == "membership"
    assert notice.why.endswith("the endpoint scores no given texts (completions with echo and logprobs)")
    asked = server.requests
    assert asked <= 5
    tiny.run(spec(server.url, tmp_path), tmp_path)
    assert server.requests == asked


def test_what_no_endpoint_grants_is_a_mistake_in_the_spec(server: Server, tmp_path: Path) -> None:
    written = spec(server.url, tmp_path)
    written["targets"]["served"]["access"] = ["text", "gradients"]
    with pytest.raises(Problems, match="cannot grant gradients; allowed: labels, scores, text, logprobs"):
        tiny.plan(written, tmp_path / "store")
    assert server.requests == 0


def test_an_endpoint_that_is_down_is_one_line_before_any_compute(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="cannot be reached after 0 retries") as error:
        tiny.plan(spec("http://127.0.0.1:9", tmp_path), tmp_path / "store")
    assert "\n" not in str(error.value)
