"""The training loop against the textbook loop; determinism; learning; errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from plain_loop import plain_fit

from threatloop.algorithms.augment import shift, shift_flip
from threatloop.algorithms.batches import Records, bounds, statistics
from threatloop.algorithms.fit import fit
from threatloop.algorithms.outcome import Diverged
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Column, ImageSchema, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.models.device import bfloat16_is_fast
from threatloop.models.responder import LocalResponder

SHORT = Recipe(epochs=3, batch_size=16)
Weights = Mapping[str, npt.NDArray[Any]]


def table(n: int = 90, classes: int = 3) -> Dataset:
    """Separable Gaussian classes with columns of very different scales; the last one never varies."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, 6)) + 4 * np.eye(6)[y]
    x = (x * [1, 10, 100, 1, 1, 0] + [0, 0, 5000, 0, 0, 7]).astype(np.float32)
    schema = TabularSchema(
        classes=tuple(map(str, range(classes))), columns=tuple(Column(name=f"c{i}") for i in range(6))
    )
    return Dataset(x, y, schema, np.arange(n))


def images(n: int = 90, side: int = 12) -> Dataset:
    """Two classes of noise: brighter at the top, or at the bottom."""
    rng = np.random.default_rng(1)
    y = np.arange(n) % 2
    x = rng.integers(0, 120, (n, 1, side, side))
    x[y == 0, :, : side // 2] += 60
    x[y == 1, :, side // 2 :] += 60
    schema = ImageSchema(classes=("top", "bottom"), channels=1, height=side, width=side)
    return Dataset(x.astype(np.uint8), y, schema, np.arange(n))


def assert_close(a: Weights, b: Weights, tolerance: float) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=tolerance, err_msg=name)


def accuracy(model: Model, data: Dataset) -> float:
    return float((LocalResponder(model).log_probs(data.x).argmax(1) == data.y).mean())


RECIPES = [
    SHORT,
    SHORT.model_copy(update={"optimiser": "adam", "learning_rate": 0.003}),
    SHORT.model_copy(update={"label_smoothing": 0.1, "batch_size": 89}),
    SHORT.model_copy(update={"batch_size": 500}),
]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("hidden", [(), (5,), (16, 8)])
@pytest.mark.parametrize("soft", [False, True])
def test_the_hand_written_mlp_step_equals_autograd(recipe: Recipe, hidden: tuple[int, ...], soft: bool) -> None:
    data, architecture = table(), Architecture(name="mlp", parameters={"hidden": hidden})
    targets = np.random.default_rng(3).dirichlet(np.ones(3), len(data)).astype(np.float32) if soft else None
    fast = fit(architecture, data, recipe, Streams(1), soft_targets=targets)
    assert_close(fast.weights, plain_fit(architecture, data, recipe, Streams(1), targets).weights, 2e-5)


@pytest.mark.skipif(bfloat16_is_fast("cpu"), reason="this processor trains convolutions in bfloat16")
def test_the_loop_for_convolutions_equals_the_textbook_loop() -> None:
    data, architecture = images(), Architecture(name="cnn", parameters={"channels": (4, 8), "hidden": 8})
    fast, plain = (f(architecture, data, SHORT, Streams(1)) for f in (fit, plain_fit))
    assert_close(fast.weights, plain.weights, 1e-4)


def test_an_mlp_with_augmentation_goes_through_the_loop_and_still_learns() -> None:
    recipe = Recipe(epochs=8, batch_size=16, augment="shift")
    model = fit(Architecture(name="mlp"), images(), recipe, Streams(0))
    assert accuracy(model, images()) > 0.95


@pytest.mark.parametrize(("name", "data"), [("mlp", table()), ("cnn", images())])
def test_same_streams_same_bits_and_no_global_random_state(name: str, data: Dataset) -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    augment = "shift_flip" if name == "cnn" else "none"
    recipe = SHORT.model_copy(update={"augment": augment})
    one, same, other = (fit(Architecture(name=name), data, recipe, Streams(seed)) for seed in (1, 1, 2))
    assert one.digest == same.digest
    assert one.digest != other.digest
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


def test_networks_learn_and_say_so() -> None:
    done: list[float] = []
    mlp = fit(Architecture(name="mlp"), table(), Recipe(epochs=30), Streams(0), progress=done.append)
    cnn = fit(Architecture(name="cnn"), images(), Recipe(epochs=6, batch_size=16), Streams(0))
    assert accuracy(mlp, table()) > 0.9
    assert accuracy(cnn, images()) > 0.95
    assert mlp.notes["train_accuracy"] > 0.9
    assert mlp.notes["steps"] == 60
    assert done == pytest.approx([(i + 1) / 30 for i in range(30)])


def test_soft_targets_replace_the_labels() -> None:
    data = table()
    targets = np.eye(3, dtype=np.float32)[(data.y + 1) % 3]
    model = fit(Architecture(name="mlp"), data, Recipe(epochs=30), Streams(0), soft_targets=targets)
    assert accuracy(model, data.with_y((data.y + 1) % 3)) > 0.9


def test_training_can_start_from_a_model() -> None:
    data, tiny = table(), Recipe(epochs=1, learning_rate=1e-9)
    first = fit(Architecture(name="mlp"), data, SHORT, Streams(0))
    again = fit(Architecture(name="mlp"), data.take(slice(0, 30)), tiny, Streams(9), init=first)
    assert_close(first.weights, again.weights, 1e-6)
    with pytest.raises(InputError, match="do not fit the architecture"):
        fit(Architecture(name="mlp", parameters={"hidden": (3,)}), data, tiny, Streams(0), init=first)


def test_preprocessing_comes_from_the_data_unless_stated() -> None:
    data = table()
    own = fit(Architecture(name="mlp"), data, SHORT, Streams(0)).weights
    np.testing.assert_allclose(own["mean"], data.x.mean(0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(own["std"][:5], data.x.std(0, dtype=np.float64)[:5], rtol=1e-4)
    assert own["std"][5] == 1
    stated = Architecture(name="mlp", mean=(0.5,) * 6)
    kept = fit(stated, data, SHORT, Streams(0)).weights
    np.testing.assert_array_equal(kept["mean"], np.full(6, 0.5, np.float32))
    np.testing.assert_array_equal(kept["std"], own["std"])
    found = statistics(images())
    assert found.mean == pytest.approx((images().x / 255).mean(), abs=1e-5)
    assert found.std == pytest.approx((images().x / 255).std(), abs=1e-5)


def test_a_diverging_run_gets_one_line() -> None:
    wild = Recipe(epochs=5, learning_rate=1e12)
    for name, data in (("mlp", table()), ("cnn", images())):
        with pytest.raises(Diverged, match=r"lower recipe\.learning_rate") as caught:
            fit(Architecture(name=name), data, wild, Streams(0))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"soft_targets": np.ones((4, 3), np.float32)}, r"shape \(4, 3\); need \(90, 3\)"),
        ({"soft_targets": np.ones((90, 3), np.float32)}, "do not sum to 1"),
        ({"recipe": SHORT.model_copy(update={"augment": "shift"})}, "is for images"),
        ({"data": table().take(slice(0, 0))}, "needs records"),
    ],
)
def test_parts_that_do_not_fit_get_one_line(change: dict[str, Any], words: str) -> None:
    parts = {"data": table(), "recipe": SHORT, "streams": Streams(0), **change}
    with pytest.raises(InputError, match=words):
        fit(Architecture(name="mlp"), **parts)


