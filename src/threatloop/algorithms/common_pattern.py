"""A pattern that all images of one set have in common and those of another have not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from threatloop.algorithms.watermark_host import Images, chunks

Floats = NDArray[np.float64]


def common_pattern(marked: Images, clean: Images) -> tuple[Images, float]:
    """The pattern (1, C, H, W), and the share of its DCT coefficients that stand out.

    Each coefficient of the difference of means is shrunk by the factor 1 - (2 e / d)² where its size d is above two
    standard errors e (a positive-part rule after James & Stein 1961), and dropped below: differences between two
    samples of unmarked images mostly are.
    """
    (mean, variance), (usual, usual_variance) = _moments(marked), _moments(clean)
    difference = mean - usual
    error = 2 * np.sqrt(variance / len(marked) + usual_variance / len(clean)) + 1e-9
    kept = np.clip(1 - (error / np.maximum(np.abs(difference), 1e-12)) ** 2, 0, 1)
    pattern = idctn(difference * kept, axes=(1, 2), norm="ortho")[None]
    return np.asarray(pattern, dtype=np.float32), float((kept > 0).mean())


@dataclass(frozen=True, eq=False)
class Subtract:
    """Take away ``times`` what the images have in common and ``clean`` ones have not."""

    clean: Images
    times: float

    @property
    def label(self) -> str:
        return f"subtract({self.times:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        return images - np.float32(self.times) * common_pattern(images, self.clean)[0]


def _moments(images: Images) -> tuple[Floats, Floats]:
    """(C, H, W) mean and variance of the DCT coefficients."""
    total, squares = np.zeros(images.shape[1:]), np.zeros(images.shape[1:])
    for part in chunks(images):
        spectrum = dctn(part.astype(np.float64), axes=(2, 3), norm="ortho")
        total += spectrum.sum(axis=0)
        squares += (spectrum**2).sum(axis=0)
    mean = total / len(images)
    return mean, np.maximum(squares / len(images) - mean**2, 0)
