"""What metrics on models share: a model's answers, and rates as readings with intervals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Reading
from threatloop.numerics.binomial import wilson
from threatloop.numerics.figures import Interval

Labels = npt.NDArray[np.int64]
Hits = npt.NDArray[np.bool_]


def predicted(model: Model, data: Dataset, case: Case) -> Labels:
    """The model's most likely class of each record, int64 (n,).

    Raises:
        NotAssessable: the model does not answer with one class per record.
    """
    from threatloop.models.responder import responder_of

    bare = responder_of(model, case.device, allow_code=case.allow_code)
    answers = case.behind_defences(model, bare).log_probs(data.x)
    if answers.ndim != 2:
        raise NotAssessable(f"{data.schema.kind} records have no single class that could be right or wrong")
    return np.asarray(answers.argmax(axis=-1), dtype=np.int64)


def rate(metric: str, hits: Hits, nothing: str) -> Reading:
    """The share of hits with its Wilson interval.

    Args:
        metric: name of the reading.
        hits: bool (n,), one per record.
        nothing: why the rate is undefined when there are no records; completes "not computed, because ...".
    """
    n, successes = len(hits), int(hits.sum())
    interval = wilson(successes, n)
    if not isinstance(interval, Interval):
        return Reading(metric, None, 0, undefined=f"not computed, because {nothing}")
    return Reading(metric, successes / n, n, interval.low, interval.high)


def mean(metric: str, values: npt.NDArray[np.float64], nothing: str) -> Reading:
    """The mean of one value per record; ``nothing`` says why there is none without records."""
    if not len(values):
        return Reading(metric, None, 0, undefined=nothing)
    return Reading(metric, float(np.mean(values)), len(values))


def rate_difference(metric: str, first: Hits, second: Hits, nothing: str) -> Reading:
    """The rate of ``first`` minus that of ``second`` on the same records, with a paired interval.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17, method 10: Wilson ends of both rates, joined by their correlation.

    Args:
        metric: name of the reading.
        first: bool (n,).
        second: bool (n,), of the same records.
        nothing: why it is undefined when there are no records.
    """
    n = len(first)
    ends = wilson(int(first.sum()), n), wilson(int(second.sum()), n)
    if not (isinstance(ends[0], Interval) and isinstance(ends[1], Interval)):
        return Reading(metric, None, 0, undefined=f"not computed, because {nothing}")
    p, q = float(first.mean()), float(second.mean())
    phi = _correlation(first, second)
    below = _joint(p - ends[0].low, ends[1].high - q, phi)
    above = _joint(ends[0].high - p, q - ends[1].low, phi)
    return Reading(metric, p - q, n, max(-1.0, p - q - below), min(1.0, p - q + above))


def rate_gap(metric: str, first: Hits, second: Hits, nothing: str) -> Reading:
    """The rate of ``first`` minus that of ``second`` on other records (Newcombe 1998, Stat. in Medicine 17, method 10).

    Arguments as for `rate_difference`, of any two lengths.
    """
    n = len(first) + len(second)
    ends = [wilson(int(side.sum()), len(side)) for side in (first, second)]
    if not (isinstance(ends[0], Interval) and isinstance(ends[1], Interval)):
        return Reading(metric, None, n, undefined=nothing)
    p, q = float(first.mean()), float(second.mean())
    below = math.hypot(p - ends[0].low, ends[1].high - q)
    above = math.hypot(ends[0].high - p, q - ends[1].low)
    return Reading(metric, p - q, n, max(-1.0, p - q - below), min(1.0, p - q + above))


def _joint(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _correlation(first: Hits, second: Hits) -> float:
    """The correlation of two binary columns, with the method's continuity correction; 0 where one is constant."""
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    margins = [both + only_first, only_second + neither, both + only_second, only_first + neither]
    if 0 in margins:
        return 0.0
    cross = both * neither - only_first * only_second
    corrected = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    return corrected / math.sqrt(math.prod(margins))
