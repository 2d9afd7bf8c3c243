"""Attacks on encodings find what can be found, say so where they cannot, and see nothing in noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from encoded_world import KEY, STREAMS, attacked, dataset, digits, encoding, noise, similarity, smooth
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case
from threatloop.defences.data.spread_spectrum import SpreadSpectrum
from threatloop.metrics.decryption import Decryption

SHARED = ("block_scramble", "etc", "pixel_encryption")


def halves(data: Dataset) -> tuple[Dataset, Dataset]:
    return data.take(slice(0, len(data) // 2)), data.take(slice(len(data) // 2, None))


@pytest.mark.parametrize("scheme", SHARED)
def test_known_pairs_open_whatever_one_key_encodes(scheme: str) -> None:
    data, pool = halves(smooth(120, 3, 8))
    assert np.array_equal(attacked("known_plaintext", encoding(scheme), data, pool).x, data.x)


@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize("kind", ["digits", "colour"])
def test_one_key_does_not_survive_statistics(scheme: str, kind: str) -> None:
    data, pool = halves(digits(400) if kind == "digits" else smooth(400, 3, 12))
    assert similarity(attacked("jigsaw", encoding(scheme), data, pool), data) > 0.97


@pytest.mark.parametrize("scheme", SHARED)
def test_nothing_is_recovered_where_pixels_have_no_neighbours(scheme: str) -> None:
    """Noise has no statistics by which to put it right; pixels that merely stay in place keep half of their signs."""
    data, pool = halves(noise(400))
    found = attacked("jigsaw", encoding(scheme), data, pool)
    assert similarity(found, data) < 0.5
    assert (found.x == data.x).mean() < 0.75


@pytest.mark.parametrize("attack", ["known_plaintext", "jigsaw"])
def test_blocks_moved_by_a_key_per_image_resist(attack: str) -> None:
    """What remains is about what the average of the class gives anyone."""
    data, pool = halves(smooth(120, 1, 12))
    parameters: dict[str, Any] = {"steps": 40}
    guess = attacked("class_average", encoding("etc", per_image=True), data, pool)
    found = attacked(attack, encoding("etc", per_image=True), data, pool, **parameters)
    assert similarity(found, data) < max(0.5, similarity(guess, data) + 0.1)
    assert not np.array_equal(found.x, data.x)


@pytest.mark.slow
def test_negation_by_a_key_per_image_leaks_more_than_the_class_does() -> None:
    data, pool = halves(digits(600))
    scheme = encoding("pixel_encryption", per_image=True)
    found = attacked("jigsaw", scheme, data, pool, steps=100, copies=2)
    assert similarity(found, data) > similarity(attacked("class_average", scheme, data, pool), data) + 0.03


def test_blends_with_many_appearances_are_taken_apart() -> None:
    data, pool = halves(digits(600))
    scheme = encoding("instahide", mixed=2, partners=15)
    found = similarity(attacked("instahide_decoding", scheme, data, pool, steps=100, copies=2), data)
    assert found > similarity(scheme.protect(data, KEY), data) + 0.5
    assert found > similarity(attacked("class_average", scheme, data, pool), data) + 0.03


def test_constant_images_and_odd_sizes_pass_through_every_attack() -> None:
    constant = dataset(np.full((40, 1, 8, 8), 90, np.uint8))
    odd = smooth(40, 2, 9)
    for scheme, attack in [(s, a) for s in SHARED for a in ("known_plaintext", "jigsaw")] + [
        ("instahide", "instahide_decoding"),
        ("instahide", "known_plaintext"),
    ]:
        for data in (constant, odd):
            fields = ATTACKS.load(attack).model_fields
            few: dict[str, Any] = {"steps": 5} if "steps" in fields else {}
            found = attacked(attack, encoding(scheme), *halves(data), **few)
            assert found.x.dtype == np.uint8


def test_what_cannot_be_attacked_says_why() -> None:
    data, pool = halves(digits(40))
    with pytest.raises(NotAssessable, match="no pieces"):
        attacked("jigsaw", encoding("instahide"), data, pool)
    with pytest.raises(NotAssessable, match="blends nothing"):
        attacked("instahide_decoding", encoding("etc"), data, pool)
    with pytest.raises(NotAssessable, match="10 plain images"):
        attacked("jigsaw", encoding("etc"), data, pool.take(slice(0, 5)))
    with pytest.raises(NotAssessable, match="10 known pairs"):
        attacked("known_plaintext", encoding("etc"), data, pool.take(slice(0, 5)))
    held = {Resource.PROTECTION: SpreadSpectrum(), Resource.KNOWN_PAIRS: (pool, pool)}
    with pytest.raises(NotAssessable, match="encodes nothing"):
        ATTACKS.load("known_plaintext")().run(data, Bench(STREAMS, held))
    assert ATTACKS.load("known_plaintext")().problems(data.schema, 3)


def graded(outcome: Dataset, original: Dataset, protected: Dataset) -> dict[str, float | None]:
    truths = {"outcome": outcome, "original": original, "protected": protected, "test": original}
    case = Case(truths, ATTACKS.load("jigsaw")(), STREAMS)
    found = Decryption().grade(case)
    assert set(found.gallery) == {"original", "protected", "recovered"}
    return {reading.metric: reading.value for reading in found.readings}


def test_the_metric_tells_recovered_from_negated_from_hidden() -> None:
    data = digits(60)
    hidden = encoding("block_scramble").protect(data, KEY)
    exact = graded(data, data, hidden)
    assert exact["decryption"] == pytest.approx(1)
    assert exact["decryption.psnr"] is None
    negative = graded(data.with_x(255 - data.x), data, hidden)
    assert (negative["decryption"] or 0) < 0.2
    assert negative["decryption.aligned"] == pytest.approx(1)
    mirrored = graded(data.with_x(np.ascontiguousarray(data.x[..., ::-1])), data, hidden)
    assert (mirrored["decryption"] or 0) < 0.7
    assert mirrored["decryption.aligned"] == pytest.approx(1)
    nothing = graded(hidden, data, hidden)
    assert nothing["decryption"] == nothing["decryption.protected"]
    assert (nothing["decryption"] or 0) < 0.2
    assert nothing["decryption.accuracy"] is None


def test_the_metric_declines_images_that_are_too_small() -> None:
    tiny = dataset(np.zeros((4, 1, 2, 2), np.uint8))
    with pytest.raises(NotAssessable, match="at least 3 pixels"):
        graded(tiny, tiny, tiny)
