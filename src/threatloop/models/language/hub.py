"""Base models of Hugging Face's format with low-rank adapters."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from threatloop.core.errors import InputError
from threatloop.modality.conversation import Chat, Record, Turn
from threatloop.models.language.bases import INSTALL, folder_of, quiet
from threatloop.models.language.codecs import Codec, Tokens, padded
from threatloop.models.language.language import Language, Reading

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


class HubCodec(Codec):
    """A tokenizer of Hugging Face's format, with its template for conversations."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self._tokenizer = tokenizer
        self.size = size
        ends = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")}
        self.ends = frozenset(int(one) for one in ends if isinstance(one, int) and one != tokenizer.unk_token_id)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self.pad = int(pad or 0)

    def tokens(self, record: Record) -> Tokens:
        """See `Codec.tokens`."""
        if isinstance(record, str):
            whole = self._ids(record)
            return Tokens(whole, (False, *(True for _ in whole[1:])))
        ids, counted, before = list[int](), list[bool](), ""
        for place, turn in enumerate(record):
            if turn.role != "assistant":
                continue
            opened = self._rendered(record[:place], True)
            closed = self._rendered(record[: place + 1], False)
            self._add(ids, counted, opened.removeprefix(before), False)
            self._add(ids, counted, closed.removeprefix(opened), True)
            before = closed
        self._add(ids, counted, self._rendered(record, False).removeprefix(before), False)
        return Tokens(tuple(ids), (False, *counted[1:]))

    def prompt(self, record: Record) -> tuple[int, ...]:
        """See `Codec.prompt`."""
        return self._ids(record) if isinstance(record, str) else self._ids(self._rendered(record, True))

    def text(self, ids: Sequence[int]) -> str:
        """See `Codec.text`."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _add(self, ids: list[int], counted: list[bool], text: str, counts: bool) -> None:
        """Tokens of a piece; of a reply all count up to the one that ends it."""
        for one in self._ids(text):
            ids.append(one)
            counted.append(counts)
            counts = counts and one not in self.ends

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def _rendered(self, chat: Chat | tuple[Turn, ...], opened: bool) -> str:
        if self._tokenizer.chat_template is None:
            raise InputError(
                "the tokenizer has no template for conversations; take a model that was tuned for chat, or documents"
            )
        turns = [{"role": turn.role, "content": turn.content} for turn in chat]
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=opened))


class HubLanguage(Language):
    """The architecture ``causal_lm``. Languages of one base and one shape of adapter share one network.

    Args:
        parameters: base and adapter.
        device: where it runs.
    """

    def __init__(self, parameters: Adapter, device: torch.device) -> None:
        self._shared = _shared(parameters, device)
        self._own: Arrays = {}
        self._learns = False
        self._before: dict[bool, tuple[tuple[int, ...], Any]] = {}
        network = self._shared.network
        folder = str(folder_of(parameters.base))
        with quiet() as hub:
            tokenizer = hub.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.codec = HubCodec(tokenizer, int(network.config.vocab_size))
        most = int(getattr(network.config, "max_position_embeddings", parameters.context))
        self.context = min(parameters.context, most)
        self.width = int(network.config.hidden_size)
        self.device = device
        takes = inspect.signature(network.base_model.forward).parameters
        self._memory = "cache" if "cache" in takes else "past_key_values"

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.hidden`."""
        states: torch.Tensor = self._body(input_ids=ids, use_cache=False).last_hidden_state
        return states

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Language.project`."""
        logits: torch.Tensor = self._model.get_output_embeddings()(hidden)
        return logits

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.embed`."""
        vectors: torch.Tensor = self._model.get_input_embeddings()(ids)
        return vectors

    def hidden_of(self, embedded: torch.Tensor) -> torch.Tensor:
        """See `Language.hidden_of`."""
        states: torch.Tensor = self._body(inputs_embeds=embedded, use_cache=False).last_hidden_state
        return states

    def learning(self) -> Mapping[str, nn.Parameter]:
        """The adapter's matrices."""
        self._shared.lend(self)
        return self._shared.adapter

    def train(self, on: bool = True) -> None:
        """See `Language.train`. The base has no dropout in use either way."""
        self._learns, self._before = on, {}
        self._shared.lend(self)
        for parameter in self._shared.adapter.values():
            parameter.requires_grad_(on)

    def behind(self, prefix: Sequence[int], ids: torch.Tensor) -> torch.Tensor:
        """See `Language.behind`; keys and values of the last prefix are kept."""
        model = self._model
        if not prefix:
            return super().behind(prefix, ids)
        with torch.no_grad():
            # What was read in rounded numbers is of no use to who reads on in exact ones.
            rounded = torch.is_autocast_enabled(self.device.type)
            read, memory = self._before.get(rounded, ((), None))
            if read != tuple(prefix) or self._learns:
                with quiet() as hub:
                    memory = hub.DynamicCache(config=model.config)
                before = torch.tensor([list(prefix)], device=self.device)
                self._body(input_ids=before, use_cache=True, **{self._memory: memory})
                self._before[rounded] = (tuple(prefix), memory)
            # A copy, since reading on appends to it.
            memory = copy.deepcopy(memory)
            memory.batch_repeat_interleave(len(ids))
            states: torch.Tensor = self._body(
                input_ids=ids.to(self.device), use_cache=True, **{self._memory: memory}
            ).last_hidden_state
            return states

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Reading, torch.Tensor]:
        """See `Language.begin`; what was read stays in a cache of keys and values."""
        with quiet() as hub:
            memory = hub.DynamicCache(config=self._model.config)
        ids = padded(prompts, self.codec.pad, left=True).to(self.device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        mask = torch.arange(ids.shape[1], device=self.device) >= ids.shape[1] - lengths[:, None]
        reading = Reading([list(prompt) for prompt in prompts], memory, mask)
        return reading, self._read(reading, ids)

    def go_on(self, reading: Reading, following: Sequence[int]) -> torch.Tensor:
        """See `Language.go_on`."""
        assert reading.mask is not None
        for row, one in zip(reading.rows, following, strict=True):
            row.append(int(one))
        reading.mask = torch.cat([reading.mask, reading.mask.new_ones((len(reading.rows), 1))], 1)
        return self._read(reading, torch.tensor([[int(one)] for one in following], device=self.device))

    def adopt(self, weights: Arrays) -> None:
        """Take these matrices for the adapter; none of them leaves the base as it is.

        Raises:
            InputError: names or shapes differ: an adapter of another base.
        """
        needed = {name: tuple(p.shape) for name, p in self._shared.adapter.items()}
        if weights and needed != {name: array.shape for name, array in weights.items()}:
            raise InputError("the adapter does not fit the base model: names or shapes of its matrices differ")
        self._before = {}
        self._own = weights or {name: np.zeros(shape, np.float32) for name, shape in needed.items()}
        self._shared.forget(self)

    def draw(self, generator: torch.Generator) -> None:
        """A fresh adapter, which changes nothing yet."""
        fresh = dict[str, npt.NDArray[Any]]()
        for name, parameter in self._shared.adapter.items():
            first = torch.zeros(parameter.shape)
            if ".lora_A." in name:
                bound = 1 / math.sqrt(parameter.shape[1])
                first.uniform_(-bound, bound, generator=generator)
            fresh[name] = first.numpy()
        self.adopt(fresh)

    def weights(self) -> Arrays:
        """The adapter's matrices as they are now, copied."""
        self._shared.lend(self)
        return self._shared.values()

    def keep(self) -> None:
        """Note what the shared network holds, before another adapter is put into it."""
        if self._learns:
            self._own = self._shared.values()

    def put_into(self, adapter: Mapping[str, nn.Parameter]) -> None:
        """Write this adapter into the shared network."""
        with torch.no_grad():
            for name, parameter in adapter.items():
                parameter.copy_(torch.from_numpy(np.array(self._own[name])))
                parameter.requires_grad_(self._learns)

    @property
    def _model(self) -> Any:
        self._shared.lend(self)
        return self._shared.network

    @property
    def _body(self) -> Any:
        return self._model.base_model

    def _read(self, reading: Reading, ids: torch.Tensor) -> torch.Tensor:
        assert reading.mask is not None
        places = (reading.mask.cumsum(1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        states = self._body(
            input_ids=ids,
            attention_mask=reading.mask.long(),
            position_ids=places,
            use_cache=True,
            **{self._memory: reading.memory},
        ).last_hidden_state
        return self.project(states[:, -1]).float()


class _Shared:
    """A base with an adapter in it, for all languages of one process that differ in the adapter's values only."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.adapter: dict[str, nn.Parameter] = {n: p for n, p in network.named_parameters() if ".lora_" in n}
        self._holder: HubLanguage | None = None

    def lend(self, language: HubLanguage) -> None:
        """Make sure that it holds this language's adapter."""
        if self._holder is language:
            return
        if self._holder is not None:
            self._holder.keep()
        language.put_into(self.adapter)
        self._holder = language

    def forget(self, language: HubLanguage) -> None:
        """What it holds of this language is out of date."""
        if self._holder is language:
            self._holder = None

    def values(self) -> Arrays:
        """What it holds, copied."""
        return {name: p.detach().cpu().numpy().copy() for name, p in self.adapter.items()}


_networks: dict[tuple[Any, ...], _Shared] = {}


def _shared(parameters: Adapter, device: torch.device) -> _Shared:
    """The base with an adapter of this shape; the last one is kept."""
    layers = parameters.layers if isinstance(parameters.layers, str) else tuple(parameters.layers)
    key = (parameters.base, parameters.rank, parameters.alpha, layers, str(device))
    if key not in _networks:
        _networks.clear()
        _networks[key] = _Shared(_load(parameters, device))
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
