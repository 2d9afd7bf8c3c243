"""How much recovered records resemble the real training data of their class, and of theirs only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.algorithms.class_prior import class_means
from threatloop.algorithms.record_features import channel_scale, distances, vectors
from threatloop.algorithms.recovered import recovered
from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.numerics.intervals import clustered_binomial, mean_t
from threatloop.numerics.undefined import Undefined

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MOST_PER_CLASS = 300
MOST_CELLS = 1 << 26
GALLERY = 40


class Inversion(Metric):
    """Recovered records against real ones, in input units divided by each channel's or column's spread.

    Every class is represented by equally many members, so that a large class is not near by its number alone.

    Models that were trained without any member invert about as well on digits. The arm ``reference:surrogate`` runs the
    same attack on one that the attacker trained on his own pool: only what exceeds it comes from the victim.

    Readings:
        ``inversion``: class advantage, the mean of (other − own) / (other + own): distance to the nearest member of any
            other class and of the record's own class. 1 for a copied member, about 0 for a record that resembles no
            class more than another (slightly below, since the nearest of many classes counts).
        ``inversion.accuracy``: share that an independent evaluator assigns to their class. It saturates.
        ``inversion.distance``: distance to the nearest member of the class, as a fraction of that between a typical
            member and its nearest neighbour in the class. Lower is a worse leak; 0 is a copied member.
        ``inversion.mean_distance``: distance to the mean of the class's members, as a fraction of a typical member's.
        ``inversion.member_share``: share whose nearest record among equally many members and non-members of the class
            is a member. .5 where the model gives away its class but not its training data.
    Intervals are over classes, since what is recovered of one class is nearly the same record again and again. Records:
    ``label``, ``assigned`` (evaluator's class), ``own``, ``other``. Gallery (images): ``recovered``,
    ``nearest_member``, ``held_class_mean``.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Inversion: class advantage",
        unit="advantage",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"members", "nonmembers", "evaluator", "held"}),
        meaning="How much nearer recovered records are to real training data of their class than to other classes' "
        "(0: not at all, 1: copies). Any model of the task gives some of this away: only what exceeds the same attack "
        "on the attacker's own model comes from the victim.",
    )

    def grade(self, case: Case) -> Graded:
        """Grade a data set of recovered records.

        Raises:
            NotAssessable: no record was recovered, or fewer than two classes have two members each.
        """
        from threatloop.algorithms.grading import predicted

        found, members = case.get("outcome", Dataset), case.get("members", Dataset)
        rng = case.streams.numpy("inversion-reference")
        real = _Reference.of(members, rng)
        found = found.take(np.isin(found.y, real.classes))
        if not len(found):
            raise NotAssessable("no record was recovered of a class with two members or more")
        near = real.compare(found)
        assigned = predicted(case.get("evaluator", Model), found, case)
        advantage = (near.other - near.own) / np.maximum(near.other + near.own, 1e-12)
        readings = (
            _mean("inversion", advantage, found.y, (-1.0, 1.0)),
            _share("inversion.accuracy", assigned == found.y, found.y),
            _mean("inversion.distance", near.own / real.typical_neighbour[found.y], found.y),
            _mean("inversion.mean_distance", near.mean / real.typical_mean[found.y], found.y),
            _member_share(found, members, _unseen(case), rng),
        )
        records = {"label": found.y, "assigned": assigned, "own": near.own, "other": near.other}
        nearest = real.members.take(near.row)
        return Graded(readings, {}, records, _gallery(found, nearest, case.get("held", Dataset)))


@dataclass(frozen=True)
class _Near:
    """Per recovered record: distance to the nearest own member and its row, to another class, to the class mean."""

    own: Floats
    other: Floats
    mean: Floats
    row: Labels


