"""What all attacks with adversarial examples share: the ball, its validity, which records, and what is returned."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench
from threatloop.core.errors import BudgetExhausted, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.service import Service
from threatloop.core.step import Workload
from threatloop.modality.space import Norm, Space, radius_problems

WHOLE_RANGE = 1e9
"""An ε beyond every record's range; it is cut to the range."""
UNBOUNDED_RECORDS = 32
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[Any]


@dataclass
class Trial:
    """The records under attack, encoded, and the best adversarial example of each so far.

    Attributes:
        source: all records that the attack was given; only the first n are attacked.
        victim: as the attack may ask it.
        space: where records may be moved.
        norm: in which ε is measured.
        radius: ε, cut to the range of the records; the whole range for attacks that minimise the distance.
        minimises: keep nearer examples, also beyond the radius; otherwise the first one within it.
        origin: encoded records, float32 (n, ...), not to be changed.
        best: encoded adversarial examples; the origin where there is none yet.
        distance: of the best example, in units of ε; infinite where there is none.
    """

    source: Dataset
    victim: Service
    space: Space
    norm: Norm
    radius: float
    minimises: bool
    origin: Floats
    best: Floats = field(init=False)
    distance: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.best = self.origin.copy()
        self.distance = np.full(len(self.origin), np.inf)

    @property
    def y(self) -> npt.NDArray[np.int64]:
        """True labels of the attacked records, (n,)."""
        return np.asarray(self.source.y[: len(self.origin)])

    @property
    def fooled(self) -> npt.NDArray[np.bool_]:
        """Records that have an adversarial example, (n,)."""
        return np.isfinite(self.distance)

    def offer(self, rows: Rows, encoded: Floats) -> npt.NDArray[np.bool_]:
        """Remember examples that the victim gets wrong, where they are valid, in the ball and better than before.

        Args:
            rows: (m,) positions among the attacked records.
            encoded: (m, ...) what the victim was asked.

        Returns:
            (m,) which of them were kept.
        """
        origin = self.origin[rows]
        apart = self.space.distance(encoded, origin, self.norm)
        limit = np.inf if self.minimises else self.radius
        fine = self.space.within(encoded, origin, self.norm, limit)
        better = fine & ((apart < self.distance[rows]) if self.minimises else ~self.fooled[rows])
        self.best[rows[better]] = encoded[better]
        self.distance[rows[better]] = apart[better]
        return better

    def replace(self, rows: Rows, encoded: Floats) -> None:
        """Remember examples whether or not they fool anyone, where they are valid and in the ball: the attacker cannot
        tell. Arguments as for `offer`."""
        origin = self.origin[rows]
        fine = self.space.within(encoded, origin, self.norm, self.radius)
        self.best[rows[fine]] = encoded[fine]
        self.distance[rows[fine]] = self.space.distance(encoded[fine], origin[fine], self.norm)

    def stored(self, encoded: Floats) -> npt.NDArray[Any]:
        """Encoded records as the victim's service reads them."""
        return np.asarray(modality.of(self.source.schema).decode(encoded, self.source.schema))

    def result(self) -> Dataset:
        """As many records as the source, in its order: adversarial where there is an example, else unchanged."""
        rows = np.flatnonzero(self.fooled & (self.distance > 0))
        if not len(rows):
            return self.source
        kind, schema, known = modality.of(self.source.schema), self.source.schema, self.source.x
        x = np.array(known) if known.dtype == np.float32 else kind.decode(kind.encode(known, schema), schema)
        x[rows] = self.stored(self.best[rows])
        return self.source.with_x(x)


class Evasion(DataToData):
    """Moves records within a ball until the victim gets them wrong; subclasses say how.

    Returns as many records as it was given, in their order and with their true labels: the first ``records`` of them
    (their order is random) are attacked, the rest and those that withstood are unchanged. What comes back is valid:
    pixels in [0, 1] (float32), cells within their column's bounds, integers whole, categories known, immutable columns
    untouched.

    Attributes:
        norm: ``linf`` or ``l2``.
        epsilon: radius of the ball. Images: in units of [0, 1] before preprocessing, 8/255 for linf and 0.5 for l2
            where none is given. Tables: as a share of each column's range (of four standard deviations where it has no
            bounds), 0.1 for linf and 0.2 for l2.
        records: how many records are attacked, ≥ 1.
        immutable: names of columns that the attacker cannot change.
        category_cost: units of ε that a changed category takes, > 0; at 1 it weighs as much as a column's whole range.

    Raises:
        NotAssessable: records of this modality have no ball around them, or no query is left.
    """

    minimises: ClassVar[bool] = False
    """Whether it seeks the nearest example, so that its distances give robust accuracy at every ε."""

    norm: Literal["linf", "l2"] = "linf"
    epsilon: float | None = Field(default=None, gt=0)
    records: int = Field(default=256, ge=1)
    immutable: tuple[str, ...] = ()
    category_cost: float = Field(default=1.0, gt=0)

    @abstractmethod
    def perturb(self, trial: Trial, bench: Bench) -> None:
        """Offer the trial adversarial examples of its records. A spent budget may end it anywhere."""

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        """The records with adversarial examples in place of those that could be moved so that the victim errs."""
        trial = self.trial(data, bench.service())
        before = trial.victim.ledger.spent
        try:
            self.perturb(trial, bench)
        except BudgetExhausted:
            if trial.victim.ledger.spent > before:
                bench.progress.keep(trial.result())
            raise
        return trial.result()

    def trial(self, data: Dataset, victim: Service) -> Trial:
        """The records that are attacked: as many as configured, and no more than the budget allows to ask once."""
        left = victim.ledger.left
        n = min(self.records, len(data)) if left is None else min(self.records, len(data), left)
        if n == 0:
            raise NotAssessable("the query budget leaves nothing to ask" if len(data) else "there are no records")
        space = self.space(data)
        origin = np.ascontiguousarray(modality.of(data.schema).encode(np.asarray(data.x[:n]), data.schema))
        # Who seeks the nearest example looks everywhere; the judge cuts at ε.
        radius = space.reach(self.norm) if self.minimises else self.radius(space)
        return Trial(data, victim, space, self.norm, radius, self.minimises, origin)

    def space(self, data: Dataset) -> Space:
        """Where these records may be moved; its units come from the schema, and from the records where it has none.

        Raises:
            NotAssessable: records of this modality cannot be changed by small steps.
        """
        kind = modality.of(data.schema)
        return kind.space(data.schema, data.x, self.immutable, self.category_cost)

    def radius(self, space: Space) -> float:
        """ε in the space's units, at most the whole range."""
        return min(space.usual[self.norm] if self.epsilon is None else self.epsilon, space.reach(self.norm))

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """One class only, unknown immutable columns, an ε that is larger than the data's range or moves nothing."""
        kind = modality.of(schema)
        if len(schema.classes) < 2:
            return ["the data has one class, so no answer can be wrong; bring records of at least two classes"]
        if found := kind.space_problems(schema, self.immutable):
            return list(found)
        return radius_problems(kind.space(schema, None, self.immutable, self.category_cost), self.norm, self.epsilon)

    def unbounded(self) -> Self | None:
        """The same attack with the whole range as ε, on few records: it must fool the victim on all of them."""
        return self.model_copy(update={"epsilon": WHOLE_RANGE, "records": min(self.records, UNBOUNDED_RECORDS)})

    def attacked(self, workload: Workload) -> int:
        """How many records are attacked, for estimates: at most half of the data is held out."""
        return min(self.records, max(1, workload.records // 2))
