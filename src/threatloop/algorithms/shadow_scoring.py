"""Membership scores from shadow models: the likelihood-ratio attack, vectorised over records.

Carlini, Chien, Nasr, Song, Terzis & Tramèr 2022, "Membership Inference Attacks From First Principles",
arXiv 2112.03570, section V (algorithm 1) and section VI (a fixed variance where shadow models are few).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Variance = Literal["shrunken", "fixed", "per_record"]

PRIOR_SHADOWS = 8
"""How many shadow models the average variance counts for when each record's own variance is shrunken towards it.

With this one value the AUC matches or beats both of the paper's choices from 8 to 64 shadow models, so that no
threshold has to decide between them.
"""
VARIANCE_FLOOR = 1e-12


def lira_online(
    victim: npt.NDArray[np.floating],
    shadows: npt.NDArray[np.floating],
    masks: Bools,
    variance: Variance = "shrunken",
) -> Floats:
    """Log-likelihood ratio of "trained on this record" against "not", Gaussian in the membership signal.

    The Gaussians are centred on the mean: on digits it beats the median of the authors' code by .01 AUC.

    Args:
        victim: the victim's signal on each record, shape (n,), finite.
        shadows: every shadow model's signal on each record, shape (K, n), finite.
        masks: shape (K, n); whether shadow model k was trained on record j. Each record needs both kinds.
        variance: ``shrunken`` (each record's own, shrunken towards the average), ``fixed`` (the average within
            records) or ``per_record`` (needs at least two models of each kind per record).

    Returns:
        float64 (n,), in nats; larger is more member-like.

    Raises:
        InputError: shapes differ, values are not finite, or a record lacks shadow models of one kind.
    """
    v, s, m = _checked(victim, shadows, masks)
    inside, outside = (_gaussian(s, kind, variance, word) for kind, word in ((m, "in"), (~m, "out")))
    return _log_density(v, *inside) - _log_density(v, *outside)


def lira_offline(
    victim: npt.NDArray[np.floating],
    shadows: npt.NDArray[np.floating],
    masks: Bools,
    variance: Variance = "shrunken",
) -> Floats:
    """One-sided test against shadow models that were not trained on the record.

    The score is the standardised signal z; the paper's Pr[Z < z] is a monotone function of it that rounds to 1 for
    the most exposed records and would tie them.

    Args:
        victim, shadows, masks, variance: as in `lira_online`; models trained on a record do not enter its score.

    Returns:
        float64 (n,), in standard deviations; larger is more member-like.

    Raises:
        InputError: as in `lira_online`, but only models not trained on a record are needed.
    """
    v, s, m = _checked(victim, shadows, masks)
    mean, spread = _gaussian(s, ~m, variance, "out")
    return np.asarray((v - mean) / np.sqrt(spread))


def _checked(
    victim: npt.NDArray[np.floating], shadows: npt.NDArray[np.floating], masks: Bools
) -> tuple[Floats, Floats, Bools]:
    v, s, m = np.asarray(victim, np.float64), np.asarray(shadows, np.float64), np.asarray(masks, np.bool_)
    if v.ndim != 1 or s.ndim != 2 or s.shape != m.shape or s.shape[1:] != v.shape:
        raise InputError(
            f"shadow scoring: signals {s.shape} and masks {m.shape} of the shadows, {v.shape} of the victim; "
            "need (K, n), (K, n) and (n,)"
        )
    if not (np.isfinite(v).all() and np.isfinite(s).all()):
        raise InputError("shadow scoring: some signals are NaN or infinite; every record needs a finite one")
    return v, s, m


def _gaussian(signals: Floats, chosen: Bools, variance: Variance, word: str) -> tuple[Floats, Floats]:
    """Mean and variance (n,) of each record's signal over the chosen models (K, n)."""
    counts = chosen.sum(axis=0)
    needed = 2 if variance == "per_record" else 1
    if (counts < needed).any():
        record = int(np.flatnonzero(counts < needed)[0])
        raise InputError(
            f"shadow scoring: record {record} has {counts[record]} '{word}' shadow models; need at least {needed}, "
            "so train more shadow models"
        )
    mean = np.where(chosen, signals, 0.0).sum(axis=0) / counts
    squares = np.where(chosen, (signals - mean) ** 2, 0.0).sum(axis=0)
    own = squares / np.maximum(counts - 1, 1)
    average = squares.sum() / max(1, int((counts - 1).sum()))
    if variance == "fixed":
        own = np.full_like(own, average)
    elif variance == "shrunken":
        free = counts - 1
        own = (free * own + PRIOR_SHADOWS * average) / (free + PRIOR_SHADOWS)
    return mean, np.maximum(own, VARIANCE_FLOOR)


def _log_density(values: Floats, mean: Floats, variance: Floats) -> Floats:
    return np.asarray(-0.5 * (np.log(2 * np.pi * variance) + (values - mean) ** 2 / variance))
