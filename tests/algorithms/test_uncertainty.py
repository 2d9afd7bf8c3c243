"""Entropies against plain sums in high precision, and thresholds per class."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
from scipy.special import log_softmax

from threatloop.algorithms.calibration import class_thresholds
from threatloop.algorithms.uncertainty import entropy, modified_entropy, sureness

getcontext().prec = 60


@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_entropies_equal_the_formulas_even_where_floats_round(scale: float) -> None:
    logs = log_softmax(np.random.default_rng(0).normal(0, scale, (60, 4)), axis=1)
    labels = np.random.default_rng(1).integers(4, size=60)
    for j, row in enumerate(logs):
        exact = [Decimal(float(value)).exp() for value in row]
        p = [value / sum(exact) for value in exact]
        plain = -sum(v * v.ln() for v in p)
        rest = [sum(p[:i] + p[i + 1 :], Decimal(0)) for i in range(4)]
        y = int(labels[j])
        modified = -rest[y] * p[y].ln() - sum(p[i] * rest[i].ln() for i in range(4) if i != y)
        assert entropy(logs)[j] == pytest.approx(float(plain), rel=1e-6, abs=1e-280)
        assert modified_entropy(logs, labels)[j] == pytest.approx(float(modified), rel=1e-6, abs=1e-280)


def test_sure_and_right_is_surest_and_sure_and_wrong_least() -> None:
    logs = np.log([[0.98, 0.01, 0.01], [0.4, 0.3, 0.3], [0.01, 0.98, 0.01]])
    order = np.argsort(sureness(modified_entropy(logs, np.zeros(3, np.int64))))
    assert order.tolist() == [2, 1, 0]


def test_each_class_gets_the_cut_that_tells_its_records_apart() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [300, 300, 2])
    masks = np.argsort(rng.random((4, 602)), axis=0) < 2
    level = np.array([0.0, 10.0, 5.0])[labels]
    found = class_thresholds(level + 4 * masks + rng.normal(0, 0.3, masks.shape), masks, labels, 3)
    assert found[0] == pytest.approx(2, abs=0.8)
    assert found[1] == pytest.approx(12, abs=0.8)
    # Two records are too few for a cut of their own.
    assert np.isfinite(found[2])
    assert class_thresholds(np.ones((2, 50)), masks[:2, :50], labels[:50], 3).tolist() == [1.0] * 3
