"""The projection onto box ∩ hyperplane against slow, general solvers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, lsq_linear

from threatloop.algorithms.hyperplane import to_hyperplane
from threatloop.modality.space import Norm

Arrays = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def problem(seed: int, n: int = 40, d: int = 7) -> Arrays:
    """Planes of which most meet the box; some cells have no slope, some sit on a bound, some have no upper bound."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, d, generator=generator, dtype=torch.float64)
    x[:, 0] = (x[:, 0] > 0.5).double()
    normal = torch.randn(n, d, generator=generator, dtype=torch.float64)
    normal[:, 1] = 0
    through = torch.rand(n, d, generator=generator, dtype=torch.float64) * 1.2
    low, high = torch.zeros(n, d, dtype=torch.float64), torch.ones(n, d, dtype=torch.float64)
    high[:, 2] = torch.inf
    return x, normal, -(normal * through).sum(dim=1), low, high


def slow(norm: Norm, one: Arrays) -> float | None:
    """The distance to the plane within the box by a general solver; None where the plane misses the box."""
    x, w, low, high = (one[i].numpy() for i in (0, 1, 3, 4))
    d, b = len(x), float(one[2])
    bounds = [(lo, hi if np.isfinite(hi) else None) for lo, hi in zip(low, high, strict=True)]
    # Cells z and the radius t: |z − x| ≤ t.
    eye, ones = np.eye(d), np.ones((d, 1))
    above = np.block([[eye, -ones], [-eye, -ones]])
    cost = np.r_[np.zeros(d), 1.0]
    found = linprog(cost, above, np.r_[x, -x], np.r_[w, 0.0][None], [-b], [*bounds, (0, None)])
    if not found.success:
        return None
    if norm == "linf":
        return float(found.fun)
    heavy = 1e4
    solved = lsq_linear(np.vstack([np.eye(d), heavy * w]), np.r_[x, -heavy * b], (low, high), tol=1e-13)
    return float(np.linalg.norm(solved.x - x))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_projection_is_the_nearest_point_of_the_plane_in_the_box(norm: Norm) -> None:
    x, normal, offset, low, high = problem(0)
    z = to_hyperplane(x, normal, offset, low, high, norm)
    assert (z >= low).all()
    assert (z <= high).all()
    met = 0
    for i in range(len(x)):
        expected = slow(norm, (x[i], normal[i], offset[i], low[i], high[i]))
        apart = z[i] - x[i]
        got = float(apart.abs().max() if norm == "linf" else apart.norm())
        residual = float((normal[i] * z[i]).sum() + offset[i])
        if expected is None:
            nearest = torch.where(normal[i] * residual > 0, low[i], high[i])
            touched = normal[i].abs() > 0
            torch.testing.assert_close(z[i][touched], nearest[touched])
            continue
        met += 1
        assert abs(residual) < 1e-9
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert met > 20


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_point_on_the_plane_and_a_plane_without_slope_stay(norm: Norm) -> None:
    x = torch.tensor([[0.25, 0.5], [0.25, 0.5]])
    normal = torch.tensor([[2.0, -1.0], [0.0, 0.0]])
    z = to_hyperplane(x, normal, torch.tensor([0.0, 3.0]), torch.zeros(()), torch.ones(()), norm)
    torch.testing.assert_close(z, x)
