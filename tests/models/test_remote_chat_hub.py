"""An endpoint that serves a model of Hugging Face's format: its own template and tokenizer stand behind the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="the llm extra is not installed")
pytest.importorskip("peft", reason="the llm extra is not installed")

from chat_server import serving
from threatloop.core.assets import Architecture, Model
from threatloop.core.endpoint import ENDPOINT
from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.core.service import Speaking
from threatloop.modality.conversation import asked, prompt_of, read, write
from threatloop.models.language import bases
from threatloop.models.language.bases import find_base
from threatloop.models.remote import remote_model
from threatloop.models.remote_chat import RemoteChat
from threatloop.models.responder import responder_of
from tiny_hub import save_tiny

SCHEMA = TextSchema(width=120)
TINY = {role: f"<|{role}|>{{}}<|end|>" for role in ("system", "user", "assistant")}
CHATML = {role: f"<|im_start|>{role}\n{{}}<|im_end|>\n" for role in ("system", "user", "assistant")}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def base_model(base: str) -> Model:
    """The base itself, with no adapter."""
    found = find_base(base, Path())
    bases.remember({found.digest: str(found.path)})
    return Model(Architecture(name="causal_lm", parameters={"base": found.digest, "context": 128}), SCHEMA, {})


def endpoint(url: str, turns: dict[str, str], **more: Any) -> RemoteChat:
    terms = {"protocol": "openai", "url": url, "model": "m", "authorised_by": "the test", "request_cap": 99}
    more |= {"per_second": 1000.0, "timeout": 600.0, "retries": 0, "turns": turns}
    found = RemoteChat(remote_model(ENDPOINT.validate_python(terms | more), SCHEMA))
    return RemoteChat(found.named())


def same_as_here(model: Model, turns: dict[str, str], x: Any, tokens: int) -> list[str]:
    """The replies of a served model, once they and its scores are found to be those of the model here."""
    here = responder_of(model)
    assert isinstance(here, Speaking)
    prompts = write([prompt_of(record) for record in read(x)], SCHEMA.width)
    with serving(model) as server:
        remote = endpoint(server.url, turns)
        found = remote.replies(prompts, tokens)
        # What stands for nothing in a record cannot come over the network.
        clean = str.maketrans("", "", "\0\x1e")
        assert found == [reply.translate(clean) for reply in here.replies(prompts, tokens)]
        np.testing.assert_allclose(remote.log_probs(x)[..., 0], here.log_probs(x)[..., 0], atol=2e-3)
    return found


def test_a_tiny_model_of_that_format(tmp_path: Path) -> None:
    model = base_model(str(save_tiny(tmp_path / "tiny")))
    x = write(["plain text, naïve", asked("Why?", "So."), asked("How?", "Like this.", "Be brief.")], SCHEMA.width)
    assert len(same_as_here(model, TINY, x, 6)) == 3


@pytest.mark.slow
def test_the_embedded_base() -> None:
    try:
        model = base_model("smollm2")
    except InputError as reason:
        pytest.skip(str(reason))
    question = asked("What is the capital of France?", "Paris.", "You are a helpful assistant.")
    (reply,) = same_as_here(model, CHATML, write([question], SCHEMA.width), 8)
    assert "Paris" in reply
