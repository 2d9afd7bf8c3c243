"""A property of a data set as a whole: which share of its records has something. And sets in which it is skewed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema, TabularSchema

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

FEWEST = 8
"""Records in a skewed set; a model trained on fewer shows nothing."""


@dataclass(frozen=True)
class Property:
    """What a record may have.

    Attributes:
        label: index of a class; used where there is no column.
        column: name; a number has the property above the median of the reference.
        category: name, for a categorical column; None is its first.
    """

    label: int
    column: str | None
    category: str | None

    def problems(self, schema: Schema) -> list[str]:
        """Why the records have no such property, one line each."""
        if self.column is None:
            n = len(schema.classes)
            return [] if self.label < n else [f"label: {self.label} is no class; allowed are 0 to {n - 1}"]
        columns = schema.columns if isinstance(schema, TabularSchema) else ()
        found = [one for one in columns if one.name == self.column]
        if not found:
            return [f"column: there is none called {self.column!r}; leave it out to ask about a class"]
        if self.category is not None and self.category not in found[0].categories:
            known = ", ".join(found[0].categories[:8]) or "none: it holds numbers"
            return [f"category: {self.category!r} is none of {self.column!r}; allowed are {known}"]
        return []

    def holds(self, data: Dataset, reference: Dataset) -> Bools:
        """Which records have it, (n,).

        Args:
            data: n records.
            reference: records whose median is meant.

        Raises:
            NotAssessable: these records cannot have it.
        """
        if found := self.problems(data.schema):
            raise NotAssessable(found[0])
        if self.column is None:
            return np.asarray(data.y == self.label)
        assert isinstance(data.schema, TabularSchema)
        at = [one.name for one in data.schema.columns].index(self.column)
        about = data.schema.columns[at]
        if about.kind == "categorical":
            wanted = about.categories.index(self.category) if self.category is not None else 0
            return np.asarray(data.x[:, at] == wanted)
        return np.asarray(data.x[:, at] > np.median(reference.x[:, at]))


def world_size(holds: Bools, low: float, high: float) -> int:
    """The most records with which both a share ``low`` and a share ``high`` can be drawn without repeats.

    Raises:
        NotAssessable: they are too few.
    """
    having, lacking = int(holds.sum()), int((~holds).sum())
    size = int(min(having / high, lacking / (1 - low)) + 1e-9)
    while size and (round(high * size) > having or size - round(low * size) > lacking):
        size -= 1
    if size < FEWEST:
        raise NotAssessable(
            f"{having} records have the property and {lacking} have not: too few for sets with shares {low} and {high}"
        )
    return size


def draw_world(holds: Bools, share: float, size: int, rng: np.random.Generator) -> Rows:
    """Positions of ``size`` records of which the share has the property, in random order."""
    having, lacking = (rng.permutation(np.flatnonzero(side)) for side in (holds, ~holds))
    count = round(share * size)
    return np.asarray(rng.permutation(np.concatenate([having[:count], lacking[: size - count]])), np.int64)
