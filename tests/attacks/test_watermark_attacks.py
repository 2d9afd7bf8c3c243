"""Removals against marks: each on a scheme that it is known to beat, and where it must fail."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits

from threatloop.algorithms.common_pattern import common_pattern
from threatloop.algorithms.detector_search import Walk
from threatloop.algorithms.diffusion import train_diffusion
from threatloop.algorithms.geometry import CropRescale, NonLocalMeans, Rotate, Shift, aligned_psnr
from threatloop.algorithms.laundering import UNDOES
from threatloop.core.access import Ledger
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.defence import DefenceInfo
from threatloop.core.protection import Detection, Detector, Marker, Registration
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams

KEY = b"owner"
REMOVALS = ("compression", "denoising", "geometric", "regeneration", "detector_removal", "watermark_removal")


@pytest.fixture(scope="module")
def digits() -> tuple[Dataset, Dataset]:
    """Records that are marked, and the attacker's."""
    pixels = (load_digits().data / 16).reshape(-1, 1, 8, 8)
    x = np.rint(pixels[np.random.default_rng(0).permutation(len(pixels))] * 255).astype(np.uint8)
    schema = ImageSchema(classes=("a", "b"), channels=1, height=8, width=8)
    whole = Dataset(x, np.arange(len(x)) % 2, schema, np.arange(len(x)))
    return whole.take(slice(0, 300)), whole.take(slice(300, 700))


@pytest.fixture(scope="module")
def larger(digits: tuple[Dataset, Dataset]) -> tuple[Dataset, Dataset]:
    """The same at 24×24 pixels, smooth, with a little texture."""
    schema = ImageSchema(classes=("a", "b"), channels=1, height=24, width=24)

    def enlarged(data: Dataset, seed: int) -> Dataset:
        noise = np.random.default_rng(seed).normal(0, 4, (len(data), 1, 24, 24))
        big = data.x.repeat(3, axis=2).repeat(3, axis=3) * 0.6 + 40 + noise
        return Dataset(np.clip(np.rint(big), 0, 255).astype(np.uint8), data.y, schema, data.ids)

    return enlarged(digits[0], 1), enlarged(digits[1], 2)


def marker(name: str) -> Marker:
    made = DEFENCES.load(name)()
    assert isinstance(made, Marker)
    return made


def launder(
    name: str, scheme: Marker, clean: Dataset, pool: Dataset, **fields: Any
) -> tuple[Dataset, Dataset, Bench, Ledger]:
    """The result, the marked records, the bench with its notes, and what was asked."""
    attack = ATTACKS.load(name)(**fields)
    ledger = Ledger(getattr(attack, "queries", None))
    held = {
        Resource.QUERY_POOL: pool,
        Resource.PROTECTION: scheme,
        Resource.DETECTOR: Detector(Registration(KEY, clean, scheme), ledger),
    }
    bench = Bench(Streams(5), {name: held[name] for name in attack.info.resources})
    marked = scheme.protect(clean, KEY)
    return attack.run(marked, bench).result, marked, bench, ledger


def squared_error(a: Dataset, b: Dataset) -> float:
    return float(((a.x / 255 - b.x / 255) ** 2).mean())


@pytest.mark.parametrize("name", ["denoising", "geometric", pytest.param("regeneration", marks=pytest.mark.slow)])
def test_removals_blind_the_owner_of_a_spread_spectrum_mark(name: str, digits: tuple[Dataset, Dataset]) -> None:
    scheme = marker("spread_spectrum")
    result, marked, _, _ = launder(name, scheme, *digits)
    assert scheme.detect(marked, KEY, digits[0]).z_set > 7
    assert scheme.detect(result, KEY, digits[0]).z_set < 2.6
    assert result.x.shape == marked.x.shape
    assert result.x.dtype == np.uint8


@pytest.mark.parametrize("name", ["compression", "geometric"])
def test_removals_lower_the_evidence_of_a_quantiser(name: str, larger: tuple[Dataset, Dataset]) -> None:
    scheme = marker("dwt_dct_svd")
    result, marked, _, _ = launder(name, scheme, *larger, most_auxiliary=200)
    before, after = scheme.detect(marked, KEY, larger[0]), scheme.detect(result, KEY, larger[0])
    assert before.z_set > 4
    assert after.z_set < before.z_set - 2
    assert not after.detected()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["dwt_dct_svd", "learned_mark"])
@pytest.mark.parametrize("name", ["geometric", "regeneration", "watermark_removal"])
def test_strong_removals_beat_the_other_schemes_too(name: str, scheme: str, larger: tuple[Dataset, Dataset]) -> None:
    owner = marker(scheme)
    result, marked, _, _ = launder(name, owner, *larger)
    before, after = owner.detect(marked, KEY, larger[0]), owner.detect(result, KEY, larger[0])
    assert before.z_set > 4
    assert after.z_set < before.z_set - 2


class FixedPattern(Marker):
    """Adds the same ±4 grey levels to every image, and correlates."""

    info: ClassVar[DefenceInfo] = DEFENCES.load("spread_spectrum").info

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        return data.with_x(np.clip(data.x.astype(int) + 4 * _signs(key, data), 0, 255).astype(np.uint8))

    def detect(self, data: Dataset, key: bytes, reference: Dataset) -> Detection:
        rest = data.x.mean(axis=0) - reference.x.mean(axis=0)
        z = float((rest * _signs(key, data)).sum() / max(float(np.sqrt((rest**2).sum())), 1e-9))
        return Detection(z, float(norm.sf(z)), np.full(len(data), 0.5), 1.0)