def test_large_data_is_encoded_batch_by_batch_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    data, rows = images(), np.array([5, 2, 80, 2])
    whole = Records.of(data)
    monkeypatch.setattr("threatloop.algorithms.batches.ENCODED_BYTES", 100)
    streamed = Records.of(data)
    assert streamed.encoded is None
    assert torch.equal(streamed.take(rows), whole.take(rows))
    assert torch.equal(streamed.take(rows), torch.from_numpy(data.x[rows]).float() / 255)


@pytest.mark.parametrize(("n", "size"), [(1, 8), (8, 8), (9, 8), (10, 8), (17, 8), (3, 1), (64, 64)])
def test_batches_cover_every_record_once_and_no_batch_is_single(n: int, size: int) -> None:
    cuts = bounds(n, size)
    assert [i for start, stop in cuts for i in range(start, stop)] == list(range(n))
    assert all(stop - start > 1 for start, stop in cuts) or n == 1 or size == 1
    assert all(stop - start <= size + 1 for start, stop in cuts)


def test_augmentation_moves_and_mirrors() -> None:
    x = torch.arange(64.0).reshape(1, 1, 8, 8).expand(200, 2, 8, 8).contiguous()
    moved = shift(x, torch.Generator().manual_seed(0))
    rows, columns = moved[:, 0, 4, 4].div(8, rounding_mode="floor"), moved[:, 0, 4, 4] % 8
    assert set(rows.tolist()) == set(columns.tolist()) == {3.0, 4.0, 5.0}
    assert torch.equal(moved[:, 0], moved[:, 1])
    mirrored = shift_flip(x, torch.Generator().manual_seed(0))
    falling = (mirrored[:, 0, 4, 4] > mirrored[:, 0, 4, 5]).float().mean()
    assert 0.35 < falling < 0.65
