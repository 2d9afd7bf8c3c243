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
from torch import nn

from threatloop.core.errors import InputError
from threatloop.models.language.bases import quiet
from threatloop.models.language.codecs import padded
from threatloop.models.language.hub_base import Adapter, Arrays, shared_base
from threatloop.models.language.language import Language, LastNorm, Reading

WORTHWHILE = 64
"""Tokens that a pass must save, to be made in two."""


class HubLanguage(Language):
    """The architecture ``causal_lm``. Languages of one base and one shape of adapter share one network.

    Args:
        parameters: base and adapter.
        device: where it runs.
    """

    def __init__(self, parameters: Adapter, device: torch.device) -> None:
        self._shared = shared_base(parameters, device)
        self._own: Arrays = {}
        self._learns = False
        self._before: dict[bool, tuple[tuple[int, ...], Any]] = {}
        network = self._shared.network
        self.codec = self._shared.codec
        most = int(getattr(network.config, "max_position_embeddings", parameters.context))
        self.context = min(parameters.context, most)
        self.width = int(network.config.hidden_size)
        self.device = device
        takes = inspect.signature(network.base_model.forward).parameters
        self._memory = "cache" if "cache" in takes else "past_key_values"

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.hidden`; how all rows begin, such as a template's system prompt, is read once."""
        shared = _shared_beginning(ids.tolist())
        if shared * (len(ids) - 1) < WORTHWHILE:
            states: torch.Tensor = self._body(input_ids=ids, use_cache=False).last_hidden_state
            return states
        memory, first = self._read_once(ids[:1, :shared])
        memory.batch_repeat_interleave(len(ids))
        rest = self._body(input_ids=ids[:, shared:], use_cache=True, **{self._memory: memory}).last_hidden_state
        return torch.cat([first.expand(len(ids), -1, -1), rest], 1)

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Language.project`."""
        logits: torch.Tensor = self._model.get_output_embeddings()(hidden)
        return logits

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.embed`."""
        vectors: torch.Tensor = self._model.get_input_embeddings()(ids)
        return vectors

    def hidden_of(self, embedded: torch.Tensor, prefix: Sequence[int] = ()) -> torch.Tensor:
        """See `Language.hidden_of`; the prefix as for `behind`."""
        kept = {self._memory: self._memory_of(prefix, len(embedded))} if prefix else {}
        states: torch.Tensor = self._body(inputs_embeds=embedded, use_cache=bool(prefix), **kept).last_hidden_state
        return states

    def learning(self) -> Mapping[str, nn.Parameter]:
        """The adapter's matrices."""
        self._shared.lend(self)
        return self._shared.adapter

    def train(self, on: bool = True) -> None:
        """See `Language.train`. The base has no dropout in use either way."""
        self._shared.lend(self)
        self.keep()
        self._learns, self._before = on, {}
        self._shared.settle(on)

    def last_norm(self) -> LastNorm | None:
        """See `Language.last_norm`; the module goes by one of the names that architectures give it."""
        names = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
        found = next((getattr(self._body, name) for name in names if hasattr(self._body, name)), None)
        return None if found is None else LastNorm.of(found, self.width)

    def behind(self, prefix: Sequence[int], ids: torch.Tensor) -> torch.Tensor:
        """See `Language.behind`; keys and values of the last prefix are kept."""
        if not prefix:
            return super().behind(prefix, ids)
        with torch.no_grad():
            kept = {self._memory: self._memory_of(prefix, len(ids))}
            states: torch.Tensor = self._body(input_ids=ids.to(self.device), use_cache=True, **kept).last_hidden_state
            return states

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Reading, torch.Tensor]:
        """See `Language.begin`; what was read stays in a cache of keys and values, how all begin is read once."""
        shared = _shared_beginning(prompts)
        if shared * (len(prompts) - 1) < WORTHWHILE:
            memory, shared = self._empty_memory(), 0
        else:
            memory, _ = self._read_once(torch.tensor([list(prompts[0][:shared])], device=self.device))
            memory.batch_repeat_interleave(len(prompts))
        ids = padded([prompt[shared:] for prompt in prompts], self.codec.pad, left=True).to(self.device)
        lengths = torch.tensor([len(prompt) - shared for prompt in prompts], device=self.device)
        mask = torch.arange(ids.shape[1], device=self.device) >= ids.shape[1] - lengths[:, None]
        mask = torch.cat([mask.new_ones((len(prompts), shared)), mask], 1)
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
        self._shared.settle(self._learns)

    @property
    def _model(self) -> Any:
        self._shared.lend(self)
        return self._shared.network

    @property
    def _body(self) -> Any:
        return self._model.base_model

    def _empty_memory(self) -> Any:
        with quiet() as hub:
            return hub.DynamicCache(config=self._model.config)

    def _memory_of(self, prefix: Sequence[int], rows: int) -> Any:
        """What the model keeps of a prefix, for so many rows to be read behind it; the last one is not read again."""
        # What was read in rounded numbers is of no use to who reads on in exact ones.
        rounded = torch.is_autocast_enabled(self.device.type)
        read, memory = self._before.get(rounded, ((), None))
        if read != tuple(prefix) or self._learns:
            with torch.no_grad():
                memory, _ = self._read_once(torch.tensor([list(prefix)], device=self.device))
            self._before[rounded] = (tuple(prefix), memory)
        # A copy, since reading on appends to it.
        memory = copy.deepcopy(memory)
        memory.batch_repeat_interleave(rows)
        return memory

    def _read_once(self, ids: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """What the model keeps of one text (1, t), and its states."""
        memory = self._empty_memory()
        states = self._body(input_ids=ids, use_cache=True, **{self._memory: memory}).last_hidden_state
        return memory, states

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


def _shared_beginning(rows: Sequence[Sequence[int]]) -> int:
    """Tokens with which all rows begin; less than the shortest has, so that something of each is left to read."""
    most = min(len(row) for row in rows) - 1
    return next((i for i in range(most) if any(row[i] != rows[0][i] for row in rows)), most)
