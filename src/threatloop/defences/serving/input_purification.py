"""Cleaned inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.serving import InputFilter

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.regeneration import Denoiser

FEWEST = 8
MOST = 2000


class InputPurification(InputFilter):
    """Takes small changes out of what is asked: noise and a denoiser for images, and fewer values a cell for all.

    Images get fresh Gaussian noise, which drowns a small perturbation, and pass a denoiser trained on the server's own
    records; tables have no denoiser here. Then detail is squeezed out: the median of four neighbouring pixels (from 16
    a side), on few steps of grey; number columns at the nearest quantile of the server's own. Costs accuracy on records
    that were clean, and the denoiser's training once.

    It stops perturbations that were made for the bare model. An attacker who knows of it follows gradients through
    the denoiser, past the squeezing, averaged over the noise, and gets a good part of his success back. It takes a
    small trigger out of images too (.002 of .99 on digits), but not one of twice the side that was planted at many
    strengths (.92 there, 2 seeds).

    Xu, Evans, Qi 2018, "Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks", arXiv 1704.01155,
    section III; Salman, Sun, Yang, Kapoor, Kolter 2020, "Denoised Smoothing", arXiv 2003.01908, section 3 (one noisy
    copy here, without a certificate); Athalye, Carlini, Wagner 2018, arXiv 1802.00420, break its kind.

    Attributes:
        noise: standard deviation in units of [0, 1], images only; 0 leaves out noise and denoiser.
        levels: values of a pixel or of a number column, ≥ 2; 0 leaves the squeezing out.
        steps: optimiser steps of the denoiser, ≥ 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Input purification",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Xu, Evans, Qi 2018, Feature Squeezing, arXiv 1704.01155, section III; Salman et al. 2020, Denoised "
        "Smoothing, arXiv 2003.01908, section 3",
        atlas=("AML.M0010",),
        randomised=True,
        reads_inputs=True,
    )

    noise: float = Field(default=0.1, ge=0, le=1)
    levels: int = Field(default=16, ge=0, le=256)
    steps: int = Field(default=200, ge=1, le=100_000)

    def cleaned(
        self, own: Dataset, streams: Streams, draws: np.random.Generator
    ) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
        """Raises NotAssessable: the server holds too few records to learn from."""
        if len(own) < FEWEST:
            raise NotAssessable(
                f"input_purification learns from the server's own records: it needs {FEWEST}, there are {len(own)}"
            )
        known = own.take(np.sort(streams.numpy("own").permutation(len(own))[:MOST]))
        return _Cleaning(self._denoiser(known, streams), self.noise, self.levels, known, draws)

    def _denoiser(self, known: Dataset, streams: Streams) -> Denoiser | None:
        from threatloop.algorithms.own_models import Held, denoiser

        try:
            return denoiser(Held(known.digest, streams, known), self.steps) if self.noise else None
        except NotAssessable:  # no images: squeezing is all there is
            return None


@dataclass(frozen=True)
class _Cleaning:
    """Noise and denoiser, where there is one, then squeezing."""

    denoiser: Denoiser | None
    noise: float
    levels: int
    known: Dataset
    draws: np.random.Generator

    def __call__(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        kind, schema = modality.of(self.known.schema), self.known.schema
        if self.denoiser is not None:
            pixels = np.asarray(kind.encode(x, schema), np.float32)
            x = kind.decode(self.denoiser(np.clip(pixels + self._drawn(pixels.shape), 0, 1)), schema)
        return self._squeezed(x)

    def differentiable(self, x: torch.Tensor) -> torch.Tensor:
        """The same on encoded records; gradients flow through the denoiser, and past the squeezing."""
        import torch

        kind, schema = modality.of(self.known.schema), self.known.schema
        if self.denoiser is not None:
            noise = torch.from_numpy(self._drawn(tuple(x.shape))).to(x)
            x = self.denoiser.differentiable((x + noise).clamp(0, 1))
        squeezed = self._squeezed(kind.decode(x.detach().cpu().numpy(), schema))
        encoded = torch.from_numpy(np.asarray(kind.encode(squeezed, schema), np.float32)).to(x)
        return x + (encoded - x).detach()

    def _drawn(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        return np.asarray(np.float32(self.noise) * self.draws.standard_normal(shape, dtype=np.float32))

    def _squeezed(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        kind, schema = modality.of(self.known.schema), self.known.schema
        return kind.squeezed(x, schema, self.levels, self.known.x) if self.levels > 1 else x
