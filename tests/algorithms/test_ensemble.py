"""The ensemble trainer against one training after the other."""

from __future__ import annotations

import numpy as np
import pytest
from test_fit import assert_close, images, table

from threatloop.algorithms.ensemble import TOGETHER, ensemble_log_probs, fit_ensemble
from threatloop.algorithms.fit import fit
from threatloop.algorithms.outcome import Diverged
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.responder import LocalResponder

RECIPE = Recipe(epochs=3, batch_size=8)


def streams(count: int) -> list[Streams]:
    return [Streams(4, (f"model-{k}",)) for k in range(count)]


def uneven(count: int, n: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Masks of many sizes, so that last batches and the number of steps differ."""
    rng = np.random.default_rng(0)
    return np.stack([rng.random(n) < rng.uniform(0.2, 0.8) for _ in range(count)])


@pytest.mark.parametrize("recipe", [RECIPE, Recipe(epochs=3, batch_size=8, optimiser="adam", learning_rate=3e-3)])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("data", [table(), images()])
def test_stacked_training_equals_one_after_the_other(recipe: Recipe, soft: bool, data: Dataset) -> None:
    masks, architecture = uneven(20, len(data)), Architecture(name="mlp", parameters={"hidden": (12, 6)})
    targets = None
    if soft:
        targets = np.random.default_rng(3).dirichlet(np.ones(data.n_classes), len(data)).astype(np.float32)
    together = fit_ensemble(architecture, data, masks, recipe, streams(20), soft_targets=targets)
    for mask, own, model in zip(masks, streams(20), together, strict=True):
        part = None if targets is None else targets[mask]
        alone = fit(architecture, data.take(mask), recipe, own, soft_targets=part)
        assert_close(alone.weights, model.weights, 2e-5)
        assert model.notes["train_loss"] == pytest.approx(alone.notes["train_loss"], abs=1e-4)
        assert model.notes["train_accuracy"] == pytest.approx(alone.notes["train_accuracy"], abs=0.05)
        assert model.notes["steps"] == alone.notes["steps"]


def test_equal_halves_share_full_stacks() -> None:
    data, count = table(), TOGETHER + 3
    rng = np.random.default_rng(0)
    masks = np.stack([rng.permutation(len(data)) < 45 for _ in range(count)])
    models = fit_ensemble(Architecture(name="mlp"), data, masks, RECIPE, streams(count))
    again = fit_ensemble(Architecture(name="mlp"), data, masks, RECIPE, streams(count))
    assert [m.digest for m in models] == [m.digest for m in again]
    assert len({m.digest for m in models}) == count
    alone = fit(Architecture(name="mlp"), data.take(masks[-1]), RECIPE, streams(count)[-1])
    assert_close(alone.weights, models[-1].weights, 2e-5)


def test_other_architectures_are_trained_one_after_the_other() -> None:
    data, architecture = images(), Architecture(name="cnn", parameters={"channels": (4,), "hidden": 4})
    masks = uneven(3, len(data))
    models = fit_ensemble(architecture, data, masks, RECIPE, streams(3))
    expected = [fit(architecture, data.take(m), RECIPE, s) for m, s in zip(masks, streams(3), strict=True)]
    assert [m.digest for m in models] == [m.digest for m in expected]


@pytest.mark.parametrize("hidden", [[(8,), (8,)], [(8,), (9, 4)]])
def test_stacked_scores_equal_single_ones(hidden: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threatloop.algorithms.ensemble.SCORED_NUMBERS", 300)
    data = table()
    models = [
        fit(Architecture(name="mlp", parameters={"hidden": h}), data, RECIPE, s)
        for h, s in zip(hidden, streams(2), strict=True)
    ]
    scores = ensemble_log_probs(models, data)
    assert scores.shape == (2, len(data), 3)
    assert scores.dtype == np.float32
    for model, own in zip(models, scores, strict=True):
        np.testing.assert_allclose(own, LocalResponder(model).log_probs(data.x), atol=2e-5)


def test_bad_masks_and_streams_get_one_line() -> None:
    data, mlp = table(), Architecture(name="mlp")
    masks = np.ones((2, len(data)), bool)
    with pytest.raises(InputError, match=r"need bool \(models, 90\)"):
        fit_ensemble(mlp, data, masks[:, :5], RECIPE, streams(2))
    with pytest.raises(InputError, match="2 masks and 3 random streams"):
        fit_ensemble(mlp, data, masks, RECIPE, streams(3))
    masks[1] = False
    with pytest.raises(InputError, match="mask 1 chooses no record"):
        fit_ensemble(mlp, data, masks, RECIPE, streams(2))
    with pytest.raises(InputError, match="at least one model"):
        ensemble_log_probs([], data)
    with pytest.raises(InputError, match="other classes"):
        ensemble_log_probs([fit(mlp, images(), RECIPE, Streams(0))], data)


def test_a_diverging_stack_gets_one_line() -> None:
    with pytest.raises(Diverged, match=r"lower recipe\.learning_rate"):
        fit_ensemble(Architecture(name="mlp"), table(), uneven(2, 90), Recipe(epochs=5, learning_rate=1e12), streams(2))
