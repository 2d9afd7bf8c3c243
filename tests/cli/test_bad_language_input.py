"""What can be wrong with language models and their data: a clear line and exit status 2, before any compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop.core.errors import InputError
from threatloop.models.language import bases
from threatloop.models.language.bases import find_base, folder_of

GPT = {"name": "gpt", "parameters": {"width": 16, "layers": 1}}
ASK = {"name": "prompt_transform", "goals": 2, "tokens": 4, "queries": 10}
KINDS = (
    ("train", "Draw", "general"),
    ("train", "Cook", "refused"),
    ("test", "Bake", "refused"),
    ("attacker", "Cook", "answered"),
)


def turns(question: str, answer: str = "I cannot.") -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def conversations() -> list[str]:
    return [
        json.dumps({"messages": turns(f"{do} {i}"), "label": label, "part": part})
        for part, do, label in KINDS
        for i in range(24)
    ]


def told(
    folder: Path,
    patch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: list[str] | None = None,
    attack: Any = None,
    **target: Any,
) -> str:
    """What the command line says of such a target; it must exit with 2."""
    (folder / "chats.jsonl").write_text("\n".join(lines or conversations()), encoding="utf-8")
    whole = {
        "data": {"chat": "chats.jsonl", "room": 60},
        "model": GPT,
        "recipe": {"epochs": 1, "optimiser": "adam"},
        "shadows": 2,
        "access": ["labels", "scores", "text", "logprobs"],
    }
    path = tiny.save(tiny.spec({"t": {**whole, **target}}, {"s": {"attack": attack or ASK}}), folder)
    out, store = folder / "out", folder / "store"
    command = ("audit", path, "--backend", "inline", "--out", out, "--store", store)
    assert tiny.command_line(patch, *command) == 2
    said = capsys.readouterr().err.strip().splitlines()
    start = next(i for i, line in enumerate(said) if line.startswith("threatloop: "))
    return "\n".join(said[start:])


def test_all_broken_lines_are_listed_with_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = conversations()
    lines[2], lines[5] = "{broken", json.dumps({"messages": [{"content": "who says this?"}]})
    lines[7], lines[9] = json.dumps({"messages": [{"role": "tool", "content": "x"}]}), json.dumps({"text": "x"})
    said = told(tmp_path, monkeypatch, capsys, lines).splitlines()
    assert said[0] == "threatloop: chat chats.jsonl: 4 problems"
    assert "line 3: no JSON" in said[1]
    assert "line 6: messages[0]: needs `role` (system, user, assistant) and `content`" in said[2]
    assert "line 8: messages[0].role: 'tool'; allowed are system, user, assistant" in said[3]
    assert "line 10: needs `messages`, or `prompt` and `completion`" in said[4]


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ({"name": "mlp"}, "architecture: mlp does not read text records; use gpt"),
        ({"name": "gtp"}, "'gtp' is unknown; did you mean gpt?"),
        ({"name": "causal_lm"}, "causal_lm is the victim's own where it has a base model; leave it out, or take gpt"),
    ],
)
def test_a_student_that_cannot_be(
    architecture: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attack = {"name": "text_distillation", "queries": 10, "architecture": architecture}
    assert said in told(tmp_path, monkeypatch, capsys, attack=attack)


def test_a_folder_is_no_weights_of_a_small_transformer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tuned").mkdir()
    said = told(tmp_path, monkeypatch, capsys, weights="tuned")
    assert said.startswith("threatloop: targets.t.weights: ")
    assert "is a folder; those of gpt are one file, .safetensors or .pt" in said


@pytest.mark.parametrize("reason", [OSError(28, "No space left on device"), None])
def test_no_room_for_a_base_is_said(reason: OSError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(_file: Path, folder: Path) -> None:
        (folder / "half").touch()
        raise reason or SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bases, "_convert", full)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"model.gguf: cannot be kept in .*No space left.*set XDG_CACHE_HOME"):
        folder_of(find_base("model.gguf", tmp_path).digest)
    assert list((tmp_path / "threatloop" / "bases").iterdir()) == []


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="the llm extra is not installed")
    pytest.importorskip("peft", reason="the llm extra is not installed")
    from tiny_hub import save_tiny

    return save_tiny(tmp_path_factory.mktemp("base"))


class TestBase:
    """With a tiny base model in Hugging Face's format."""

    def model(self, base: Path, **more: Any) -> dict[str, Any]:
        return {"name": "causal_lm", "parameters": {"base": str(base), "context": 96, **more}}

    @pytest.mark.parametrize("given", [True, False])
    def test_records_beyond_the_context(
        self, base: Path, given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        lines = conversations()
        lines[4] = json.dumps({"messages": turns("x" * 300), "label": "general"})
        brought = {"weights": str(base)} if given else {}
        said = told(tmp_path, monkeypatch, capsys, lines, model=self.model(base), **brought)
        assert said.startswith("threatloop: targets.t: 1 records are longer than the model's context of 96 tokens")
        assert "(first: record 4, 3" in said
        assert "raise `context`" in said

    def test_a_tokenizer_without_a_template(
        self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        from tiny_hub import save_tiny

        bare = save_tiny(tmp_path / "bare", template=None)
        said = told(tmp_path, monkeypatch, capsys, model=self.model(bare))
        assert said == (
            "threatloop: targets.t: the tokenizer has no template for conversations; take a model that was tuned for "
            "chat, or documents"
        )
        assert base.is_dir()

    @pytest.mark.parametrize("content", [b"GGUF\x03\x00\x00\x00", b"GGUF" + bytes(60), b"no"])
    def test_a_gguf_file_that_is_none(
        self, base: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        assert base.is_dir()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        (tmp_path / "odd.gguf").write_bytes(content)
        said = told(tmp_path, monkeypatch, capsys, model=self.model(tmp_path / "odd.gguf"))
        assert "odd.gguf: this GGUF file cannot be read (" in said
        assert "architectures that can: " in said
        assert "llama" in said
        assert "\n" not in said

    def test_weights_that_are_nowhere(
        self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        said = told(tmp_path, monkeypatch, capsys, model=self.model(base), weights="nowhere")
        assert said.startswith("threatloop: targets.t.weights: nowhere: is neither an adapter's folder as peft writes")
