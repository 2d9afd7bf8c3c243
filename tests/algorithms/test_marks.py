"""The two schemes beside spread spectrum: strength, payload, false positives, wrong keys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn

from threatloop.algorithms import learned_mark as learned
from threatloop.algorithms.haar_svd import (
    PACKAGE_STEP,
    Lattice,
    detect,
    embed,
    keyed_lattice,
    singular_values,
)
from threatloop.algorithms.watermark_host import Images
from threatloop.core.assets import Dataset
from threatloop.core.catalogue import DEFENCES
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Marker
from threatloop.core.schema import ImageSchema

KEY = b"owner"
SCHEMES = ("dwt_dct_svd", "learned_mark")


def smooth(n: int, shape: tuple[int, int, int], seed: int = 0) -> Images:
    """Natural-looking images: a 1/f spectrum around mid-grey."""
    rng = np.random.default_rng(seed)
    c, h, w = shape
    u, v = np.mgrid[:h, :w]
    coefficients = rng.normal(size=(n, c, h, w)) * (0.15 * np.sqrt(h * w) / (1 + np.hypot(u, v)) ** 1.5)
    pixels = dctn(coefficients, type=3, axes=(2, 3), norm="ortho")
    return np.asarray(np.clip(0.5 + pixels, 0, 1), dtype=np.float32)


def records(images: Images) -> Dataset:
    _, channels, height, width = images.shape
    schema = ImageSchema(classes=("a", "b"), channels=channels, height=height, width=width)
    n = len(images)
    return Dataset(np.rint(images * 255).astype(np.uint8), np.arange(n) % 2, schema, np.arange(n))


def marker(name: str) -> Marker:
    made = DEFENCES.load(name)()
    assert isinstance(made, Marker)
    return made


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return records(smooth(150, (1, 24, 24)))


@pytest.mark.parametrize("name", SCHEMES)
def test_marks_keep_their_bound_and_give_the_payload_back(name: str, clean: Dataset) -> None:
    scheme = marker(name)
    marked = scheme.protect(clean, KEY)
    error = ((marked.x / 255 - clean.x / 255) ** 2).mean(axis=(1, 2, 3))
    assert (-10 * np.log10(np.maximum(error, 1e-9))).min() >= 36 - 1e-3
    assert marked.x.dtype == np.uint8
    found = scheme.detect(marked, KEY, clean)
    assert found.bit_accuracy == 1.0
    assert found.detected(1e-6)
    assert (found.p_per_record < 0.01).mean() > 0.9
    assert marked.digest == scheme.protect(clean, KEY).digest


@pytest.mark.parametrize("name", SCHEMES)
def test_wrong_keys_and_clean_images_show_nothing(name: str, clean: Dataset) -> None:
    scheme = marker(name)
    marked = scheme.protect(clean, KEY)
    found = [scheme.detect(clean, KEY, clean), scheme.detect(marked, b"other", clean)]
    assert all(one.p_set > 1e-3 for one in found)
    assert all(one.bit_accuracy is not None and one.bit_accuracy < 0.9 for one in found)


@pytest.mark.parametrize("kind", ["unmarked", "other key", "constant"])
def test_false_positives_of_the_quantiser_are_exact(kind: str, clean: Dataset) -> None:
    images = (clean.x / 255).astype(np.float32)[:20]
    if kind == "other key":
        images = embed(images, keyed_lattice(KEY, (1, 24, 24), 36.0)[0], 36.0)
    if kind == "constant":
        images = np.full_like(images, 0.4)
    found = [detect(images, *keyed_lattice(b"null %d" % i, (1, 24, 24), 36.0)) for i in range(300)]
    p_set = np.array([one.p_set for one in found])
    for rate in (0.01, 0.05, 0.5):
        assert abs((p_set <= rate).mean() - rate) <= 3.5 * np.sqrt(rate * (1 - rate) / 300)
    p_image = np.concatenate([one.p_per_image for one in found])
    assert 0.4 < (p_image <= 0.5).mean() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("marked", [False, True])
def test_false_positives_of_the_networks_are_exact(
    marked: bool, clean: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "STEPS", 20)  # what the networks read does not matter: the payload decides
    images = (clean.x / 255).astype(np.float32)[:60]
    if marked:
        images = learned.learned_mark(images, KEY, 36.0).embed(images, 36.0)
    p = np.array([learned.learned_mark(images, b"null %d" % i, 36.0).detect(images).p_set for i in range(300)])
    for rate in (0.01, 0.05, 0.5):
        assert (p <= rate).mean() - rate <= 3.5 * np.sqrt(rate * (1 - rate) / 300)


def test_networks_are_trained_once_and_the_same_again(clean: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 40)
    images = (clean.x / 255).astype(np.float32)[:100]
    first = learned.learned_mark(images, KEY, 36.0)
    assert learned.learned_mark(images.copy(), KEY, 36.0) is first
    assert first.loss[1] < first.loss[0]
    learned._CACHE.clear()
    again = learned.learned_mark(images, KEY, 36.0)
    assert again is not first
    assert np.array_equal(again.embed(images, 36.0), first.embed(images, 36.0))


@pytest.mark.parametrize("name", SCHEMES)
def test_digits_are_too_small_and_it_says_so(name: str) -> None:
    with pytest.raises(NotAssessable, match="8×8"):
        marker(name).protect(records(smooth(40, (1, 8, 8))), KEY)


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 17, 23), (1, 40, 70)])
def test_every_shape_is_marked_and_read(shape: tuple[int, int, int]) -> None:
    data = records(smooth(60, shape))
    found = marker("dwt_dct_svd").detect(marker("dwt_dct_svd").protect(data, KEY), KEY, data)
    assert found.detected(1e-3)


def test_the_cosine_transform_changes_no_singular_value() -> None:
    images = smooth(3, (1, 16, 16))
    low = (images[:, 0].astype(np.float64) * 255).reshape(3, 8, 2, 8, 2).sum(axis=(2, 4)) / 2
    block = low[1, 4:, :4]
    expected = np.linalg.svd(dctn(block, norm="ortho"), compute_uv=False)[0]
    assert singular_values(images)[1, 2] == pytest.approx(expected)


def test_the_package_reads_what_we_write_and_we_read_what_it_writes() -> None:
    package = pytest.importorskip("imwatermark")
    image, blocks = smooth(1, (3, 256, 256), seed=4), 32 * 32
    bits = np.random.default_rng(0).integers(0, 2, 32)
    lattice = Lattice(PACKAGE_STEP, bits[np.arange(blocks) % 32], np.full(blocks, 0.25))
    ours = embed(image, lattice, None)
    decoder = package.WatermarkDecoder("bits", 32)
    read = decoder.decode(_bgr(ours), "dwtDctSvd")
    assert np.array_equal(np.asarray(read).astype(int), bits)
    encoder = package.WatermarkEncoder()
    encoder.set_watermark("bits", bits.tolist())
    theirs = encoder.encode(_bgr(image), "dwtDctSvd")[:, :, ::-1].transpose(2, 0, 1)[None]
    residues = singular_values((theirs / 255).astype(np.float32))[0] / PACKAGE_STEP % 1
    votes = np.bincount(np.arange(blocks) % 32, residues > 0.5) / (blocks // 32)
    assert np.array_equal((votes > 0.5).astype(int), bits)


def _bgr(images: Images) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.ascontiguousarray(np.rint(images[0] * 255).astype(np.uint8).transpose(1, 2, 0)[:, :, ::-1])
