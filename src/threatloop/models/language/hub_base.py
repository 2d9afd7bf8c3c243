"""Base models of Hugging Face's format in memory, with room for one adapter at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from threatloop.core.errors import InputError
from threatloop.core.memory import reuse_freed
from threatloop.models.language.bases import INSTALL, folder_of, quiet
from threatloop.models.language.hub_codec import HubCodec, codec_in

Arrays = Mapping[str, npt.NDArray[Any]]


class Adapter(BaseModel):
    """The parameters of the architecture ``causal_lm``: a base model, and the low-rank adapter that is trained.

    Hu et al. 2021, "LoRA", arXiv 2106.09685.

    Attributes:
        base: ``smollm2``, a model's folder or a GGUF file; its digest once the spec was read.
        rank: of the change to each matrix, ≥ 1.
        alpha: the change is scaled by alpha / rank, > 0.
        layers: names of the matrices that get an adapter; ``all-linear`` for all but the last layer.
        context: tokens that are read at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = "smollm2"
    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=16.0, gt=0)
    layers: tuple[str, ...] | str = "all-linear"
    context: int = Field(default=512, ge=8)


class Holder(Protocol):
    """Whose adapter a network holds."""

    def keep(self) -> None:
        """Note what the network holds, before another adapter is put into it."""

    def put_into(self, adapter: Mapping[str, nn.Parameter]) -> None:
        """Write one's own adapter into the network."""


class SharedBase:
    """A base with an adapter in it, for all languages of one process that differ in the adapter's values only."""

    def __init__(self, network: Any, codec: HubCodec) -> None:
        self.network, self.codec = network, codec
        self.adapter: dict[str, nn.Parameter] = {n: p for n, p in network.named_parameters() if ".lora_" in n}
        self._holder: Holder | None = None
        self._layers, self._changes = _adapted(network), True

    def lend(self, language: Holder) -> None:
        """Make sure that it holds this language's adapter."""
        if self._holder is language:
            return
        if self._holder is not None:
            self._holder.keep()
        language.put_into(self.adapter)
        self._holder = language

    def settle(self, learns: bool) -> None:
        """Compute with the adapter where it learns or changes anything; to go through zeros takes a seventh longer."""
        changes = learns or any(bool(p.any()) for name, p in self.adapter.items() if ".lora_B." in name)
        if changes != self._changes:
            for layer in self._layers:
                layer.enable_adapters(changes)
            self._changes = changes
        for parameter in self.adapter.values():
            parameter.requires_grad_(learns)

    def forget(self, language: Holder) -> None:
        """What it holds of this language is out of date."""
        if self._holder is language:
            self._holder = None

    def values(self) -> Arrays:
        """What it holds, copied."""
        return {name: p.detach().cpu().numpy().copy() for name, p in self.adapter.items()}


_networks: dict[tuple[Any, ...], SharedBase] = {}


def shared_base(parameters: Adapter, device: torch.device) -> SharedBase:
    """The base with an adapter of this shape; the last one is kept."""
    layers = parameters.layers if isinstance(parameters.layers, str) else tuple(parameters.layers)
    key = (parameters.base, parameters.rank, parameters.alpha, layers, str(device))
    if key not in _networks:
        _networks.clear()
        reuse_freed()
        network = _load(parameters, device)
        codec = codec_in(folder_of(parameters.base), int(network.config.vocab_size))
        _networks[key] = SharedBase(network, codec)
    return _networks[key]


def _load(parameters: Adapter, device: torch.device) -> Any:
    folder = str(folder_of(parameters.base))
    with quiet() as hub:
        try:
            model = hub.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"base model {parameters.base[:12]}: cannot be loaded ({reason})") from None
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise InputError(f"language models need transformers and peft: {INSTALL}") from None
    layers = parameters.layers if isinstance(parameters.layers, str) else list(parameters.layers)
    with torch.random.fork_rng(devices=[]):
        config = LoraConfig(
            r=parameters.rank, lora_alpha=parameters.alpha, target_modules=layers, task_type="CAUSAL_LM"
        )
        try:
            inject_adapter_in_model(config, model)
        except ValueError as error:
            raise InputError(f"layers: {' '.join(str(error).split())[:200]}") from None
    return model.to(device).requires_grad_(False).eval()


def _adapted(network: Any) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
