from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from scipy.stats import binom, kstest
from sklearn.datasets import load_digits

from threatloop.algorithms.watermark import _bucket, _evidence, _patterns, detect, embed, host_statistics
from threatloop.algorithms.watermark_host import Floats, HostStatistics, Images, bands, to_spectrum
from threatloop.core.errors import InputError

KEY = b"owner"


@pytest.fixture(scope="module")
def digits() -> Images:
    pixels = (load_digits().data / 16).reshape(-1, 1, 8, 8).astype(np.float32)
    return np.asarray(pixels[np.random.default_rng(0).permutation(len(pixels))], dtype=np.float32)


@pytest.fixture(scope="module")
def reference(digits: Images) -> HostStatistics:
    return host_statistics(digits[1200:])


@pytest.fixture(scope="module")
def marked(digits: Images, reference: HostStatistics) -> Images:
    return embed(digits[:400], KEY, reference)


def smooth_images(n: int, shape: tuple[int, int, int], seed: int = 0) -> Images:
    """Natural-looking images: a 1/f spectrum around mid-gray."""
    rng = np.random.default_rng(seed)
    c, h, w = shape
    u, v = np.mgrid[:h, :w]
    coefficients = rng.normal(size=(n, c, h, w)) * (0.15 * np.sqrt(h * w) / (1 + np.hypot(u, v)) ** 1.5)
    pixels = dctn(coefficients, type=3, axes=(2, 3), norm="ortho")
    return np.asarray(np.clip(0.5 + pixels, 0, 1), dtype=np.float32)


def psnr(a: Images, b: Images) -> Floats:
    return np.asarray(-10 * np.log10(((a.astype(np.float64) - b) ** 2).mean(axis=(1, 2, 3))))


def test_mark_uses_the_distortion_budget_and_never_exceeds_it(digits: Images, marked: Images) -> None:
    values = psnr(marked, digits[:400])
    assert values.min() >= 36.0 - 1e-4
    assert values.max() <= 36.5


def test_marked_images_have_eight_bits(marked: Images) -> None:
    assert np.abs(marked * 255 - np.round(marked * 255)).max() < 1e-4
    assert marked.min() >= 0
    assert marked.max() <= 1


def test_owner_detects_and_reads_the_payload(reference: HostStatistics, marked: Images) -> None:
    found = detect(marked, KEY, reference)
    assert found.z_set > 9
    assert found.detected(1e-6)
    assert found.bit_accuracy == 1.0
    assert found.z_per_image.mean() > 0.9


def test_own_payload_round_trip(digits: Images, reference: HostStatistics) -> None:
    payload = [1, 0, 0, 1, 1, 1, 0, 1, 0, 0]
    images = embed(digits[:400], KEY, reference, payload=payload)
    assert detect(images, KEY, reference, payload).bits.tolist() == [bool(bit) for bit in payload]


@pytest.mark.parametrize("kind", ["unmarked", "other key"])
def test_null_is_calibrated(kind: str, digits: Images, reference: HostStatistics, marked: Images) -> None:
    images = digits[:400] if kind == "unmarked" else marked
    results = [detect(images, b"null %d" % i, reference) for i in range(500)]
    p_set = np.array([r.p_set for r in results])
    assert kstest(p_set, "uniform").pvalue > 0.001
    p_one = np.concatenate([r.p_per_image for r in results])
    assert kstest(p_one, "uniform").statistic < 0.01
    for rate, p in ((0.01, p_set), (0.01, p_one[::37]), (0.001, p_one[::37])):
        assert (p <= rate).sum() <= binom.ppf(0.9999, len(p), rate)
    assert 0.007 < (p_one <= 0.01).mean() < 0.013
    assert abs(np.mean([r.bit_accuracy for r in results]) - 0.5) < 0.03


def test_null_holds_where_all_images_share_a_mean_far_from_the_reference(reference: HostStatistics) -> None:
    pattern = np.random.default_rng(1).random((1, 1, 8, 8), dtype=np.float32)
    images = np.clip(pattern + 0.02 * np.random.default_rng(2).normal(size=(300, 1, 8, 8)), 0, 1).astype(np.float32)
    z = np.array([detect(images, b"null %d" % i, reference).z_set for i in range(300)])
    assert abs(z.mean()) < 0.2
    assert 0.85 < z.std() < 1.15


