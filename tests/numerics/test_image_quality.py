"""Image quality against a slow oracle that walks over every window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats
from threatloop.numerics.image_quality import psnr, ssim, window_for


def slow_ssim(a: Floats, b: Floats, window: int, peak: float = 1.0) -> float:
    half = window // 2
    raw = [[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-half, half + 1)] for i in range(-half, half + 1)]
    weights = np.array(raw) / np.sum(raw)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    values = []
    for first, second in zip(a, b, strict=True):
        for i in range(first.shape[0] - window + 1):
            for j in range(first.shape[1] - window + 1):
                x, y = first[i : i + window, j : j + window], second[i : i + window, j : j + window]
                mx, my = (weights * x).sum(), (weights * y).sum()
                vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
                cov = (weights * (x - mx) * (y - my)).sum()
                top = (2 * mx * my + c1) * (2 * cov + c2)
                values.append(top / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("shape", "window"), [((2, 1, 8, 8), 7), ((2, 3, 13, 17), 11), ((1, 1, 3, 9), 3), ((1, 2, 11, 12), 11)]
)
def test_ssim_matches_the_slow_oracle(shape: tuple[int, ...], window: int) -> None:
    rng = np.random.default_rng(7)
    a = rng.random(shape)
    b = np.clip(a + 0.2 * rng.normal(size=shape), 0, 1)
    assert window_for(*shape[2:]) == window
    np.testing.assert_allclose(ssim(a, b), [slow_ssim(x, y, window) for x, y in zip(a, b, strict=True)])
    np.testing.assert_allclose(ssim(255 * a, 255 * b, peak=255), ssim(a, b))


def test_ssim_of_identical_and_of_inverted_images() -> None:
    images = np.random.default_rng(0).random((4, 1, 28, 28))
    np.testing.assert_allclose(ssim(images, images), 1.0)
    assert (ssim(images, 1 - images) < 0).all()


def test_psnr_per_image() -> None:
    a = np.zeros((3, 1, 8, 8))
    b = a + np.array([0.0, 0.1, 0.5]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(psnr(a, b), [np.inf, 20.0, -20 * math.log10(0.5)])
    np.testing.assert_allclose(psnr(255 * a, 255 * b, peak=255), psnr(a, b))


def test_bad_images_are_refused() -> None:
    good = np.zeros((1, 1, 8, 8))
    with pytest.raises(InputError, match="NCHW"):
        psnr(good, good[0])
    with pytest.raises(InputError, match="NaN"):
        ssim(good, good * np.nan)
    with pytest.raises(InputError, match="at least 3"):
        ssim(good[..., :2], good[..., :2])
    with pytest.raises(InputError, match="peak"):
        psnr(good, good, peak=0)
