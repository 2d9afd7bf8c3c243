"""Images: encoding, trigger, out-of-distribution noise and their problems."""

from __future__ import annotations

import numpy as np
import pytest

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import ImageSchema
from threatloop.modality.image import Image

SCHEMA = ImageSchema(classes=("a", "b"), channels=3, height=8, width=10)
KIND = Image()


def random_images(n: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, size=(n, 3, 8, 10), dtype=np.uint8)


def test_both_storages_encode_alike() -> None:
    stored = random_images()
    encoded = KIND.encode(stored, SCHEMA)
    np.testing.assert_array_equal(encoded, stored.astype(np.float32) / 255)
    np.testing.assert_array_equal(KIND.encode(encoded, SCHEMA), encoded)
    np.testing.assert_array_equal(KIND.watermark_view(stored, SCHEMA), encoded)
    assert encoded.max() <= 1


@pytest.mark.parametrize("size", [1, 3, 8])
def test_trigger_is_a_checkerboard_in_the_corner_and_nothing_else_changes(size: int) -> None:
    stored = random_images()
    before = stored.copy()
    marked = KIND.insert_trigger(stored, SCHEMA, size)
    np.testing.assert_array_equal(stored, before)
    patch = marked[:, :, -size:, -size:].astype(int)
    assert set(np.unique(patch)) <= {0, 255}
    assert (np.abs(np.diff(patch, axis=2)) == 255).all()
    assert (np.abs(np.diff(patch, axis=3)) == 255).all()
    marked[:, :, -size:, -size:] = stored[:, :, -size:, -size:]
    np.testing.assert_array_equal(marked, stored)


def test_trigger_is_the_same_in_both_storages() -> None:
    stored = random_images()
    from_float = KIND.insert_trigger(KIND.encode(stored, SCHEMA), SCHEMA, 4)
    np.testing.assert_array_equal(from_float, KIND.encode(KIND.insert_trigger(stored, SCHEMA, 4), SCHEMA))


@pytest.mark.parametrize("size", [0, 9])
def test_trigger_must_fit(size: int) -> None:
    with pytest.raises(InputError, match="allowed are 1 to 8"):
        KIND.insert_trigger(random_images(), SCHEMA, size)


def test_noise_ranges_from_smooth_to_rough() -> None:
    noise = KIND.noise_records(SCHEMA, 300, np.random.default_rng(0)).astype(float)
    roughness = np.abs(np.diff(noise, axis=3)).mean(axis=(1, 2, 3)) / noise.std(axis=(1, 2, 3))
    assert np.quantile(roughness, 0.05) < 0.65 < 0.95 < np.quantile(roughness, 0.95)


def test_bad_pixels_are_counted_and_located() -> None:
    x = KIND.encode(random_images(), SCHEMA)
    x[2, 0, 0, :2] = np.nan, np.inf
    x[3, 1, 1, 1] = 7
    data = Dataset(x, np.zeros(4, dtype=np.int64), SCHEMA, np.arange(4))
    broken, outside = KIND.problems(data)
    assert "2 NaN or infinite pixels (first bad image: 2)" in broken
    assert "1 pixels outside [0, 1]" in outside


def test_wrong_shape_and_dtype_are_named() -> None:
    labels, ids = np.zeros(4, dtype=np.int64), np.arange(4)
    (shape,) = KIND.problems(Dataset(random_images()[:, :1], labels, SCHEMA, ids))
    assert "(1, 8, 10)" in shape
    (dtype,) = KIND.problems(Dataset(random_images().astype(np.int64), labels, SCHEMA, ids))
    assert "int64" in dtype


def test_views_are_the_images_mirrored_and_moved_by_an_eighth_with_the_border_repeated() -> None:
    stored = random_images()
    views = KIND.views(stored, 18, "shift_flip")
    assert len(views) == 18
    assert all(view.shape == stored.shape and view.dtype == stored.dtype for view in views)
    np.testing.assert_array_equal(views[0], stored)
    np.testing.assert_array_equal(views[1], stored[..., ::-1])
    moves = KIND.views(stored, 99, "shift")
    assert len(moves) == 9
    assert len({view.tobytes() for view in moves}) == 9
    up = np.concatenate([stored[:, :, 1:], stored[:, :, -1:]], axis=2)
    assert any((view == up).all() for view in moves[:5])
    assert len(KIND.views(np.zeros((2, 1, 1, 1), np.uint8), 4, "none")) == 4
