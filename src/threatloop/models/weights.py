"""The user's own trained weights: safetensors, or a torch state dict without code in it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import InputError, NotAssessable, Problems
from threatloop.core.schema import Schema
from threatloop.models.build import build
from threatloop.models.language.bases import ADAPTED
from threatloop.models.language.loading import check_language
from threatloop.models.network import Network, dump, for_inference
from threatloop.models.shapes import input_shape, logits_shape, normalises

Tensors = Mapping[str, torch.Tensor]
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_OPTIONAL = ("mean", "std")


def read_model(path: Path, architecture: Architecture, schema: Schema, *, allow_code: bool = False) -> Model:
    """The user's trained model.

    Args:
        path: ``.safetensors``, or ``.pt`` / ``.pth`` with a state dict; names with or without the prefixes ``body.``
            and ``module.`` (of torch's data-parallel wrappers).
        architecture: what the weights belong to. Where mean and std are neither stated nor in the file, inputs are
            used as they are.
        schema: what the model should read and answer.
        allow_code: whether the user's own factory may run.

    Raises:
        InputError: unreadable file, a pickle, outputs that do not fit the schema.
        Problems: names that are missing, unexpected, of another shape or not finite: all of them.
    """
    tensors = _trimmed(read_tensors(path))
    network = build(architecture, schema, torch.Generator().manual_seed(0), allow_code=allow_code)
    own = network.state_dict()
    if problems := _problems(tensors, own, {n for n in _OPTIONAL if getattr(architecture, n) is not None}):
        raise Problems(f"weights {path.name} for architecture {architecture.name}", problems)
    stated = {n: own[n] for n in _OPTIONAL if n in own and (getattr(architecture, n) is not None or n not in tensors)}
    network.load_state_dict({**tensors, **stated})
    _check_answers(network, schema, architecture)
    return dump(network, architecture, schema, {"weights_from": path.name})


def check_architecture(
    architecture: Architecture, schema: Schema, *, allow_code: bool = False, trained: bool = False
) -> None:
    """Build the network and let it answer once; ``trained``: it must also let gradients through to its weights.

    Raises:
        InputError, Problems: unknown name or parameters, another kind of record, outputs that do not fit the schema,
            a factory that fails, a network that no recipe can train.
    """
    if architecture.name == ADAPTED:
        check_language(architecture, schema)
        return
    try:
        network = build(architecture, schema, torch.Generator().manual_seed(0), allow_code=allow_code)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"architecture {architecture.name} failed: {type(error).__name__}: {reason}") from error
    _check_answers(network, schema, architecture)
    if trained and not _lets_gradients_through(network, schema):
        raise InputError(
            f"architecture {architecture.name}: no gradient reaches its weights, so no recipe can train it; let "
            "`forward` return what the last layer computes, or bring trained `weights`"
        )


def _lets_gradients_through(network: Network, schema: Schema) -> bool:
    network.requires_grad_(True).train()
    try:
        return bool(network(_sample(schema)).requires_grad)
    except NotAssessable:
        return False
    finally:
        network.requires_grad_(False).eval()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors of a weights file, on the CPU. No code in the file is ever run.

    Raises:
        InputError: no such file, another format, a damaged file, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"weights: no file {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pt", ".pth"):
        return _read_state_dict(path)
    raise InputError(f"weights: {path.name} is neither .safetensors nor .pt/.pth (a state dict saved by torch)")


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"weights: {path.name} is not a readable safetensors file ({error})") from error


def _read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"weights: {path.name} is a pickle where weights are expected; save model.state_dict() or safetensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"weights: {path.name} is not a readable state dict ({reason})") from error
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(isinstance(t, torch.Tensor) for t in found.values()):
        raise InputError(f"weights: {path.name} holds no state dict (names to tensors); save model.state_dict()")
    return dict(found)


def _trimmed(tensors: Tensors) -> dict[str, torch.Tensor]:
    """The names as `Network` has them."""
    bare = tensors
    if bare and all(name.startswith("module.") for name in bare):
        bare = {name.removeprefix("module."): tensor for name, tensor in bare.items()}
    if not any(name.startswith("body.") for name in bare):
        bare = {f"body.{name}": tensor for name, tensor in bare.items()}
    return dict(bare)


def _problems(found: Tensors, own: Tensors, stated: set[str]) -> list[str]:
    needed = {n for n in own if n not in _OPTIONAL and not n.endswith("num_batches_tracked")}
    lines = [f"{name.removeprefix('body.')} is missing" for name in own if name in needed - found.keys()]
    lines += [f"{name.removeprefix('body.')} is unexpected" for name in found if name not in own]
    for name in own.keys() & found.keys() - stated:
        short, shape, there = name.removeprefix("body."), tuple(own[name].shape), tuple(found[name].shape)
        if shape != there:
            lines.append(f"{short} has shape {there}; this architecture with this data needs {shape}")
        elif not bool(torch.isfinite(found[name]).all()):
            lines.append(f"{short} has NaN or infinite numbers")
    return sorted(lines)


def _sample(schema: Schema) -> torch.Tensor:
    return torch.zeros((2, *input_shape(schema)), dtype=torch.float32 if normalises(schema) else torch.int64)


def _check_answers(network: Network, schema: Schema, architecture: Architecture) -> None:
    needed = (2, *logits_shape(schema))
    try:
        with torch.no_grad():
            answers = for_inference(network, torch.device("cpu"))(_sample(schema))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"architecture {architecture.name} cannot read records {input_shape(schema)}: {reason}"
        ) from error
    if tuple(answers.shape) != needed:
        raise InputError(
            f"architecture {architecture.name} answers {tuple(answers.shape)[1:]} per record; "
            f"this data has {schema.kind} records that need {needed[1:]}"
        )
