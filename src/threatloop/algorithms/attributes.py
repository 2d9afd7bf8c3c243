"""One unknown column of a table: what is asked, what may be the answer, and the guess without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema, TabularSchema

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FLOOR = np.log(1e-4)
FOLDS = 3
FEWEST_FOR_TREES = 100


@dataclass(frozen=True)
class Question:
    """Which answer holds for a column: its category, or on which side of a cut its number lies.

    Attributes:
        column: position in a record.
        values: a stored cell that stands for each answer, (answers,).
        cut: between the two answers of a number column; None for categories.
    """

    column: int
    values: npt.NDArray[np.float32]
    cut: float | None

    def codes(self, data: Dataset) -> Codes:
        """The true answer of each record, int64 (n,); −1 for a category that the schema does not have."""
        cells = np.asarray(data.x[:, self.column])
        if self.cut is not None:
            return (cells > self.cut).astype(np.int64)
        return np.where(cells < len(self.values), cells, -1).astype(np.int64)

    def filled(self, data: Dataset, answer: int) -> Dataset:
        """The records with this answer in the column."""
        x = np.array(data.x)
        x[:, self.column] = self.values[answer]
        return data.with_x(x)


def position(schema: Schema, column: str | None) -> int:
    """Where the column is; None: the last categorical one, or the last of all.

    Raises:
        NotAssessable: the records have no columns, or none of this name.
    """
    if not isinstance(schema, TabularSchema):
        raise NotAssessable(f"{schema.kind} records have no columns whose value could be unknown")
    names = [one.name for one in schema.columns]
    if column is not None:
        if column not in names:
            raise NotAssessable(f"there is no column {column!r}")
        return names.index(column)
    kinds = [i for i, one in enumerate(schema.columns) if len(one.categories) > 1]
    return kinds[-1] if kinds else len(names) - 1


def hidden(data: Dataset, column: str | None) -> Dataset:
    """The records with one and the same valid cell in the column."""
    at = position(data.schema, column)
    assert isinstance(data.schema, TabularSchema)
    x = np.array(data.x)
    x[:, at] = 0.0
    return data.with_x(modality.of(data.schema).project(x, data.schema))


def column_problems(schema: Schema, column: str | None) -> list[str]:
    """Why there is nothing to infer, one line each."""
    if not isinstance(schema, TabularSchema) or column is None:
        return []
    found = [one for one in schema.columns if one.name == column]
    if not found:
        names = ", ".join(one.name for one in schema.columns[:8])
        return [f"column: there is none called {column!r}; choose one of the table's, such as {names}"]
    if found[0].kind == "categorical" and len(found[0].categories) < 2:
        return [f"column: {column!r} has fewer than two categories; choose another"]
    return []


def question(pool: Dataset, column: str | None) -> Question:
    """What is asked of a column, with a number's cut at the median of the attacker's records.

    Raises:
        NotAssessable: the column does not vary.
    """
    at = position(pool.schema, column)
    assert isinstance(pool.schema, TabularSchema)
    about = pool.schema.columns[at]
    if about.kind == "categorical":
        if len(about.categories) < 2:
            raise NotAssessable(f"the column {about.name!r} has fewer than two categories")
        return Question(at, np.arange(len(about.categories), dtype=np.float32), None)
    cells = np.asarray(pool.x[:, at], np.float64)
    steps = np.unique(cells)
    if len(steps) < 2:
        raise NotAssessable(f"the column {about.name!r} is constant in the attacker's records")
    below = np.searchsorted(np.sort(cells), steps[:-1], side="right") / len(cells)
    at_half = int(np.abs(below - 0.5).argmin())
    cut = float((steps[at_half] + steps[at_half + 1]) / 2)
    ends = [np.quantile(cells[side], 0.5, method="nearest") for side in (cells <= cut, cells > cut)]
    return Question(at, np.asarray(ends, np.float32), cut)


def imputed(pool: Dataset, data: Dataset, asked: Question, *, label: bool) -> Floats:
    """log p(answer | the other columns) of each record of ``data`` without a model's help, float64 (n, answers).

    The better of a linear classifier and boosted trees, by cross-validation on the attacker's records.

    Args:
        pool: the attacker's complete records.
        data: records whose column counts as unknown.
        asked: about which column.
        label: the record's label is known too.
    """
    truth = asked.codes(pool)
    known = truth >= 0
    rows, onto = _rows(pool.take(known), asked, label), _rows(data, asked, label)
    return _spread(_better(rows, truth[known]), onto, asked)


def cross_imputed(pool: Dataset, asked: Question, *, label: bool, rng: np.random.Generator) -> Floats:
    """The same for the pool's own records, each guessed without itself."""
    fold = rng.permutation(len(pool)) % FOLDS
    found = np.empty((len(pool), len(asked.values)))
    for k in range(FOLDS):
        if (fold == k).any():
            found[fold == k] = imputed(pool.take(fold != k), pool.take(fold == k), asked, label=label)
    return found


def _rows(data: Dataset, asked: Question, label: bool) -> Floats:
    encoded = modality.of(data.schema).encode(asked.filled(data, 0).x, data.schema)
    classes = (data.y[:, None] == np.arange(data.n_classes)) if label else np.empty((len(data), 0))
    return np.concatenate([encoded.reshape(len(data), -1), classes], axis=1).astype(np.float64)


def _better(rows: Floats, truth: Codes) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(truth)) < 2:
        return DummyClassifier().fit(rows, truth)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    if len(rows) < FEWEST_FOR_TREES or np.bincount(truth)[np.unique(truth)].min() < FOLDS:
        return linear.fit(rows, truth)
    trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=0)
    kinds = (linear, trees)
    scores = [float(cross_val_score(kind, rows, truth, cv=FOLDS, scoring="accuracy").mean()) for kind in kinds]
    return kinds[int(np.argmax(scores))].fit(rows, truth)


def _spread(model: Any, rows: Floats, asked: Question) -> Floats:
    """A classifier's log-probabilities with a column for every answer, seen or not."""
    found = np.full((len(rows), len(asked.values)), FLOOR)
    if len(rows):
        found[:, model.classes_] = np.maximum(np.log(np.maximum(model.predict_proba(rows), 1e-300)), FLOOR)
    return found
