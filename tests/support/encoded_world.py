"""Images to encode, an owner's key, and attacks on what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.protection import Encoding
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.modality import of
from threatloop.numerics.image_quality import ssim

KEY = b"the owner's key."
STREAMS = Streams(0, ("test",))


def dataset(x: npt.NDArray[Any], y: npt.NDArray[Any] | None = None) -> Dataset:
    channels, height, width = x.shape[1:]
    labels = np.zeros(len(x), np.int64) if y is None else np.asarray(y, np.int64)
    classes = tuple(str(c) for c in range(int(labels.max()) + 1))
    schema = ImageSchema(classes=classes, channels=channels, height=height, width=width)
    return Dataset(x, labels, schema, np.arange(len(x)))


def digits(n: int) -> Dataset:
    found = load_digits()
    rows = np.random.default_rng(0).permutation(len(found.target))[:n]
    return dataset(np.rint(found.images[rows, None] / 16 * 255).astype(np.uint8), found.target[rows])


def smooth(n: int, channels: int, side: int, seed: int = 0) -> Dataset:
    """Random smooth colour fields: neighbours alike, channels related; darker to the right and, more so, below."""
    rng = np.random.default_rng(seed)
    waves = np.cos(np.pi * np.outer(np.arange(side) + 0.5, np.arange(5)) / side) / (1 + np.arange(5)) ** 0.8
    fields = waves @ rng.standard_normal((n, channels, 5, 5)) @ waves.T
    mixed = fields + 1.5 * fields[:, :1]
    tint = np.linspace(0.8, 0.5, channels)[:, None, None] if channels > 1 else 0.8
    light = -0.2 * np.linspace(0, 1, side)[:, None] - 0.08 * np.linspace(0, 1, side)
    pixels = np.clip(0.06 * mixed + tint + light + 0.01 * rng.standard_normal(mixed.shape), 0, 1)
    return dataset(np.rint(255 * pixels).astype(np.uint8))


def noise(n: int) -> Dataset:
    return dataset(np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8)).astype(np.uint8))


def encoding(scheme: str, **parameters: Any) -> Encoding:
    found = DEFENCES.load(scheme).model_validate(parameters)
    assert isinstance(found, Encoding)
    return found


def attacked(attack: str, scheme: Encoding, data: Dataset, pool: Dataset, **parameters: Any) -> Dataset:
    """What the attack makes of the encoded data, with the resources that it declares and no other."""
    step = ATTACKS.load(attack).model_validate(parameters)
    held: dict[Resource, Any] = {
        Resource.PROTECTION: scheme,
        Resource.QUERY_POOL: pool,
        Resource.KNOWN_PAIRS: (pool, scheme.protect(pool, KEY)),
    }
    declared = {resource: held[resource] for resource in step.info.resources}
    found = step.run(scheme.protect(data, KEY), Bench(STREAMS, declared)).result
    assert isinstance(found, Dataset)
    assert found.x.shape == data.x.shape
    assert np.array_equal(found.ids, data.ids)
    return found


def similarity(found: Dataset, data: Dataset) -> float:
    a, b = (of(one.schema).watermark_view(one.x, one.schema) for one in (found, data))
    return float(ssim(a, b).mean())