@dataclass(frozen=True)
class _Reference:
    """Equally many members of each class that has at least two, and what is typical among them.

    Attributes:
        members: the chosen members.
        classes: classes present.
        rows: (m, d) the members as scaled vectors.
        scale: (d,) what the vectors were divided by.
        means: (classes, d) scaled class means of the chosen members.
        typical_neighbour, typical_mean: (all classes,) median distance of a member to its nearest neighbour and to the
            mean of its class; NaN for absent classes.
    """

    members: Dataset
    classes: Labels
    rows: Single
    scale: Single
    means: Single
    typical_neighbour: Floats
    typical_mean: Floats

    @classmethod
    def of(cls, members: Dataset, rng: np.random.Generator) -> _Reference:
        counts = np.bincount(members.y, minlength=members.n_classes)
        classes = np.flatnonzero(counts >= 2)
        if len(classes) < 2:
            raise NotAssessable("a class advantage needs two classes with at least two members each")
        size = min(int(counts[classes].min()), _most(members, len(classes)))
        chosen = members.take(balanced(members.y, {int(c): size for c in classes}, rng))
        scale = channel_scale(chosen)
        rows, means = vectors(chosen) / scale, class_means(chosen) / scale
        neighbour, centre = np.full(members.n_classes, np.nan), np.full(members.n_classes, np.nan)
        for label in classes:
            own = rows[chosen.y == label]
            between = distances(own, own)
            np.fill_diagonal(between, np.inf)
            neighbour[label] = max(float(np.median(between.min(axis=1))), 1e-12)
            centre[label] = max(float(np.median(np.linalg.norm(own - means[label], axis=1))), 1e-12)
        return cls(chosen, classes, rows, scale, means, neighbour, centre)

    def compare(self, found: Dataset) -> _Near:
        x = vectors(found) / self.scale
        to = distances(x, self.rows)
        same = found.y[:, None] == self.members.y
        own, other = np.where(same, to, np.inf), np.where(same, np.inf, to)
        to_mean = np.linalg.norm(x - self.means[found.y], axis=1)
        nearest, wrong, centre = (d.astype(np.float64) for d in (own.min(axis=1), other.min(axis=1), to_mean))
        return _Near(nearest, wrong, centre, own.argmin(axis=1))


def balanced(y: Labels, sizes: dict[int, int], rng: np.random.Generator) -> Labels:
    """Rows of ``sizes[c]`` random records of each class c."""
    return np.concatenate([rng.permutation(np.flatnonzero(y == label))[:size] for label, size in sizes.items()])


def _most(data: Dataset, classes: int) -> int:
    cells = int(np.prod(data.x.shape[1:])) * classes
    return max(2, min(MOST_PER_CLASS, MOST_CELLS // cells))


def _mean(name: str, values: Floats, labels: Labels, bounds: tuple[float, float] = (0.0, np.inf)) -> Reading:
    """The mean over classes of the mean over a class's records."""
    per_class = np.array([values[labels == label].mean() for label in np.unique(labels)])
    interval = mean_t(per_class)
    if isinstance(interval, Undefined):
        return Reading(name, float(per_class.mean()), len(values))
    return Reading(
        name, float(per_class.mean()), len(values), max(interval.low, bounds[0]), min(interval.high, bounds[1])
    )


def _share(name: str, hits: npt.NDArray[np.bool_], labels: Labels) -> Reading:
    """The share of hits; its interval takes a class's records as one cluster."""
    per_class = [hits[labels == label] for label in np.unique(labels)]
    interval = clustered_binomial([one.sum() for one in per_class], [len(one) for one in per_class])
    ends = (None, None) if isinstance(interval, Undefined) else (interval.low, interval.high)
    return Reading(name, float(hits.mean()), len(hits), *ends)


def _unseen(case: Case) -> Dataset:
    """Non-members that the attacker does not hold: his own would look nearer than chance to what he makes of them."""
    nonmembers, held = case.get("nonmembers", Dataset), case.get("held", Dataset)
    return nonmembers.take(~np.isin(nonmembers.ids, held.ids))


def _member_share(found: Dataset, members: Dataset, nonmembers: Dataset, rng: np.random.Generator) -> Reading:
    name = "inversion.member_share"
    inside, outside = (np.bincount(d.y, minlength=found.n_classes) for d in (members, nonmembers))
    cap = _most(members, 2 * found.n_classes)
    sizes = {int(c): min(int(inside[c]), int(outside[c]), cap) for c in np.unique(found.y)}
    if min(sizes.values()) == 0:
        return Reading(name, None, len(found), undefined="not computed, because a class has no non-members")
    scale = channel_scale(members.take(slice(0, 2 * cap)))
    x = vectors(found) / scale
    nearest = []
    for side in (members, nonmembers):
        some = side.take(balanced(side.y, sizes, rng))
        to = distances(x, vectors(some) / scale)
        nearest.append(np.where(found.y[:, None] == some.y, to, np.inf).min(axis=1))
    return _share(name, nearest[0] < nearest[1], found.y)


def _gallery(found: Dataset, nearest: Dataset, held: Dataset) -> dict[str, Single]:
    """Images side by side, spread over all classes; empty where records are no images."""
    rows = np.linspace(0, len(found) - 1, min(GALLERY, len(found))).round().astype(np.int64)
    guess = recovered(class_means(held)[found.y[rows]], found.y[rows], held)
    shown = {"recovered": found.take(rows), "nearest_member": nearest.take(rows), "held_class_mean": guess}
    kind = modality.of(found.schema)
    try:
        return {name: kind.watermark_view(data.x, data.schema) for name, data in shown.items()}
    except NotAssessable:
        return {}
