"""Operators that remove image watermarks, and their combinations.

The classical ones are those of Petitcolas, Anderson & Kuhn 1998, "Attacks on copyright marking systems" (Information
Hiding, LNCS 1525); learned regeneration is described in `regeneration`. None of them knows a key or asks a detector:
their strength is chosen on decoys (`decoy`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.fft import idctn
from scipy.ndimage import gaussian_filter, median_filter

from threatloop.algorithms.regeneration import Denoiser
from threatloop.algorithms.watermark_host import HostStatistics, bands, check_images, to_spectrum

Images = NDArray[np.float32]
Floats = NDArray[np.float64]


class Operator(Protocol):
    """Images (n, C, H, W) in [0, 1] to the same shape and range. `label` names it with its strength."""

    @property
    def label(self) -> str: ...

    def __call__(self, images: Images, rng: np.random.Generator) -> Images: ...


@dataclass(frozen=True)
class Quantise:
    """Round to `levels` >= 2 evenly spaced gray levels."""

    levels: int

    @property
    def label(self) -> str:
        return f"quantise({self.levels})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        return np.round(images * (self.levels - 1)) / np.float32(self.levels - 1)


@dataclass(frozen=True)
class Blur:
    """Gaussian blur, `sigma` in pixels."""

    sigma: float

    @property
    def label(self) -> str:
        return f"blur({self.sigma:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        blurred: Images = gaussian_filter(images, (0, 0, self.sigma, self.sigma))
        return blurred


@dataclass(frozen=True)
class Median:
    """Median filter over a `size` x `size` window."""

    size: int

    @property
    def label(self) -> str:
        return f"median({self.size})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        filtered: Images = median_filter(images, (1, 1, self.size, self.size))
        return filtered


@dataclass(frozen=True)
class Noise:
    """White Gaussian noise of standard deviation `sigma` (pixels are in [0, 1])."""

    sigma: float

    @property
    def label(self) -> str:
        return f"noise({self.sigma:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        return images + np.float32(self.sigma) * rng.standard_normal(images.shape, dtype=np.float32)


@dataclass(frozen=True)
class Jpeg:
    """JPEG round trip at `quality` 1 to 95; colour for three channels, else every channel as a gray image."""

    quality: int

    @property
    def label(self) -> str:
        return f"jpeg({self.quality})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        pixels = np.round(images * 255).astype(np.uint8)
        colour = images.shape[1] == 3
        planes = pixels.transpose(0, 2, 3, 1) if colour else pixels.reshape(-1, *images.shape[2:])
        coded = np.stack([self._round_trip(plane) for plane in planes]) if len(planes) else planes
        restored = coded.transpose(0, 3, 1, 2) if colour else coded.reshape(images.shape)
        return restored.astype(np.float32) / np.float32(255)

    def _round_trip(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with io.BytesIO() as stream:
            Image.fromarray(plane).save(stream, "JPEG", quality=self.quality)
            return np.asarray(Image.open(stream))


@dataclass(frozen=True)
class Regenerate:
    """Add noise of standard deviation `sigma`, then denoise."""

    sigma: float
    denoiser: Denoiser

    @property
    def label(self) -> str:
        return f"regenerate({self.sigma:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        return self.denoiser(np.clip(Noise(self.sigma)(images, rng), 0, 1) if self.sigma else images)


@dataclass(frozen=True, eq=False)
class EraseBand:
    """Replace the coefficients that can carry a mark by what the image's other coefficients predict of them.

    The bands are public (only the signs are secret), so this removes any mark of the scheme at one fixed distortion.
    """

    mean: Floats
    weights: Floats

    @property
    def label(self) -> str:
        return "erase-band"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        _, band = bands(*images.shape[2:])
        spectrum = to_spectrum(images) - self.mean
        change = np.zeros_like(spectrum)
        change[:, band] = spectrum[:, ~band] @ self.weights - spectrum[:, band]
        pixels = idctn(change, axes=(1, 2), norm="ortho")[:, None]
        return images + np.asarray(pixels, dtype=np.float32)


def fit_erase_band(images: ArrayLike, reference: HostStatistics) -> EraseBand | None:
    """Ridge regression of the mark band on the other coefficients, from clean images; None where they are too many."""
    batch, (_, band) = check_images(images, reference), bands(*reference.shape[1:])
    if reference.basis is None:
        return None
    centred = to_spectrum(batch) - reference.mean
    inputs, targets = centred[:, ~band], centred[:, band]
    gram = inputs @ inputs.T  # dual form: the images are fewer than the coefficients
    ridge = 0.01 * np.trace(gram) / len(batch) + 1e-6
    return EraseBand(reference.mean, inputs.T @ np.linalg.solve(gram + ridge * np.eye(len(batch)), targets))


@dataclass(frozen=True)
class Pipeline:
    """Operators one after the other; every result is clipped to [0, 1] and the last is stored with 8 bits."""

    steps: tuple[Operator, ...]

    @property
    def label(self) -> str:
        return " > ".join(step.label for step in self.steps) or "identity"

    def __call__(self, images: ArrayLike, rng: np.random.Generator) -> Images:
        batch = check_images(images)
        for step in self.steps:
            batch = np.clip(step(batch, rng), 0, 1)
        return np.round(batch * 255) / np.float32(255)
