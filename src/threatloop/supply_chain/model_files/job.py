"""One scan under way: its limits and what they have been spent on, its notes, and where unpacked bytes go."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from threatloop.supply_chain.model_files.limits import MIB, Limits
from threatloop.supply_chain.model_files.notes import Notes
from threatloop.supply_chain.model_files.pickles.walk import Walk
from threatloop.supply_chain.model_files.source import Source, Unreadable


class TooMuch(Unreadable):
    """A limit was reached, as a bomb would."""


@dataclass(frozen=True)
class Stream:
    """Pickles, one behind the other, that the other scanners are to be asked about.

    Attributes:
        place: where they are.
        walks: what our own pass saw of each.
        file: a copy of its opcodes on disk; nothing where it is too large to be asked about.
    """

    place: str
    walks: tuple[Walk, ...]
    file: str | None


@dataclass
class Job:
    """Handed to every scanner.

    Attributes:
        descend: scans what was found inside.
        scratch: a folder for copies, removed at the end of the scan.
        streams: the pickles that the other scanners are asked about at the end.
        containers: the HDF5 files that are read at the end, with where they lie on disk.
        members, expanded: files and bytes unpacked so far, of the path that is scanned.
    """

    limits: Limits
    notes: Notes
    descend: Callable[[Source], None]
    scratch: str
    streams: list[Stream] = field(default_factory=list)
    containers: list[tuple[Source, str]] = field(default_factory=list)
    members: int = 0
    expanded: int = 0

    def count_member(self, place: str) -> None:
        """One more file is unpacked.

        Raises:
            TooMuch: over the limit.
        """
        self.members += 1
        if self.members > self.limits.members:
            raise TooMuch(f"more than {self.limits.members} members in one scan, at {place}")

    @contextmanager
    def unpacked(self, blocks: Iterator[bytes], packed: int) -> Iterator[tuple[IO[bytes], int]]:
        """The blocks in a temporary file, with their length. A block must not be larger than a few MiB.

        Raises:
            TooMuch: over a limit of bytes, or of unpacked over packed bytes.
        """
        with tempfile.SpooledTemporaryFile(4 * MIB, dir=self.scratch) as file:
            size = 0
            for block in blocks:
                size += len(block)
                self.expanded += len(block)
                if self.expanded > self.limits.expanded:
                    raise TooMuch(f"unpacks to more than {self.limits.expanded} bytes in one scan")
                if size > self.limits.ratio_from and size > self.limits.ratio * max(packed, 1):
                    raise TooMuch(f"unpacks {packed} bytes to more than {self.limits.ratio} times as many")
                file.write(block)
            yield file, size
