"""Forms on a device are those of this processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from threatloop.algorithms.forms_on_device import OnDevice, forms_on
from threatloop.numerics.sphere import InMemory


def there(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no graphics card")
    return torch.device(name)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_both_compute_what_is_obvious(name: str) -> None:
    device, rng = there(name), np.random.default_rng(0)
    points, by, square, slope = (rng.standard_normal(shape) for shape in ((500, 7), 500, (7, 7), 7))
    for forms in (OnDevice.of(device, points), InMemory(points)):
        np.testing.assert_allclose(forms.values(square, slope), [x @ square @ x + slope @ x for x in points])
        products, sums = forms.weighted(by)
        np.testing.assert_allclose(products, sum(one * np.outer(x, x) for one, x in zip(by, points, strict=True)))
        np.testing.assert_allclose(sums, by @ points)


def test_a_processor_multiplies_where_its_points_are() -> None:
    assert forms_on("cpu") is InMemory
