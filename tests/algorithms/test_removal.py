from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from threatloop.algorithms import decoy
from threatloop.algorithms.decoy import Choice, DecoyBudget, choose_on_decoy, default_pipelines
from threatloop.algorithms.regeneration import Denoiser, DenoiserRecipe, train_denoiser
from threatloop.algorithms.removal import (
    Blur,
    Images,
    Jpeg,
    Median,
    Noise,
    Operator,
    Pipeline,
    Quantise,
    Regenerate,
    fit_erase_band,
)
from threatloop.algorithms.watermark import Detection, HostStatistics, detect, embed, host_statistics
from threatloop.core.errors import InputError

OWNER = b"owner"


@pytest.fixture(scope="module")
def digits() -> Images:
    pixels = (load_digits().data / 16).reshape(-1, 1, 8, 8)
    return np.asarray(pixels[np.random.default_rng(0).permutation(len(pixels))], dtype=np.float32)


@pytest.fixture(scope="module")
def denoiser(digits: Images) -> Denoiser:
    return train_denoiser(digits[:200], np.random.default_rng(0), DenoiserRecipe(steps=300))


@pytest.fixture(scope="module")
def choice(digits: Images) -> Choice:
    return choose_on_decoy(digits[400:800], 300, np.random.default_rng(0))


OPERATORS: list[Operator] = [Quantise(3), Blur(0.8), Noise(0.1), Median(3), Jpeg(40)]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: str(o.label))
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_operators_keep_shape_and_range_and_change_something(operator: Operator, channels: int) -> None:
    images = np.random.default_rng(0).random((5, channels, 9, 12), dtype=np.float32)
    result = Pipeline((operator,))(images, np.random.default_rng(1))
    assert result.shape == images.shape
    assert result.dtype == np.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert 0.001 < np.abs(result - images).mean() < 0.5
    assert np.array_equal(result, Pipeline((operator,))(images, np.random.default_rng(1)))


def test_stronger_settings_distort_more(digits: Images) -> None:
    families: list[list[Operator]] = [
        [Quantise(9), Quantise(3), Quantise(2)],
        [Blur(0.5), Blur(1), Blur(2)],
        [Noise(0.05), Noise(0.1), Noise(0.3)],
        [Jpeg(90), Jpeg(30), Jpeg(5)],
    ]
    for family in families:
        errors = [((Pipeline((o,))(digits[:50], np.random.default_rng(0)) - digits[:50]) ** 2).mean() for o in family]
        assert errors == sorted(errors)
        assert errors[0] < errors[-1]


def test_quantise_uses_exactly_its_levels() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    assert len(np.unique(Quantise(4)(ramp, np.random.default_rng(0)))) == 4


def test_empty_pipeline_is_identity_on_eight_bit_images(digits: Images) -> None:
    stored = np.round(digits[:5] * 255) / np.float32(255)
    assert np.array_equal(Pipeline(())(stored, np.random.default_rng(0)), stored)
    assert Pipeline(()).label == "identity"


def test_denoiser_learns_and_denoises_images_it_never_saw(denoiser: Denoiser, digits: Images) -> None:
    fresh = digits[1000:1200]
    noisy = np.clip(fresh + 0.2 * np.random.default_rng(0).standard_normal(fresh.shape), 0, 1).astype(np.float32)
    assert denoiser.loss[1] < 0.6 * denoiser.loss[0]
    assert ((denoiser(noisy) - fresh) ** 2).mean() < 0.7 * ((noisy - fresh) ** 2).mean()


def test_denoiser_depends_on_its_generator_only(digits: Images) -> None:
    recipe = DenoiserRecipe(steps=10)
    state = torch.random.get_rng_state()
    first, again, other = (train_denoiser(digits[:50], np.random.default_rng(s), recipe) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.weights, again.weights, strict=True))
    assert not torch.equal(first.weights[0], other.weights[0])
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("shape", [(3, 17, 19), (1, 28, 28), (3, 36, 20)])
def test_convolutional_denoiser_fits_any_size(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).random((70, *shape), dtype=np.float32) * 0.2 + 0.4
    trained = train_denoiser(images, np.random.default_rng(0), DenoiserRecipe(steps=15, decoy_keys=1))
    assert trained.weights[0].ndim == 4
    assert trained.loss[1] < trained.loss[0]
    assert trained(images).shape == images.shape