def test_copies_of_one_image_are_no_more_evidence_than_one(digits: Images, reference: HostStatistics) -> None:
    one = detect(digits[:1], KEY, reference)
    copies = detect(np.repeat(digits[:1], 50, axis=0), KEY, reference)
    assert one.z_set == pytest.approx(float(one.z_per_image[0]), abs=1e-9)
    assert copies.z_set == pytest.approx(one.z_set, abs=1e-6)


def test_set_statistic_equals_a_slow_sum_over_images(marked: Images, reference: HostStatistics) -> None:
    payload = [1, 0, 1]
    signs, slots = _patterns(KEY, len(reference.variance), 3)
    spectra = to_spectrum(marked[:90])
    groups: dict[int, Floats] = {}
    for bucket, evidence in zip(_bucket(spectra, KEY, reference), _evidence(spectra, reference), strict=True):
        groups[bucket] = groups.get(bucket, np.zeros(len(evidence))) + evidence / np.linalg.norm(evidence)
    total = variance = 0.0
    for bucket, pooled in groups.items():
        for k, value in enumerate(pooled):
            total += value * signs[bucket, k] * (1 if payload[slots[bucket, k]] else -1)
            variance += value**2
    assert detect(marked[:90], KEY, reference, payload).z_set == pytest.approx(total / variance**0.5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 17, 23), (3, 224, 224)])
def test_strong_on_larger_images(shape: tuple[int, int, int]) -> None:
    n = 6 if shape[1] > 100 else 60
    images, reference = smooth_images(n, shape), host_statistics(smooth_images(n, shape, seed=1))
    result = embed(images, KEY, reference)
    assert psnr(result, images).min() >= 36.0 - 1e-4
    found = detect(result, KEY, reference)
    assert found.z_set > 10
    assert found.bit_accuracy == 1.0
    assert abs(detect(result, b"other", reference).z_set) < 4.5


def test_hash_band_lies_strictly_below_the_mark_band() -> None:
    for height, width in [(8, 8), (28, 28), (20, 40), (224, 224)]:
        hashed, carrying = bands(height, width)
        u, v = np.mgrid[:height, :width]
        assert not (hashed & carrying).any()
        assert np.hypot(u, v)[hashed].max() < np.hypot(u, v)[carrying].min()
        assert not hashed[0, 0]


@settings(max_examples=15, deadline=None)
@given(level=st.floats(0, 1), seed=st.integers(0, 1000))
def test_any_image_respects_the_bound(level: float, seed: int, reference: HostStatistics) -> None:
    noise = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (3, 1, 8, 8))
    images = np.clip(level + noise, 0, 1).astype(np.float32)
    assert (psnr(embed(images, KEY, reference), images) >= 36.0 - 1e-4).all()


def test_same_key_same_mark(digits: Images, reference: HostStatistics, marked: Images) -> None:
    assert np.array_equal(embed(digits[:400], KEY, reference), marked)
    assert not np.array_equal(embed(digits[:400], b"other", reference), marked)


def test_fast_enough(digits: Images, reference: HostStatistics) -> None:
    def once() -> float:
        start = time.process_time()
        embed(digits[:400], KEY, reference)
        return time.process_time() - start

    assert min(once() for _ in range(5)) < 0.1


@pytest.mark.parametrize(
    ("shape", "value", "what"),
    [
        ((4, 8, 8), 0.5, "shape"),
        ((4, 1, 7, 8), 0.5, "shape"),
        ((4, 1, 9, 9), 0.5, "reference"),
        ((4, 1, 8, 8), 2.0, "outside"),
        ((4, 1, 8, 8), np.nan, "finite"),
    ],
)
def test_bad_images_are_refused(shape: tuple[int, ...], value: float, what: str, reference: HostStatistics) -> None:
    with pytest.raises(InputError, match=what):
        embed(np.full(shape, value), KEY, reference)


def test_other_bad_input_is_refused(digits: Images, reference: HostStatistics) -> None:
    with pytest.raises(InputError, match="key"):
        embed(digits[:2], b"", reference)
    with pytest.raises(InputError, match="psnr_db"):
        embed(digits[:2], KEY, reference, psnr_db=5)
    with pytest.raises(InputError, match="payload"):
        embed(digits[:2], KEY, reference, payload=[0, 2])
    with pytest.raises(InputError, match="no image"):
        detect(digits[:0], KEY, reference)
    with pytest.raises(InputError, match="at least 2"):
        host_statistics(digits[:1])
