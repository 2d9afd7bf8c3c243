"""Encodings are deterministic, hide what they should, and open exactly under their key and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from encoded_world import KEY, dataset, encoding, smooth
from threatloop.algorithms.encodings import cut, join_nibbles, paste, split_nibbles
from threatloop.core.errors import NotAssessable
from threatloop.defences.data.instahide import LARGEST_SHARE, shares_drawn

SCHEMES: list[tuple[str, dict[str, Any]]] = [
    ("block_scramble", {}),
    ("etc", {}),
    ("etc", {"per_image": True}),
    ("pixel_encryption", {}),
    ("pixel_encryption", {"per_image": True}),
    ("instahide", {"mixed": 3}),
    ("instahide", {"mixed": 2, "partners": 5}),
]


@pytest.mark.parametrize(("scheme", "parameters"), SCHEMES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 10, 13), (2, 9, 4)])
def test_the_key_opens_exactly_and_another_does_not(
    scheme: str, parameters: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    data = dataset(np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(np.uint8))
    protection = encoding(scheme, **parameters)
    coded = protection.protect(data, KEY)
    assert coded.x.shape == data.x.shape
    assert coded.digest == protection.protect(data, KEY).digest
    assert np.array_equal(protection.open(coded, KEY).x, data.x)
    assert not np.array_equal(protection.open(coded, b"another key.....").x, data.x)
    assert not np.array_equal(coded.x, data.x)


@pytest.mark.parametrize(("scheme", "parameters"), SCHEMES)
def test_constant_images_and_float_records_open_too(scheme: str, parameters: dict[str, Any]) -> None:
    data = dataset(np.full((6, 1, 8, 8), 0.2, np.float32))
    opened = encoding(scheme, **parameters).open(encoding(scheme, **parameters).protect(data, KEY), KEY)
    assert np.abs(np.asarray(opened.x, np.float64) / 255 - 0.2).max() <= 0.5 / 255


@pytest.mark.parametrize("scheme", ["etc", "pixel_encryption"])
def test_keys_per_image_differ_and_follow_the_record_not_its_position(scheme: str) -> None:
    data = dataset(np.repeat(smooth(1, 1, 8).x, 8, axis=0))
    coded = encoding(scheme, per_image=True).protect(data, KEY)
    assert len({image.tobytes() for image in coded.x}) == 8
    assert len({image.tobytes() for image in encoding(scheme).protect(data, KEY).x}) == 1
    alone = encoding(scheme, per_image=True).protect(data.take([5]), KEY)
    assert np.array_equal(alone.x[0], coded.x[5])


def test_moved_blocks_are_plain_blocks_turned_and_negated() -> None:
    """A slow, obvious search for every encoded block among the plain ones."""
    data = dataset(np.random.default_rng(1).integers(0, 256, (1, 1, 8, 8)).astype(np.uint8))
    coded = encoding("etc").protect(data, KEY)
    plain = cut(data.x, 4).reshape(4, 4, 4)
    attitudes = {}
    for i, block in enumerate(plain):
        for turns in range(4):
            for flipped in (block, block[:, ::-1]):
                for pixels in (np.rot90(flipped, turns), 255 - np.rot90(flipped, turns)):
                    attitudes[pixels.tobytes()] = i
    found = [attitudes[block.tobytes()] for block in np.ascontiguousarray(cut(coded.x, 4).reshape(4, 4, 4))]
    assert sorted(found) == [0, 1, 2, 3]


def test_what_lies_beyond_the_last_block_stays_in_clear() -> None:
    data = dataset(np.random.default_rng(2).integers(0, 256, (3, 1, 9, 10)).astype(np.uint8))
    for scheme in ("block_scramble", "etc"):
        coded = encoding(scheme).protect(data, KEY)
        assert np.array_equal(coded.x[:, :, 8:], data.x[:, :, 8:])
        assert np.array_equal(coded.x[:, :, :, 8:], data.x[:, :, :, 8:])


def test_a_block_that_does_not_fit_says_so() -> None:
    for scheme in ("block_scramble", "etc"):
        with pytest.raises(NotAssessable, match="block 9 does not fit images of 8×8"):
            encoding(scheme, block=9).protect(smooth(2, 1, 8), KEY)
    with pytest.raises(NotAssessable, match="cannot be blended"):
        encoding("instahide", mixed=4).protect(smooth(3, 1, 8), KEY)
    single = dataset(np.array([[[[7]]], [[[200]]]], np.uint8))
    assert np.array_equal(
        encoding("pixel_encryption").open(encoding("pixel_encryption").protect(single, KEY), KEY).x, single.x
    )


def test_blocks_and_half_bytes_come_back() -> None:
    x = np.random.default_rng(3).integers(0, 256, (2, 3, 7, 9)).astype(np.uint8)
    blocks = np.asarray(cut(x, 3), np.uint8)
    assert blocks.shape == (2, 2, 3, 27)
    assert np.array_equal(blocks[1, 1, 2].reshape(3, 3, 3), x[1, :, 3:6, 6:9])
    assert np.array_equal(paste(join_nibbles(split_nibbles(blocks)), np.zeros_like(x), 3)[:, :, :6], x[:, :, :6])


@pytest.mark.parametrize("k", [2, 3, 4, 8])
def test_shares_sum_to_one_and_none_dominates(k: int) -> None:
    shares = shares_drawn(500, k, np.random.default_rng(0))
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert shares.max() <= LARGEST_SHARE + 1e-6
    assert shares.min() >= 0
