"""Tokens of models of Hugging Face's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threatloop.core.errors import InputError
from threatloop.modality.conversation import Chat, Record, Turn
from threatloop.models.language.bases import quiet
from threatloop.models.language.codecs import Codec, Tokens


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


def codec_in(folder: Path, size: int) -> HubCodec:
    """The tokenizer that lies in a model's folder; ``size`` is that of the model's vocabulary.

    Raises:
        InputError: there is none that can be read.
    """
    with quiet() as hub:
        try:
            tokenizer = hub.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except (ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"base model: its tokenizer cannot be loaded ({reason})") from None
    return HubCodec(tokenizer, size)
