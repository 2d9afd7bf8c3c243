"""What a low-rank adapter, as peft writes it, says of itself. Nothing in it is fetched, imported or looked up."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from threatloop.core.digests import digest_file, digest_json
from threatloop.core.errors import InputError, Problems
from threatloop.models.language.bases import find_base

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MOST_BYTES, MOST_LAYERS = 1 << 20, 4096
HOW = f"an adapter's folder as peft writes it ({CONFIG} and {WEIGHTS})"
_IGNORED = frozenset(
    {
        *("auto_mapping", "base_model_name_or_path", "fan_in_fan_out", "inference_mode", "layers_pattern"),
        *("loftq_config", "lora_dropout", "megatron_core", "peft_version", "qalora_group_size", "revision"),
        *("corda_config", "eva_config", "lora_ga_config", "ensure_weight_tying"),
    }
)
"""Keys that change nothing about what a trained adapter computes."""
_READ = frozenset({"r", "lora_alpha", "target_modules", "use_rslora", "peft_type", "task_type", "init_lora_weights"})
_PLAIN = {"bias": "none"}
"""Values, other than none at all, of keys that would make it more than a plain low-rank adapter."""
_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Ways to begin a training that leave the base's own weights as they are."""
_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")


def is_adapter(path: Path) -> bool:
    """Whether a folder calls itself an adapter."""
    return path.is_dir() and (path / CONFIG).exists()


def shape_of(folder: Path) -> dict[str, Any]:
    """Rank, alpha and layers of an adapter, as the architecture ``causal_lm`` calls them.

    Raises:
        InputError: it cannot be read, or holds pickles.
        Problems: it is no plain low-rank adapter; all reasons.
    """
    told = _json(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        pickled = " (adapter_model.bin is a pickle, and not read)" if (folder / "adapter_model.bin").exists() else ""
        raise InputError(f"adapter {folder.name}: holds no {WEIGHTS}{pickled}; save it with peft's save_pretrained")
    if problems := list(_problems(told)):
        raise Problems(f"adapter {folder.name}, {CONFIG}", problems)
    rank, alpha, layers = int(told["r"]), float(told["lora_alpha"]), told["target_modules"]
    # Rank-stabilised adapters are scaled by alpha / √rank.
    alpha = alpha * math.sqrt(rank) if told.get("use_rslora") else alpha
    return {"rank": rank, "alpha": alpha, "layers": layers if isinstance(layers, str) else sorted(layers)}


def brought_shape(weights: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The shape of an adapter that was brought, beside what a spec states of it; nothing where it is none.

    Raises:
        InputError, Problems: it cannot be read, or the spec states something else.
    """
    if not is_adapter(weights):
        return {}
    shape = shape_of(weights)
    said = {name: stated[name] for name in shape if name in stated}
    if isinstance(said.get("layers"), (list, tuple)):
        said["layers"] = sorted(said["layers"])
    differ = [
        f"{name}: the adapter has {_short(shape[name])}, the spec's model {_short(value)}; leave it out of the spec"
        for name, value in said.items()
        if value != shape[name]
    ]
    if differ:
        raise Problems(f"adapter {weights.name}", differ)
    return shape


def digest_of(path: Path, base: str, beside: Path) -> str:
    """Of the content of an adapter's folder, or of the base model itself.

    Args:
        path: as the spec names it.
        base: digest of the base model.
        beside: the folder that relative paths start from.

    Raises:
        InputError: it is neither.
    """
    place = beside / path.expanduser()
    if is_adapter(place):
        return digest_json([digest_file(place / name) for name in (CONFIG, WEIGHTS)])
    try:
        found = find_base(str(path), beside).digest
    except InputError:
        raise InputError(f"{path}: is neither {HOW} nor the model that `base` names, to take it as it is") from None
    if found != base:
        raise InputError(f"{path}: is another model than `base`; name it there too to take it as it is, or give {HOW}")
    return found


def _json(file: Path) -> Mapping[str, Any]:
    at = f"adapter {file.parent.name}, {file.name}"
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{at}: {file.stat().st_size} bytes; at most {MOST_BYTES} are read")
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{at}: cannot be read ({str(error).splitlines()[0][:120]})") from None
    if not isinstance(told, dict):
        raise InputError(f"{at}: needs a JSON object, as peft writes it")
    return told


def _problems(told: Mapping[str, Any]) -> Iterator[str]:
    """Why this is no plain low-rank adapter, one line each."""
    if told.get("peft_type") != "LORA":
        yield f"peft_type: {_short(told.get('peft_type'))}; allowed is LORA"
    if told.get("task_type") not in (None, "CAUSAL_LM"):
        yield f"task_type: {_short(told['task_type'])}; allowed is CAUSAL_LM"
    rank, alpha = told.get("r"), told.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= 1024:
        yield f"r: {_short(rank)}; needs a whole number of 1 to 1024"
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool) or not 0 < alpha <= 1e6:
        yield f"lora_alpha: {_short(alpha)}; needs a number above 0, up to 1e6"
    yield from _layers(told.get("target_modules"))
    begun = told.get("init_lora_weights")
    if begun not in _STARTS:
        yield (
            f"init_lora_weights: {_short(begun)} changes the base's own weights; convert it to a plain adapter with "
            "peft (path_initial_model_for_weight_conversion)"
        )
    for name, value in told.items():
        if name not in _IGNORED | _READ and value and value != _PLAIN.get(name):
            yield f"{str(name)[:40]}: {_short(value)} is not supported; a plain low-rank adapter leaves it out"


def _layers(layers: Any) -> Iterator[str]:
    if layers == "all-linear":
        return
    if isinstance(layers, str):
        yield f"target_modules: the pattern {_short(layers)}; give the list of names, or all-linear"
    elif not isinstance(layers, list) or not 1 <= len(layers) <= MOST_LAYERS:
        yield f"target_modules: needs a list of 1 to {MOST_LAYERS} names"
    elif odd := [name for name in layers if not isinstance(name, str) or not _NAME.fullmatch(name)]:
        yield f"target_modules: {_short(odd[0])} is no name of a module"


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
