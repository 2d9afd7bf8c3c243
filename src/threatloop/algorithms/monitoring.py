"""Telling attacks from benign clients by how a client's queries lie to each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from threatloop.core.assets import Dataset
from threatloop.core.detection import Monitor
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.modality import of

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
MOST_KNOWN = 2000
"""Own records that benign clients are drawn from."""
QUANTILES = 1000
"""Values that stand for a distribution."""


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
        encoded = of(data.schema).compared(data.x, data.schema)
        axes = (0, *range(2, encoded.ndim))
        spread = encoded.std(axis=axes, keepdims=True)[0]
        return cls(data.schema, encoded.mean(axis=axes, keepdims=True)[0], np.where(spread > 0, spread, 1.0))

    def points(self, x: npt.NDArray[Any]) -> Floats:
        """(n, d): encoded, by the data's mean and standard deviation, over √d: distances are about 1."""
        encoded = of(self.schema).compared(x, self.schema)
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


@dataclass(frozen=True)
class Usual:
    """What benign clients' queries are like.

    Attributes:
        values: (clients, queries in a window).
        known: records that these clients were drawn from.
    """

    values: Values
    known: int
    _upto: dict[int, Values] = field(default_factory=dict, repr=False)

    def upto(self, n: int) -> Values:
        """The distribution of their first n values: at most `QUANTILES` of them, ascending, without NaN."""
        if n not in self._upto:
            first = self.values[:, :n]
            first = np.sort(first[~np.isnan(first)])
            self._upto[n] = first[:: -(-len(first) // QUANTILES)]
        return self._upto[n]


class QueryMonitor(Monitor):
    """Gathers evidence over a client's queries, window by window; subclasses say what evidence.

    Exact repeats are passed over. A window ends after ``window`` queries, and at half as many as the defender has
    records: within one, a benign client asks distinct records, so that thresholds can be set on the defender's own.

    Attributes:
        rate: share of benign clients that may be flagged, in (0, .5].
        window: queries that are compared with each other, ≥ 20.
        clients: benign clients that the threshold is set on, ≥ 20 and at least 1 / ``rate``.
    """

    reads_labels: ClassVar[bool] = True
    """Whether `values` looks at them; the model is not asked otherwise."""

    rate: float = Field(default=0.01, gt=0, le=0.5)
    window: int = Field(default=1000, ge=20)
    clients: int = Field(default=400, ge=20)

    @model_validator(mode="after")
    def _enough_clients(self) -> Self:
        if self.rate * (self.clients + 1) < 1:
            raise ValueError(
                f"clients {self.clients} cannot show a rate of {self.rate:g}; use at least {1 / self.rate:.0f}"
            )
        return self

    @abstractmethod
    def values(self, apart: Floats, labels: Labels) -> Values:
        """One figure for each query of a window, (n,); NaN where it has none.

        Args:
            apart: distances (n, n) between the queries, in the order in which they were asked.
            labels: the model's (n,).
        """

    @abstractmethod
    def evidence(self, values: Values, usual: Usual) -> Values:
        """After each query of a window, how much speaks for an attack; (n,), −inf where nothing can be said yet.

        Args:
            values: of this client's queries, (n,).
            usual: what benign clients' are like.
        """

    def flagged_after(self, queries: npt.NDArray[Any], respond: Respond, own: Dataset, streams: Streams) -> int | None:
        """After how many queries, repeats included, this client is flagged; None if never."""
        return self.flags([queries], respond, own, streams)[0]

    def flags(
        self, clients: Sequence[npt.NDArray[Any]], respond: Respond, own: Dataset, streams: Streams
    ) -> list[int | None]:
        """`flagged_after` of many clients; benign ones are drawn once."""
        rng = streams.numpy("benign")
        known = own.take(rng.permutation(len(own))[:MOST_KNOWN])
        kind, found = Kind.of(known), list[int | None]()
        usual = self._usual(kind.points(known.x), self._labels(known.x, respond), rng)
        reached = np.maximum.accumulate([self.evidence(one, usual) for one in usual.values], axis=1)
        for queries in clients:
            new = first_times(queries)
            most = self._threshold(len(new), reached, usual.known, streams.numpy("windows"))
            found.append(self._first(queries, new, most, usual, (kind, respond)))
        return found

    def _labels(self, x: npt.NDArray[Any], respond: Respond) -> Labels:
        return respond(x).argmax(axis=1) if self.reads_labels else np.zeros(len(x), np.int64)

    def _usual(self, points: Floats, labels: Labels, rng: np.random.Generator) -> Usual:
        """What benign clients' queries are like, over one window."""
        apart, size = distances(points), max(1, min(self.window, len(points) // 2))
        drawn = (rng.permutation(len(points))[:size] for _ in range(self.clients))
        values = np.stack([self.values(apart[np.ix_(rows, rows)], labels[rows]) for rows in drawn])
        return Usual(values, len(points))

    def _first(
        self, queries: npt.NDArray[Any], new: Labels, most: float, usual: Usual, asks: tuple[Kind, Respond]
    ) -> int | None:
        kind, respond = asks
        for start in range(0, len(new), usual.values.shape[1]):
            rows = new[start : start + usual.values.shape[1]]
            x = queries[rows]
            values = self.values(distances(kind.points(x)), self._labels(x, respond))
            beyond = self.evidence(values, usual) > most
            if beyond.any():
                return int(rows[beyond.argmax()]) + 1
        return None

    def _threshold(self, n: int, reached: Values, known: int, rng: np.random.Generator) -> float:
        """What at most a share ``rate`` of benign clients that ask n records reaches beyond.

        Clients who ask m of N known records differ among themselves by 1/m − 1/N; from those of strangers, with the
        error of knowing no more than N, they differ by 1/m + 1/N. The distance from the median is scaled by the root of
        that ratio: without it, four times as many benign clients of digits are flagged as are allowed.

        Args:
            n: distinct queries.
            reached: the most evidence so far, of benign clients in one window, (clients, queries in a window).
            known: own records, more than twice as many as a window has queries.
            rng: puts the windows of one client together, as if they were independent.
        """
        full, rest = divmod(n, reached.shape[1])
        ends = [reached[:, -1]] * full + [reached[:, rest - 1]] * (rest > 0)
        total = np.sort(np.max([rng.permutation(one) for one in ends], axis=0))
        allowed, asked = int(self.rate * (len(total) + 1)), min(n, reached.shape[1])
        if not np.isfinite(total[-allowed]):
            return float(total[-allowed])
        middle = float(np.median(total[np.isfinite(total)]))
        return middle + float(((known + asked) / (known - asked)) ** 0.5 * (total[-allowed] - middle))
