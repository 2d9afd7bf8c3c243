"""What following a pickle showed."""

from __future__ import annotations

from dataclasses import dataclass, field

from threatloop.supply_chain.model_files.pickles.opcodes import Blob
from threatloop.supply_chain.model_files.pickles.values import Box, Name, Value


@dataclass(frozen=True)
class Use:
    """A global that a pickle fetches, and, where it does, how it calls it and with what."""

    name: Name
    at: int
    call: str = ""
    given: Value = None


@dataclass
class Walk:
    """What following one pickle showed.

    Attributes:
        start, end: offsets of the first byte and of the one after the last that was followed.
        uses: the globals, in their order; a call is a use of its own.
        computed: offsets and texts of globals whose name the pickle computes.
        extensions: codes of the extension registry.
        persistent: how many objects the loader must supply.
        odd: what no ordinary writer produces, with the offset.
        blobs: byte strings that may hold a file of their own, with the offset of their opcode.
        raw: ranges between the opcodes that are not this pickle's: array data, as joblib writes them.
        inner: the pickles of object arrays that lie in such ranges.
        storages: the descriptions of those objects, where they are tuples, as torch writes them.
        top: what lay on top of the stack at the end.
        broken: where and why the unpickler would fail; empty where STOP was reached.
    """

    start: int
    end: int
    uses: list[Use] = field(default_factory=list)
    computed: list[tuple[int, str]] = field(default_factory=list)
    extensions: list[int] = field(default_factory=list)
    persistent: int = 0
    odd: list[tuple[int, str]] = field(default_factory=list)
    blobs: list[tuple[int, bytes | Blob]] = field(default_factory=list)
    raw: list[tuple[int, int]] = field(default_factory=list)
    inner: list[Walk] = field(default_factory=list)
    top: Value = None
    storages: list[Box] = field(default_factory=list)
    broken: str = ""

    @property
    def everything(self) -> list[Use]:
        """The uses, and those of the pickles inside."""
        return [*self.uses, *(use for walk in self.inner for use in walk.everything)]

    @property
    def names(self) -> tuple[Name, ...]:
        """The distinct globals, in their order."""
        return tuple(dict.fromkeys(use.name for use in self.uses))
