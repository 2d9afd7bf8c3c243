"""Benign files that nobody chose: every scikit-learn estimator and every torch.nn module with default settings."""

from __future__ import annotations

import inspect
import io
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils import all_estimators

from model_corpus import Case

_ARGUMENTS = ((), (3,), (3, 3), (3, 3, 3))


def cases() -> list[Case]:
    """Estimators fitted where that works on 40 rows of three columns; modules with up to three sizes of 3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*_estimators(), *_modules()]


def _estimators() -> Iterator[Case]:
    rows = np.abs(np.random.default_rng(1).normal(size=(40, 3)))
    for name, kind in all_estimators():
        try:
            estimator = kind()
            data = pickle.dumps(_fitted(estimator, rows))
        except Exception:  # needs settings, or cannot be pickled
            continue
        yield Case(f"estimator-{name}", "scikit-learn", {"model.pkl": data})


def _fitted(estimator: Any, rows: np.ndarray[Any, Any]) -> Any:
    try:
        return estimator.fit(rows, np.arange(len(rows)) % 2)
    except Exception:  # takes other data
        return estimator


def _modules() -> Iterator[Case]:
    for name, kind in sorted(vars(torch.nn).items()):
        if not (inspect.isclass(kind) and issubclass(kind, torch.nn.Module)):
            continue
        for arguments in _ARGUMENTS:
            out = io.BytesIO()
            try:
                torch.save(kind(*arguments), out)
            except Exception:  # takes other arguments
                continue
            yield Case(f"module-{name}", "torch.nn", {"model.pt": out.getvalue()})
            break
