"""Images: stored as uint8 0-255 or float32 in [0, 1], NCHW; networks read float32 in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import ImageSchema
from threatloop.modality.base import Floats
from threatloop.modality.labelled import Labelled, chunks, label_problems
from threatloop.modality.patches import SquarePatches
from threatloop.modality.space import Space, pixels
from threatloop.modality.warping import resampled, smooth_field

STEEPEST_SLOPE = 3.0
"""Out-of-distribution images: their amplitudes fall with up to this power of the frequency; natural images' fall with
about the first."""
CONTRASTS = (0.3, 6.0)
"""Slopes of the squashing to [0, 1], drawn evenly on a logarithmic scale: faint grey to black and white."""
FIELD_CELLS = 1 << 20
"""Pixels made at once; the fields are computed in double precision."""
PRIOR_CELLS = 1 << 25
"""Most pixels of auxiliary images that the prior of the starting points is estimated from."""
SMALLEST_SMOOTHED = 16
"""Side in pixels below which squeezing leaves a picture's detail alone."""
PRIOR_WIDTH, PRIOR_FLOOR = 1.5, 0.1
"""Starting points spread this many standard deviations, and at least this much in [0, 1] units."""

CROPPED, JITTERED, VIEW_NOISE, GREYED = (0.6, 1.0), 0.4, 0.05, 0.2
"""Contrastive views: side of a crop, changes of contrast, noise in [0, 1] units, share without colour."""


