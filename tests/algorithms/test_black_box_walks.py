"""FAB, HopSkipJump and Square on linear models, whose nearest adversarial points are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from threatloop.algorithms.black_box import lead
from threatloop.algorithms.fab import Fab
from threatloop.algorithms.hopskipjump import HopSkipJump, Setting
from threatloop.algorithms.square import Ball, Square, share_at
from threatloop.modality.patches import ColumnPatches, Patches, SquarePatches
from threatloop.modality.space import Norm

D, N = 36, 20
NO_STARTS = torch.zeros(N, 0, D)
ZERO, ONE = torch.zeros(()), torch.ones(())
NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass(frozen=True)
class Linear:
    """Three classes; every record is far enough from the bounds of the box that these do not matter."""

    weight: torch.Tensor
    x: torch.Tensor
    asked: torch.Tensor

    def logits(self, z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        self.asked.add_(torch.bincount(rows, minlength=N))
        return (z - 0.5) @ self.weight.T

    @property
    def y(self) -> torch.Tensor:
        return ((self.x - 0.5) @ self.weight.T).argmax(1)

    def errs(self, z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return self.logits(z, rows).argmax(1) != self.y[rows]

    def margins(self, z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        logits, own = self.logits(z, rows), self.y[rows][:, None]
        return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(1)

    def nearest(self, norm: Norm) -> torch.Tensor:
        """Distance to the nearest boundary: margin over the dual norm of the difference of weights."""
        logits, own, best = (self.x - 0.5) @ self.weight.T, self.y, torch.full((N,), torch.inf)
        for label in range(3):
            apart = self.weight[own] - self.weight[label]
            dual = apart.abs().sum(1) if norm == "linf" else apart.norm(dim=1)
            far = (logits.gather(1, own[:, None])[:, 0] - logits[:, label]) / dual
            best = torch.where(own == label, best, torch.minimum(best, far))
        return best


@pytest.fixture
def linear() -> Linear:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, D, generator=generator)
    x = 0.5 + 0.05 * weight[torch.arange(N) % 3] + 0.2 * (torch.rand(N, D, generator=generator) - 0.5)
    return Linear(weight, x, torch.zeros(N, dtype=torch.long))


@pytest.mark.parametrize("norm", NORMS)
def test_fab_finds_the_nearest_point_of_a_linear_model(linear: Linear, norm: Norm) -> None:
    fab = Fab(linear.logits, linear.x, linear.y, ZERO, ONE, norm, torch.Generator().manual_seed(1))
    fab.run(torch.arange(N), 15)
    asked = linear.asked.clone()
    fab.search()
    assert asked.tolist() == [16] * N
    torch.testing.assert_close(fab.best.distance, linear.nearest(norm), rtol=2e-3, atol=0)
    assert linear.errs(fab.best.points, torch.arange(N)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_fab_comes_near_from_random_starts_and_never_loses_what_it_has(linear: Linear, norm: Norm) -> None:
    fab = Fab(linear.logits, linear.x, linear.y, ZERO, ONE, norm, torch.Generator().manual_seed(1))
    fab.run(torch.arange(N), 100, restart=True, radius=0.1)
    before = fab.best.distance.clone()
    torch.testing.assert_close(before, linear.nearest(norm), rtol=0.1, atol=0)
    fab.run(torch.arange(N), 20, restart=True, radius=0.1)
    assert (fab.best.distance <= before).all()


def test_targeted_fab_goes_for_its_class(linear: Linear) -> None:
    found = []
    for rank in (1, 2):
        fab = Fab(linear.logits, linear.x, linear.y, ZERO, ONE, "l2", torch.Generator())
        fab.run(torch.arange(N), 15, rank=rank)
        found.append(linear.logits(fab.best.points, torch.arange(N)).argmax(1))
        assert fab.best.distance.isfinite().all()
        assert (fab.best.distance >= linear.nearest("l2") * 0.999).all()
    assert (found[0] != found[1]).float().mean() > 0.8


@pytest.mark.parametrize(("norm", "off"), [("l2", 1.06), ("linf", 1.15)])
def test_labels_alone_come_within_a_few_percent(linear: Linear, norm: Norm, off: float) -> None:
    budget = torch.full((N,), 2000)
    walk = HopSkipJump(linear.errs, linear.x, ZERO, ONE, budget, Setting(norm), torch.Generator().manual_seed(1))
    walk.run(NO_STARTS)
    ratio = walk.distance / linear.nearest(norm)
    assert float(ratio.median()) < off
    assert float(ratio.min()) >= 0.999
    assert linear.errs(walk.best, torch.arange(N)).all()


@pytest.mark.parametrize("budget", [0, 1, 2, 7, 30, 150])
def test_no_record_is_asked_more_often_than_it_may(linear: Linear, budget: int) -> None:
    allowed = torch.arange(N) % 3 + budget
    walk = HopSkipJump(linear.errs, linear.x, ZERO, ONE, allowed, Setting("l2"), torch.Generator().manual_seed(1))
    walk.run(NO_STARTS)
    assert (linear.asked <= allowed).all()
    assert torch.equal(walk.left, allowed - linear.asked)
    # What is left is too little for another step.
    assert (walk.left <= 11).all()


def test_a_record_without_an_adversarial_start_keeps_an_infinite_distance(linear: Linear) -> None:
    def never(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        return torch.zeros(len(z), dtype=torch.bool)

    walk = HopSkipJump(never, linear.x, ZERO, ONE, torch.full((N,), 20), Setting("l2"), torch.Generator())
    walk.run(NO_STARTS)
    assert walk.distance.isinf().all()
    assert torch.equal(walk.best, linear.x)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("patches", [SquarePatches(1, 6, 6), ColumnPatches(D, tuple(range(D)))], ids=type)
def test_random_search_reaches_what_a_linear_model_allows(linear: Linear, norm: Norm, patches: Patches) -> None:
    nearest = linear.nearest(norm)
    radius = float(nearest.median())
    low, high = (linear.x - radius, linear.x + radius) if norm == "linf" else (ZERO, ONE)
    search = Square(linear.margins, linear.x, Ball(norm, radius, low, high), patches, np.random.default_rng(0))
    search.run(torch.arange(N), 1000, 0.8)
    broken = search.margins <= 0
    far = search.best - linear.x
    assert (far.abs().amax(1) if norm == "linf" else far.norm(dim=1)).max() <= radius * (1 + 1e-5)
    assert not broken[nearest > radius * 1.001].any()
    # In l2 mass moves in patches, so the very direction of the weights is approached only.
    assert broken[nearest < radius * (0.99 if norm == "linf" else 0.7)].all()
    assert int(linear.asked.max()) <= 1000
    assert linear.errs(search.best, torch.arange(N))[broken].all()


def test_random_search_beats_random_noise(linear: Linear) -> None:
    radius = float(linear.nearest("linf").median()) * 1.5
    low, high = linear.x - radius, linear.x + radius
    rng = np.random.default_rng(0)
    search = Square(linear.margins, linear.x, Ball("linf", radius, low, high), SquarePatches(1, 6, 6), rng)
    search.run(torch.arange(N), 100, 0.8)
    noise = torch.from_numpy(rng.choice([-radius, radius], size=(100, N, D)).astype(np.float32))
    margins = torch.stack([linear.margins(linear.x + one, torch.arange(N)) for one in noise]).amin(0)
    assert (search.margins <= 0).sum() > (margins <= 0).sum() + 3


def test_the_patch_shrinks_as_published_and_stretches_with_the_budget() -> None:
    assert [share_at(step, 10_000, 0.8) for step in (0, 11, 51, 9000)] == [0.8, 0.4, 0.2, 0.8 / 512]
    assert share_at(90, 100, 0.8) == share_at(9000, 10_000, 0.8)


@pytest.mark.parametrize("patches", [SquarePatches(3, 8, 6), SquarePatches(1, 1, 1), ColumnPatches(9, (1, 4, 8))])
def test_patches_lie_inside_the_record_and_take_their_share(patches: Patches) -> None:
    rng = np.random.default_rng(0)
    for share in (1.0, 0.3, 0.01):
        for wide in (False, True):
            cells = patches.cells(share, 5, rng, wide=wide)
            flat = cells.reshape(5, -1)
            assert all(len(set(row)) == len(row) for row in flat.tolist())
            width = patches.stripes(5, rng).shape[1]
            assert 0 <= flat.min() <= flat.max() < width
            assert patches.profile(5, cells.shape[2], rng).shape == (5, cells.shape[2])
            assert patches.tiles(5, rng).shape == (5, width)
            assert np.abs(patches.tiles(5, rng)).sum(axis=1).min() > 0
            if isinstance(patches, ColumnPatches):
                assert set(flat.ravel().tolist()) <= set(patches.free)


def test_a_tie_is_broken_only_where_the_answer_is_another_class() -> None:
    """Services round their scores, and answer with the first of the likeliest classes."""
    scores = np.log(np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.6, 0.4, 0.0], [0.4, 0.6, 0.0]], np.float32) + 1e-9)
    margins = lead(scores, torch.tensor([0, 1, 0, 0]))
    assert (margins < 0).tolist() == [False, True, False, True]
    assert margins[:2].abs().max() < 1e-30