def test_erasing_the_band_removes_a_mark_of_any_key(digits: Images) -> None:
    reference = host_statistics(digits[:300])
    erase = fit_erase_band(digits[800:1200], host_statistics(digits[800:1200]))
    assert erase is not None
    for key in (b"a", b"b", b"c"):
        marked = embed(digits[400:700], key, reference)
        cleaned = Pipeline((erase,))(marked, np.random.default_rng(0))
        assert detect(marked, key, reference).z_set > 8
        assert detect(cleaned, key, reference).z_set < 3.5


def test_choice_is_explicit_and_least_distorting_among_those_that_passed(choice: Choice) -> None:
    assert choice.removed
    assert choice.trial.label == choice.pipeline.label
    assert choice.trial.z_before > 8
    assert choice.trial.z_after <= DecoyBudget().target
    assert choice.trial.keys == DecoyBudget().confirmation_keys
    assert len(choice.screening) > 20
    better = [t for t in choice.screening if t.psnr_db > choice.trial.psnr_db + 1 and t.z_after > 3]
    assert better, "a milder pipeline that fails must have been passed over"


def test_chosen_pipeline_defeats_an_owner_it_never_saw(choice: Choice, digits: Images) -> None:
    reference = host_statistics(digits[800:1200])
    z = []
    for key in (b"owner 1", b"owner 2", b"owner 3", b"owner 4"):
        marked = embed(digits[:300], key, reference)
        z.append(detect(choice.pipeline(marked, np.random.default_rng(5)), key, reference).z_set)
        assert detect(marked, key, reference).z_set > 7
    assert np.mean(z) < 2.326


def test_choice_uses_only_keys_from_its_own_generator(digits: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[bytes] = set()

    def spy(images: Images, key: bytes, reference: HostStatistics) -> Detection:
        used.add(key)
        return detect(images, key, reference)

    monkeypatch.setattr(decoy, "detect", spy)
    budget = DecoyBudget(screening_keys=2, confirmation_keys=3)
    candidates = [Pipeline((Blur(1.5),)), Pipeline((Noise(0.3),))]
    runs = [
        choose_on_decoy(digits[:200], 100, np.random.default_rng(seed), budget, pipelines=candidates)
        for seed in (3, 3, 4)
    ]
    assert runs[0].trial == runs[1].trial
    assert runs[0].screening == runs[1].screening
    assert runs[0].screening != runs[2].screening
    assert 2 * 2 <= len(used) <= 2 * 5
    assert OWNER not in used


def test_nothing_removes_is_said_and_the_strongest_returned(digits: Images) -> None:
    weak = [Pipeline(()), Pipeline((Quantise(17),)), Pipeline((Noise(0.02),))]
    result = choose_on_decoy(digits[:400], 400, np.random.default_rng(0), pipelines=weak)
    assert not result.removed
    assert result.trial.z_after == min(t.z_after for t in result.screening)
    assert result.trial.z_after > 3


def test_small_auxiliary_set_is_scaled_to_the_real_set(digits: Images) -> None:
    identity = [Pipeline(())]
    small = choose_on_decoy(digits[:200], 100, np.random.default_rng(0), pipelines=identity)
    large = choose_on_decoy(digits[:200], 400, np.random.default_rng(0), pipelines=identity)
    assert large.trial.z_before == pytest.approx(2 * small.trial.z_before)


def test_too_much_distortion_is_no_removal(digits: Images) -> None:
    blank = [Pipeline((Blur(30.0),))]
    budget = DecoyBudget(min_psnr_db=25)
    assert not choose_on_decoy(digits[:200], 100, np.random.default_rng(0), budget, pipelines=blank).removed


def test_default_grid_has_distinct_labels(denoiser: Denoiser) -> None:
    labels = [pipeline.label for pipeline in default_pipelines(denoiser)]
    assert len(labels) == len(set(labels))
    assert "regenerate(0.1) > noise(0.1)" in labels


def test_bad_input_is_refused(digits: Images, denoiser: Denoiser) -> None:
    with pytest.raises(InputError, match="at least 8"):
        choose_on_decoy(digits[:4], 10, np.random.default_rng(0))
    with pytest.raises(InputError, match="false_positive_rate"):
        DecoyBudget(false_positive_rate=0)
    with pytest.raises(InputError, match="steps"):
        DenoiserRecipe(steps=0)
    with pytest.raises(InputError, match="trained on"):
        Regenerate(0.0, denoiser)(np.zeros((1, 3, 8, 8), np.float32), np.random.default_rng(0))