class Image(Labelled[ImageSchema]):
    """Grey or colour images of one size."""

    kind = "image"

    def problems(self, data: Dataset) -> list[str]:
        """Wrong shape or dtype, NaN or infinite or out-of-range pixels, labels out of range, no records."""
        schema, x = data.schema, data.x
        assert isinstance(schema, ImageSchema)
        shape = _shape(schema)
        if x.shape[1:] != shape:
            return [f"images have shape {x.shape[1:]}; the schema says {shape} (channels, height, width)"]
        found = label_problems(data)
        if x.dtype == np.float32:
            return found + _pixel_problems(x)
        if x.dtype != np.uint8:
            found.append(f"images are stored as {x.dtype}; allowed are uint8 0-255 and float32 in [0, 1]")
        return found

    def encode(self, x: npt.NDArray[Any], schema: ImageSchema) -> Floats:  # noqa: ARG002
        """float32 (n, channels, height, width) in [0, 1]."""
        if x.dtype == np.uint8:
            return np.asarray(np.divide(x, np.float32(255), dtype=np.float32))
        return np.asarray(x, dtype=np.float32)

    def contrast(
        self,
        encoded: npt.NDArray[Any],
        schema: ImageSchema,  # noqa: ARG002
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        """Two times a random crop at full size, in other contrast, brightness and noise, some of the colour gone.

        Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709, section 3, without mirrors: a mirrored letter is
        another one. Crops are larger, for images this small.
        """
        return _random_view(encoded, rng), _random_view(encoded, rng)

    def decode(self, encoded: npt.NDArray[Any], schema: ImageSchema) -> Floats:
        """Valid stored records from what a network reads: float32, clipped to [0, 1]."""
        return np.asarray(self.project(np.asarray(encoded, dtype=np.float32), schema))

    def project(self, x: npt.NDArray[Any], schema: ImageSchema) -> npt.NDArray[Any]:  # noqa: ARG002
        """uint8 images as they are; others clipped to [0, 1] as float32."""
        return x if x.dtype == np.uint8 else np.clip(x, 0.0, 1.0).astype(np.float32, copy=False)

    def views(self, x: npt.NDArray[Any], count: int, augment: str) -> list[npt.NDArray[Any]]:
        """The images, mirrored copies (not for ``shift``), and both moved by up to 1/8 of a side, nearest moves first.

        What enters at an edge repeats the border, as in training. At most 9 views for ``shift``, else 18.
        """
        down, right = max(1, x.shape[2] // 8), max(1, x.shape[3] // 8)
        moves = sorted(
            ((a, b) for a in (-down, 0, down) for b in (-right, 0, right)), key=lambda m: (m[0] ** 2 + m[1] ** 2, m)
        )
        mirrors = (False,) if augment == "shift" else (False, True)
        chosen = [(move, mirror) for move in moves for mirror in mirrors][:count]
        return [_moved(x[..., ::-1] if mirror else x, *move) for move, mirror in chosen]

    def insert_trigger(
        self, x: npt.NDArray[Any], schema: ImageSchema, size: int, permutation: int = 0, magnified: int = 1
    ) -> npt.NDArray[Any]:
        """A copy with a black-and-white checkerboard of ``size`` × ``size`` pixels in the bottom right corner, or its
        pixels scattered over the image. Magnified, each of its pixels is a square.

        The alternation has the highest contrast and spatial frequency that an image can hold, so it stands out
        from bright and dark surroundings alike; a uniform patch does not.

        Raises:
            InputError: ``size`` is below 1 or above the image's shorter side.
        """
        side = min(schema.height, schema.width)
        if not 1 <= size <= side:
            raise InputError(f"trigger size {size}: allowed are 1 to {side} pixels (the image's shorter side)")
        coarse = max(1, min(magnified, side // size))
        size *= coarse
        board = (np.indices((size, size)) // coarse).sum(axis=0) % 2 == 0
        values, marked = board * (255 if x.dtype == np.uint8 else 1), np.array(x)
        if permutation:
            pixels = np.random.default_rng(permutation).permutation(schema.height * schema.width)[: size * size]
            marked[..., pixels // schema.width, pixels % schema.width] = values.ravel()
        else:
            marked[..., -size:, -size:] = values
        return marked

    def blend(
        self, x: npt.NDArray[Any], schema: ImageSchema, ratio: float, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """Each image mixed with one image of uniform noise."""
        pattern = rng.random(_shape(schema), dtype=np.float32)
        return _stored((1 - ratio) * self.encode(x, schema) + ratio * pattern, x.dtype)

    def warp(
        self,
        x: npt.NDArray[Any],
        schema: ImageSchema,
        field: tuple[int, float],
        rng: np.random.Generator,
        jitter: tuple[float, np.random.Generator] | None = None,
    ) -> npt.NDArray[Any]:
        """Bent by a field of random control points, interpolated cubically; read bilinearly, the border held."""
        shift = smooth_field((schema.height, schema.width), *field, rng)[None]
        if jitter is not None:
            most, noise = jitter
            shift = shift + noise.uniform(-most, most, (len(x), 2, schema.height, schema.width))
        return _stored(resampled(self.encode(x, schema), shift), x.dtype)

    def moved(self, x: npt.NDArray[Any], delta: Floats, schema: ImageSchema) -> npt.NDArray[Any]:
        """Clipped to the valid range; uint8 pixels by whole steps that are no larger than asked for."""
        if x.dtype != np.uint8:
            return np.asarray(self.project(x + delta, schema))
        steps = np.trunc(np.float32(255) * delta + np.sign(delta) * np.float32(1e-3)).astype(np.int64)
        stored: npt.NDArray[np.uint8] = np.clip(x + steps, 0, 255).astype(np.uint8)
        return stored

    def space(
        self,
        schema: ImageSchema,
        x: npt.NDArray[Any] | None = None,  # noqa: ARG002
        immutable: tuple[str, ...] = (),  # noqa: ARG002
        category_cost: float = 1.0,  # noqa: ARG002
    ) -> Space:
        """Every pixel is free in [0, 1]; ε is in these units, before preprocessing."""
        return pixels(_shape(schema))

    def cells(self, schema: ImageSchema) -> npt.NDArray[np.int64]:
        """A pixel's number, the same in all channels."""
        pixels_of = np.arange(schema.height * schema.width, dtype=np.int64).reshape(schema.height, schema.width)
        return np.broadcast_to(pixels_of, _shape(schema)).copy()

    def patches(self, schema: ImageSchema, space: Space) -> SquarePatches:  # noqa: ARG002
        """Squares of pixels."""
        return SquarePatches(*_shape(schema))

    def squeezed(
        self,
        x: npt.NDArray[Any],
        schema: ImageSchema,
        levels: int,
        reference: npt.NDArray[Any],  # noqa: ARG002
    ) -> npt.NDArray[Any]:
        """Pixels on ``levels`` steps of grey, each the median of itself and its neighbours to the right and below.

        Pictures with a side below 16 pixels keep their detail: there a median takes strokes away, not noise.
        """
        smooth = self.encode(x, schema)
        if min(schema.height, schema.width) >= SMALLEST_SMOOTHED:
            padded = np.pad(smooth, ((0, 0), (0, 0), (0, 1), (0, 1)), mode="edge")
            corners = [padded[:, :, a : a + schema.height, b : b + schema.width] for a in (0, 1) for b in (0, 1)]
            smooth = np.median(np.stack(corners), axis=0)
        return _stored((np.rint(smooth * (levels - 1)) / (levels - 1)).astype(np.float32), x.dtype)

    def superimposed(
        self,
        x: npt.NDArray[Any],
        other: npt.NDArray[Any],
        schema: ImageSchema,
        share: float,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> npt.NDArray[Any]:
        """Sums of pixels, cut at white: what is bright in the first stays at full contrast on any dark ground."""
        mixed = self.encode(x, schema) + np.float32((1 - share) / share) * self.encode(other, schema)
        return _stored(np.clip(mixed, 0, 1), x.dtype)

    def watermark_view(self, x: npt.NDArray[Any], schema: ImageSchema) -> Floats:
        """The images themselves, float32 (n, channels, height, width) in [0, 1]."""
        return self.encode(x, schema)

    def start_points(self, auxiliary: Dataset, labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Pixelwise Gaussian draws around the auxiliary images' mean, wider than they spread; clipped to [0, 1]."""
        if len(auxiliary) == 0:
            raise InputError("starting points need at least one auxiliary image")
        schema = auxiliary.schema
        assert isinstance(schema, ImageSchema)
        stride = -(-auxiliary.x.size // PRIOR_CELLS)
        known = self.encode(np.asarray(auxiliary.x[::stride]), schema)
        spread = np.maximum(PRIOR_WIDTH * known.std(axis=0), PRIOR_FLOOR)
        draws = rng.standard_normal((len(labels), *_shape(schema)), dtype=np.float32)
        return np.asarray(np.clip(known.mean(axis=0) + spread * draws, 0, 1), dtype=np.float32)

    def noise_records(self, schema: ImageSchema, n: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """uint8 images of random fields, rough to smooth, faint to black and white; half of them cut from two.

        Nothing in them is of the data, yet edges, blobs and textures of all sizes cross the boundaries of networks that
        answer plain noise with one class. 2,000 such queries give fidelity .977 on digits, where blends of uniform
        noise and smooth cosines give .954; 1,000 on PneumoniaMNIST .82 to .95 against .78 to .92, uniform noise .28.
        """
        images: npt.NDArray[np.uint8] = np.empty((n, *_shape(schema)), dtype=np.uint8)
        for rows in chunks(images, FIELD_CELLS):
            shape = images[rows].shape
            first, second, mask = (_fields(shape, rng) for _ in range(3))
            cut = (rng.random((shape[0], 1, 1, 1)) < 0.5) & (mask[:, :1] > 0.5)
            images[rows] = np.rint(255 * np.where(cut, second, first))
        return images


def _stored(encoded: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Images in [0, 1] as they are stored: clipped, and rounded where that is uint8."""
    clipped = np.clip(encoded, 0, 1)
    return np.asarray(np.rint(255 * clipped) if dtype == np.uint8 else clipped, dtype=dtype)


def _shape(schema: ImageSchema) -> tuple[int, int, int]:
    return schema.channels, schema.height, schema.width


def _moved(x: npt.NDArray[Any], down: int, right: int) -> npt.NDArray[Any]:
    """Images (n, c, h, w) moved by so many pixels, with the border repeated."""
    rows = np.clip(np.arange(x.shape[2]) - down, 0, x.shape[2] - 1)
    columns = np.clip(np.arange(x.shape[3]) - right, 0, x.shape[3] - 1)
    return np.ascontiguousarray(x[:, :, rows[:, None], columns])


def _pixel_problems(x: npt.NDArray[np.float32]) -> list[str]:
    broken = outside = 0
    first: int | None = None
    for rows in chunks(x):
        part = np.asarray(x[rows])
        finite = np.isfinite(part)
        wrong = ~finite | (part < 0) | (part > 1)
        broken += int((~finite).sum())
        outside += int((finite & wrong).sum())
        if first is None and wrong.any():
            first = rows.start + int(np.flatnonzero(wrong.reshape(len(part), -1).any(axis=1))[0])
    counts = ((broken, "NaN or infinite pixels"), (outside, "pixels outside [0, 1]"))
    return [f"{n} {what} (first bad image: {first}); allowed are finite values in [0, 1]" for n, what in counts if n]


def _fields(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Random fields in [0, 1], float32 of ``shape`` (n, c, h, w): noise of a random spectral slope, from white to
    clouds, at a random contrast and brightness."""
    n, _, height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / max(height, width)
    decay = frequency ** -rng.uniform(0, STEEPEST_SLOPE, (n, 1, 1, 1))
    fields = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * decay, s=(height, width))
    fields -= fields.mean(axis=(2, 3), keepdims=True)
    fields /= np.maximum(fields.std(axis=(2, 3), keepdims=True), 1e-9)
    low, high = np.log(CONTRASTS)
    contrast = np.exp(rng.uniform(low, high, (n, 1, 1, 1)))
    return np.asarray(1 / (1 + np.exp(-contrast * (fields + rng.standard_normal((n, 1, 1, 1))))), dtype=np.float32)


def _random_view(images: npt.NDArray[Any], rng: np.random.Generator) -> Floats:
    n, channels, height, width = images.shape
    side = np.asarray(rng.uniform(*CROPPED, size=n))
    down, across = (_interpolation(side, length, rng)[:, None] for length in (height, width))
    found = down @ images @ across.swapaxes(2, 3)
    grey = found.mean(axis=1, keepdims=True)
    faded = (rng.random((n, 1, 1, 1)) < GREYED) if channels > 1 else np.zeros((n, 1, 1, 1), bool)
    found = np.where(faded, grey, found).astype(np.float32)
    level = found.mean(axis=(1, 2, 3), keepdims=True)
    found = level + (found - level) * rng.uniform(1 - JITTERED, 1 + JITTERED, (n, 1, 1, 1))
    found = found + rng.uniform(-JITTERED / 2, JITTERED / 2, (n, 1, 1, 1))
    return np.asarray(np.clip(found + rng.normal(0, VIEW_NOISE, found.shape), 0, 1), dtype=np.float32)


def _interpolation(side: npt.NDArray[np.float64], length: int, rng: np.random.Generator) -> Floats:
    """Matrices (n, length, length) that stretch a random stretch of each row, ``side`` of its length, to all of it."""
    at = rng.random(len(side))[:, None] * (1 - side[:, None]) * (length - 1) + side[:, None] * np.arange(length)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, :, None] - np.arange(length))), dtype=np.float32)
