"""What stands beside a model file and says what it is: the configuration and the model card's front matter."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from threatloop.threats.plain_yaml import PlainYamlError, load

SUFFIXES: Final = frozenset({
    ".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".gguf", ".onnx", ".h5", ".hdf5", ".keras", ".pkl", ".pickle",
    ".joblib",
    ".pb", ".tflite", ".npz", ".model", ".mar", ".dill", ".skops", ".ubj", ".cbm", ".pt2",
})  # fmt: skip
"""Extensions of files that hold a model, as opposed to its configuration."""
_LARGEST_TEXT: Final = 1 << 20
_BLOCK: Final = 1 << 20
_FRONT_MATTER: Final = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*\r?\n", re.DOTALL)


@dataclass(frozen=True)
class ModelFacts:
    """What is said of a model file; texts are untrusted and empty where nothing is said.

    Attributes:
        sha256: of the file; empty where it cannot be read.
        architecture: such as ``LlamaForCausalLM``.
        family: such as ``llama``.
        task: such as ``text-generation``.
        license: as the card has it.
        datasets: names.
        base: the model it was tuned from.
    """

    sha256: str = ""
    architecture: str = ""
    family: str = ""
    task: str = ""
    license: str = ""
    datasets: tuple[str, ...] = ()
    base: str = ""


def model_facts(path: Path) -> ModelFacts:
    """Read what stands beside a model file, and the file's digest in blocks."""
    config, card = _config(path.parent / "config.json"), _card(path.parent / "README.md")
    architectures = config.get("architectures")
    base = card.get("base_model")
    return ModelFacts(
        sha256=_digest(path),
        architecture=_text(architectures[0]) if isinstance(architectures, list) and architectures else "",
        family=_text(config.get("model_type")),
        task=_text(card.get("pipeline_tag")),
        license=_text(card.get("license")),
        datasets=_texts(card.get("datasets")),
        base=", ".join(_texts(base)),
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def _config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_small(path))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _card(path: Path) -> dict[str, Any]:
    found = _FRONT_MATTER.match(_small(path))
    if not found:
        return {}
    try:
        content = load(found[1])
    except PlainYamlError:
        return {}
    return content if isinstance(content, dict) else {}


def _small(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value),)
    return tuple(_text(one) for one in value[:50] if isinstance(one, str)) if isinstance(value, list) else ()