def _signs(key: bytes, data: Dataset) -> npt.NDArray[np.int64]:
    return np.random.default_rng(list(key)).integers(0, 2, data.x.shape[1:]) * 2 - 1


def test_averaging_finds_a_planted_fixed_pattern(larger: tuple[Dataset, Dataset]) -> None:
    clean, scheme = larger[0], FixedPattern()
    cleaned, marked, bench, _ = launder("collusion", scheme, *larger)
    assert scheme.detect(marked, KEY, clean).z_set > 10
    assert not scheme.detect(cleaned, KEY, clean).detected()
    assert squared_error(cleaned, clean) < 0.5 * squared_error(marked, clean)
    assert bench.progress.notes["pattern_rms"] == pytest.approx(4, abs=1.5)


def test_averaging_fails_where_the_pattern_changes_with_the_image(digits: tuple[Dataset, Dataset]) -> None:
    scheme = marker("spread_spectrum")
    result, marked, _, _ = launder("collusion", scheme, *digits)
    before, after = (scheme.detect(one, KEY, digits[0]).z_set for one in (marked, result))
    assert after > 0.9 * before


def test_two_samples_of_clean_images_have_no_pattern_between_them() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.random((300, 1, 16, 16), dtype=np.float32) for _ in range(2))
    pattern, share = common_pattern(first, second)
    assert share < 0.1
    assert float(np.abs(pattern).max()) < 0.02


@pytest.mark.parametrize("queries", [7, 700])
def test_the_detector_is_asked_no_more_than_allowed(queries: int, digits: tuple[Dataset, Dataset]) -> None:
    result, marked, bench, ledger = launder(
        "detector_removal", marker("spread_spectrum"), *digits, queries=queries, most_auxiliary=100
    )
    assert 0 < ledger.spent <= queries
    assert len(result) == len(marked)
    assert bench.progress.notes["detector_shown"] == pytest.approx(min(1, max(queries // 16, min(8, queries)) / 300))


@pytest.mark.slow
def test_the_detector_buys_quality(digits: tuple[Dataset, Dataset]) -> None:
    scheme = marker("spread_spectrum")
    asked, marked, bench, _ = launder("detector_removal", scheme, *digits)
    blind, _, _, _ = launder("watermark_removal", scheme, *digits)
    assert bench.progress.notes["detector_escaped"] == 1
    assert not scheme.detect(asked, KEY, digits[0]).detected()
    assert squared_error(asked, marked) < 0.7 * squared_error(blind, marked)


def test_the_walk_ends_at_the_boundary() -> None:
    marked, escaped = np.zeros((10, 1, 2, 2), np.float32), np.ones((10, 1, 2, 2), np.float32)
    kept: list[float] = []
    walk = Walk(lambda x: float(x.mean()) >= 0.3, lambda x: kept.append(float(x.mean())), steps=8)
    assert walk.towards(marked, escaped).mean() == pytest.approx(0.3, abs=0.01)
    assert walk.given_back(marked, escaped).mean() == pytest.approx(0.3, abs=0.01)
    assert walk.first([marked]) is None
    assert min(kept) >= 0.3


@pytest.mark.parametrize("name", ["compression", pytest.param("detector_removal", marks=pytest.mark.slow)])
def test_removals_repeat_themselves(name: str, digits: tuple[Dataset, Dataset]) -> None:
    runs = [launder(name, marker("spread_spectrum"), *digits, most_auxiliary=64)[0] for _ in range(2)]
    assert runs[0].digest == runs[1].digest


def test_the_diffusion_model_learns_and_forgets_more_the_later_it_starts(digits: tuple[Dataset, Dataset]) -> None:
    images = (digits[1].x / 255).astype(np.float32)
    model = train_diffusion(images, np.random.default_rng(0), steps=300)
    assert model.loss[1] < 0.5 * model.loss[0]
    noise = np.random.default_rng(1)
    errors = [((model.regenerate(images, t, noise) - images) ** 2).mean() for t in (0.1, 0.3, 0.6)]
    assert errors == sorted(errors)
    assert errors[0] < 0.02


@pytest.mark.parametrize("move", [CropRescale(1), Rotate(5), Shift(1)], ids=lambda move: str(move.label))
def test_moves_keep_the_shape_and_can_be_undone(move: Any) -> None:
    ramp = np.linspace(0, 1, 32, dtype=np.float32)
    images = np.broadcast_to(np.sin(3 * ramp)[:, None] * ramp, (2, 1, 32, 32)).astype(np.float32)
    moved = move(images, np.random.default_rng(0))
    assert moved.shape == images.shape
    plain = -10 * np.log10(((moved - images) ** 2).mean())
    assert aligned_psnr(moved, images, move) > plain + 10


def test_non_local_means_removes_noise_and_keeps_an_edge() -> None:
    clean = np.zeros((4, 1, 20, 20), np.float32)
    clean[..., 10:] = 1
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, clean.shape).astype(np.float32)
    result = NonLocalMeans(0.15)(noisy, np.random.default_rng(0))
    assert ((result - clean) ** 2).mean() < 0.3 * ((noisy - clean) ** 2).mean()


def test_every_removal_names_the_schemes_that_it_attacks() -> None:
    for name in (*REMOVALS, "collusion"):
        assert ATTACKS.load(name).info.undoes == UNDOES
        assert set(UNDOES) <= set(DEFENCES.names())
