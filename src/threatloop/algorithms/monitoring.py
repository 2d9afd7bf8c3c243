"""Telling attacks from benign clients by how a client's queries lie to each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import Monitor, Respond
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.modality import of

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Evidence = npt.NDArray[np.float64]
MOST_KNOWN = 2000
"""Own records that benign clients are drawn from."""


@dataclass(frozen=True)
class Kind:
    """Records as points whose distances mean the same in every data set.

    Attributes:
        schema: of the records.
        mean: per channel or column.
        std: per channel or column, > 0.
    """

    schema: Schema
    mean: Floats
    std: Floats

    @classmethod
    def of(cls, data: Dataset) -> Kind:
        """The kind of these records, at least one."""
        encoded = np.asarray(of(data.schema).encode(data.x, data.schema), np.float32)
        axes = (0, *range(2, encoded.ndim))
        spread = encoded.std(axis=axes, keepdims=True)[0]
        return cls(data.schema, encoded.mean(axis=axes, keepdims=True)[0], np.where(spread > 0, spread, 1.0))

    def points(self, x: npt.NDArray[Any]) -> Floats:
        """(n, d): encoded, by the data's mean and standard deviation, over √d: distances are about 1."""
        encoded = np.asarray(of(self.schema).encode(x, self.schema), np.float32)
        flat = ((encoded - self.mean) / self.std).reshape(len(x), -1)
        return np.asarray(flat / np.sqrt(flat.shape[1]), np.float32)


def distances(points: Floats) -> Floats:
    """Euclidean distances (n, n) between all points."""
    squares = (points**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)), np.float32)


def first_times(queries: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Positions of the queries that were not asked before, ascending: an exact repeat tells its client nothing."""
    flat = np.ascontiguousarray(queries).reshape(len(queries), -1)
    keys = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1])))[:, 0]
    return np.sort(np.unique(keys, return_index=True)[1]).astype(np.int64)


class QueryMonitor(Monitor):
    """Gathers evidence over a client's queries, window by window; subclasses say what evidence.

    Exact repeats are passed over. A window ends after ``window`` queries, and at half as many as the defender has
    records: within one, a benign client asks distinct records, so that thresholds can be set on the defender's own.

    Attributes:
        rate: share of benign clients that may be flagged, in (0, .5].
        window: queries that are compared with each other, ≥ 20.
        clients: benign clients that the threshold is set on, ≥ 20.
    """

    rate: float = Field(default=0.01, gt=0, le=0.5)
    window: int = Field(default=1000, ge=20)
    clients: int = Field(default=400, ge=20)

    @abstractmethod
    def evidence(self, apart: Floats, labels: Labels) -> Evidence:
        """After each query of a window, how much speaks for an attack; (n,), −inf where nothing can be said yet.

        Args:
            apart: distances (n, n) between the queries, in the order in which they were asked.
            labels: the model's (n,).
        """

    def flagged_after(self, queries: npt.NDArray[Any], respond: Respond, own: Dataset, streams: Streams) -> int | None:
        """After how many queries, repeats included, this client is flagged; None if never."""
        return self.flags([queries], respond, own, streams)[0]

    def flags(
        self, clients: Sequence[npt.NDArray[Any]], respond: Respond, own: Dataset, streams: Streams
    ) -> list[int | None]:
        """`flagged_after` of many clients; benign ones are drawn once for each length."""
        rng = streams.numpy("benign")
        known = own.take(rng.permutation(len(own))[:MOST_KNOWN])
        kind, found, most = Kind.of(known), list[int | None](), dict[int, float]()
        apart, labels = distances(kind.points(known.x)), respond(known.x).argmax(axis=1)
        size = max(1, min(self.window, len(known) // 2))
        for queries in clients:
            new = first_times(queries)
            if len(new) not in most:
                most[len(new)] = self._threshold(len(new), size, apart, labels, rng)
            found.append(self._first(queries, new, size, most[len(new)], kind, respond))
        return found

    def _first(
        self, queries: npt.NDArray[Any], new: Labels, size: int, most: float, kind: Kind, respond: Respond
    ) -> int | None:
        for start in range(0, len(new), size):
            rows = new[start : start + size]
            x = queries[rows]
            beyond = self.evidence(distances(kind.points(x)), respond(x).argmax(axis=1)) > most
            if beyond.any():
                return int(rows[beyond.argmax()]) + 1
        return None

    def _threshold(self, n: int, size: int, apart: Floats, labels: Labels, rng: np.random.Generator) -> float:
        """What a share ``rate`` of benign clients that ask n records reaches beyond, or fewer."""
        full, rest = divmod(n, size)
        reached = np.full(self.clients, -np.inf)
        if rest:
            reached = np.fromiter(self._benign(rest, apart, labels, rng), np.float64)
        if full:
            whole = np.fromiter(self._benign(size, apart, labels, rng), np.float64)
            # Windows of one client are as independent as those of several.
            drawn = rng.integers(len(whole), size=(self.clients, full)) if full > 1 else np.arange(len(whole))[:, None]
            reached = np.maximum(reached, whole[drawn].max(axis=1))
        allowed = int(self.rate * (self.clients + 1))
        return float(np.sort(reached)[-max(1, allowed)]) if allowed else np.inf

    def _benign(self, n: int, apart: Floats, labels: Labels, rng: np.random.Generator) -> Iterator[float]:
        for _ in range(self.clients):
            rows = rng.permutation(len(labels))[:n]
            yield float(self.evidence(apart[np.ix_(rows, rows)], labels[rows]).max())
