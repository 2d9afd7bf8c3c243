"""Adapters that a user brings: read as peft itself reads them, and refused in one go with all that differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="the llm extra is not installed")
pytest.importorskip("peft", reason="the llm extra is not installed")

import peft
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from threatloop.core.assets import Architecture
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import TextSchema
from threatloop.models.language.adapter_config import CONFIG, WEIGHTS, brought_shape, digest_of, shape_of
from threatloop.models.language.adapter_weights import read_adapter
from threatloop.models.language.bases import find_base
from threatloop.models.language.loading import language_of
from tiny_hub import save_tiny

SCHEMA = TextSchema(width=40)
IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base"))


def save_adapter(base: Path, folder: Path, **about: Any) -> torch.Tensor:
    """An adapter with weights of its own as peft saves it; what peft's model answers with it."""
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(0)
    config = peft.LoraConfig(**{"r": 4, "target_modules": ["q_proj", "up_proj"], "task_type": "CAUSAL_LM", **about})
    model = peft.get_peft_model(model, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.5)
    model.save_pretrained(folder)
    with torch.no_grad():
        answers: torch.Tensor = model.eval()(IDS).logits
    return answers


def architecture(base: Path, adapter: Path, **stated: Any) -> Architecture:
    shape = brought_shape(adapter, stated)
    digest = find_base(str(base), Path()).digest
    return Architecture(name="causal_lm", parameters={"context": 64, **stated, **shape, "base": digest})


@pytest.mark.parametrize(
    "about", [{}, {"use_rslora": True, "lora_alpha": 6}, {"target_modules": "all-linear", "lora_alpha": 3}]
)
def test_an_adapter_answers_as_under_peft(base: Path, tmp_path: Path, about: dict[str, Any]) -> None:
    expected = save_adapter(base, tmp_path / "tuned", **about)
    model = read_adapter(tmp_path / "tuned", architecture(base, tmp_path / "tuned"), SCHEMA)
    language = language_of(model, torch.device("cpu"))
    with torch.inference_mode():
        torch.testing.assert_close(language.project(language.hidden(IDS)), expected, atol=1e-4, rtol=1e-4)


def test_half_precision_is_read_and_the_base_itself_stands_for_no_adapter(base: Path, tmp_path: Path) -> None:
    save_adapter(base, tmp_path / "tuned")
    file = tmp_path / "tuned" / WEIGHTS
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file)
    model = read_adapter(tmp_path / "tuned", architecture(base, tmp_path / "tuned"), SCHEMA)
    assert {str(array.dtype) for array in model.weights.values()} == {"float32"}
    assert not read_adapter(base, architecture(base, base), SCHEMA).weights
    digest = find_base(str(base), Path()).digest
    assert digest_of(base, digest, Path()) == digest
    with pytest.raises(InputError, match="is another model than `base`"):
        digest_of(save_tiny(tmp_path / "other", seed=1), digest, Path())
    with pytest.raises(
        InputError, match=r"nowhere: is neither an adapter's folder as peft writes it \(adapter_config.json"
    ):
        digest_of(Path("nowhere"), digest, tmp_path)


def changed(folder: Path, **about: Any) -> None:
    told = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**told, **about}))


def test_all_that_is_no_plain_adapter_is_listed(base: Path, tmp_path: Path) -> None:
    save_adapter(base, tmp_path)
    changed(tmp_path, peft_type="IA3", r=0, lora_alpha="much", target_modules="(a+)+", use_dora=True, new_key={"a": 1})
    changed(tmp_path, init_lora_weights="pissa", base_model_name_or_path="https://example.org/never")
    with pytest.raises(Problems) as caught:
        shape_of(tmp_path)
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 7
    for part in ("peft_type: 'IA3'", "r: 0", "lora_alpha: 'much'", "the pattern '(a+)+'", "use_dora", "new_key"):
        assert part in said
    assert "init_lora_weights: 'pissa' changes the base's own weights" in said


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / CONFIG).write_text("{"), "cannot be read"),
        (lambda f: (f / CONFIG).write_text("[" * 100_000), "cannot be read"),
        (lambda f: (f / CONFIG).write_text("[1]"), "needs a JSON object"),
        (lambda f: (f / CONFIG).write_text(" " * (1 << 20) + "{}"), "at most 1048576"),
        (lambda f: (f / WEIGHTS).rename(f / "adapter_model.bin"), "is a pickle, and not read"),
        (lambda f: (f / WEIGHTS).write_bytes(b"\xff" * 64), "cannot be read"),
    ],
)
def test_damaged_folders_are_one_line(
    base: Path, tmp_path: Path, break_it: Callable[[Path], object], said: str
) -> None:
    save_adapter(base, tmp_path)
    shape = architecture(base, tmp_path)
    break_it(tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        (shape_of(tmp_path), read_adapter(tmp_path, shape, SCHEMA))
    assert "\n" not in str(caught.value)


def test_what_differs_between_adapter_and_base_is_listed_once_for_all_layers(base: Path, tmp_path: Path) -> None:
    save_adapter(base, tmp_path)
    file, shape = tmp_path / WEIGHTS, architecture(base, tmp_path)
    tensors = load_file(file)
    for layer in (0, 1):
        at = f"base_model.model.model.layers.{layer}"
        tensors[f"{at}.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 64)
        tensors[f"{at}.mlp.up_proj.lora_A.weight"] = torch.zeros(4, 32, dtype=torch.int32)
        tensors[f"{at}.mlp.gate_proj.lora_A.weight"] = torch.zeros(4, 32)
    del tensors["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"]
    save_file(tensors, file)
    with pytest.raises(Problems) as caught:
        read_adapter(tmp_path, shape, SCHEMA)
    wrong, said = caught.value.problems, str(caught.value)
    assert len(wrong) == 4
    assert "model.layers.*.self_attn.q_proj.lora_A.weight is (4, 64); this base model" in said
    assert "need (4, 32) (2 layers)" in said
    assert "model.layers.1.mlp.up_proj.lora_B.weight is missing" in said
    assert "gate_proj.lora_A.weight is unexpected" in said
    assert "holds I32; allowed are F64, F32, F16, BF16 (2 layers)" in said


def test_numbers_that_are_none_and_a_spec_that_says_otherwise_are_refused(base: Path, tmp_path: Path) -> None:
    save_adapter(base, tmp_path)
    shape = architecture(base, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(Problems, match="has NaN or infinite numbers"):
        read_adapter(tmp_path, shape, SCHEMA)
    with pytest.raises(Problems, match=r"rank: the adapter has 4, the spec's model 8(?s:.)*layers: the adapter has"):
        brought_shape(tmp_path, {"rank": 8, "layers": ["v_proj"]})
    assert brought_shape(tmp_path, {"rank": 4, "layers": ["up_proj", "q_proj"]})["layers"] == ["q_proj", "up_proj"]


def test_an_adapter_of_another_base_says_which_layers_it_misses(base: Path, tmp_path: Path) -> None:
    save_adapter(base, tmp_path)
    changed(tmp_path, target_modules=["c_attn"])
    with pytest.raises(InputError, match="layers"):
        read_adapter(tmp_path, architecture(base, tmp_path), SCHEMA)
