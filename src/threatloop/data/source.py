"""What every reader shares: the base of source configurations, what reading yields, and the checks on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.digests import digest_file, digest_json
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import Schema

PARTITIONS = ("train", "val", "test", "attacker")
"""Names of the values 0 to 3 in ``Loaded.partition``."""


@dataclass(frozen=True)
class Raw:
    """What a reader got out of its files, before the common checks."""

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    schema: Schema
    partition: npt.NDArray[np.int8] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A Dataset and where it came from.

    Attributes:
        dataset: the records; ids count them from 0.
        partition: int8 (n,), index into ``PARTITIONS`` where the source tells it, else None.
        source: what was read, in words, for messages and reports.
        digest: the source's fingerprint: bytes of the files and options.
        public: the records are published, so that reports may show them.
        notes: what the reader decided by itself, such as inferred column types.
    """

    dataset: Dataset
    partition: npt.NDArray[np.int8] | None
    source: str
    digest: str
    public: bool
    notes: tuple[str, ...] = ()


class Source(BaseModel):
    """Where data comes from: a frozen configuration. The first field of each class names it in a spec.

    Attributes:
        limit: read at most this many records, in proportion to partition and class and first in file order.
        public: the records are published, so that reports may show them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    key: ClassVar[str]
    divided: ClassVar[bool] = False
    """Whether its partition says whom a record may reach: test records the judge alone, and so on."""

    limit: int | None = Field(default=None, ge=2)
    public: bool = False

    @property
    def is_sensitive(self) -> bool:
        """Whether its texts, and what a model says to them, are kept out of reports."""
        return False

    @property
    def title(self) -> str:
        """What is read, in words."""
        return f"{self.key} {getattr(self, self.key)}"

    def read(self, base: Path, cache: Path | None = None) -> Loaded:
        """Read and check everything.

        Args:
            base: folder that relative paths start from.
            cache: folder for decoded images that are too large for memory; None takes temporary files.

        Raises:
            InputError: nothing usable there; one line says what, where and how to fix it.
            Problems: the records themselves are bad; lists everything that is.
        """
        digest = self.fingerprint(base)
        raw = _limited(self._load(base, cache, digest), self.limit)
        data = Dataset(raw.x, raw.y, raw.schema, np.arange(len(raw.y), dtype=np.int64))
        _check(self.title, data)
        return Loaded(data, raw.partition, self.title, digest, self.public, raw.notes)

    def fingerprint(self, base: Path) -> str:
        """Digest of the files' bytes and the options, without decoding; a moved file keeps it."""
        options = self.model_dump(mode="json", exclude={"public", "sensitive"} | self._paths())
        return digest_json([self.key, options, self._content(base)])

    def _paths(self) -> set[str]:
        """Fields that hold paths: not part of the fingerprint."""
        return {self.key}

    def _content(self, base: Path) -> str:
        """Digest of the bytes that are read."""
        return digest_file(found(base, getattr(self, self.key)))

    @abstractmethod
    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw: ...


def found(base: Path, path: str) -> Path:
    """The existing, readable file that ``path`` names, seen from ``base``.

    Raises:
        InputError: it is missing, a folder, or not readable.
    """
    full = base / Path(path).expanduser()
    if not full.exists():
        raise InputError(f"{path}: no such file (looked for {full})")
    if not full.is_file():
        raise InputError(f"{path}: is a folder; a file is needed")
    try:
        with full.open("rb"):
            return full
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def stratified(groups: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` positions, in proportion to the groups and first in order within each; sorted int64.

    Every group keeps at least one record where ``limit`` allows. Takes nothing at random: the same files give the
    same choice.
    """
    order = np.argsort(groups, kind="stable")
    _, starts, inverse, counts = np.unique(groups[order], return_index=True, return_inverse=True, return_counts=True)
    rank = np.arange(len(groups)) - starts[inverse]
    key = np.where(rank == 0, -1.0, (rank + 0.5) / counts[inverse])
    chosen = np.argsort(key, kind="stable")[:limit]
    return np.sort(order[chosen]).astype(np.int64)


def strata(y: npt.NDArray[np.int64], partition: npt.NDArray[np.int8] | None) -> npt.NDArray[np.int64]:
    """One group number per record for each pair of partition and class; int64 (n,)."""
    return y if partition is None else y * len(PARTITIONS) + partition


def _limited(raw: Raw, limit: int | None) -> Raw:
    if limit is None or len(raw.y) <= limit:
        return raw
    rows = stratified(strata(raw.y, raw.partition), limit)
    part = None if raw.partition is None else raw.partition[rows]
    return Raw(raw.x[rows], raw.y[rows], raw.schema, part, raw.notes)


def _check(title: str, data: Dataset) -> None:
    problems = modality.of(data.schema).problems(data)
    single = len(data) and data.schema.kind != "text" and len(np.unique(data.y)) < 2
    if single and not problems:
        only = data.schema.classes[int(data.y[0])]
        problems = [f"every record is of the single class {only!r}; at least two classes are needed"]
    refuse(title, problems)


def refuse(where: str, problems: Sequence[str]) -> None:
    """Raise what is wrong: one line for one problem, the whole list for several; nothing for none.

    Raises:
        InputError, Problems: there are problems.
    """
    if len(problems) == 1:
        raise InputError(f"{where}: {problems[0]}")
    if problems:
        raise Problems(where, problems)
