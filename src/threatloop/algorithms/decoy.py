"""How the attacker picks a removal pipeline on decoys: his own marks, on his own images, under his own keys.

He knows the scheme, but neither the owner's key nor the answers of the owner's detector: the setting of Kerckhoffs'
principle in Cayre, Fontaine & Furon 2005, "Watermarking security: theory and practice" (IEEE TSP 53(10)). He tries
pipelines on the decoys and keeps the one that distorts least among those that leave his own detector blind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from threatloop.algorithms.diffusion import DENSE_PIXELS, Diffuse, train_diffusion
from threatloop.algorithms.geometry import CropRescale, Gain, Rotate, Shift
from threatloop.algorithms.regeneration import Denoiser, DenoiserRecipe, train_denoiser
from threatloop.algorithms.removal import (
    Blur,
    EraseBand,
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
from threatloop.algorithms.watermark import HostStatistics, detect, embed, host_statistics
from threatloop.algorithms.watermark_host import check_images
from threatloop.core.errors import InputError


class Scheme(Protocol):
    """A marking scheme on images (n, C, H, W) in [0, 1], for whoever holds clean images of the kind."""

    def mark(self, images: Images, key: bytes) -> Images:
        """The images marked under a key."""

    def z(self, images: Images, key: bytes, clean: Images) -> float:
        """Evidence of the key's mark over all images; ``clean`` is what `mark` was given."""


Grid = Callable[[Images, Scheme, np.random.Generator], Sequence[Pipeline]]


@dataclass(frozen=True, eq=False)
class SpreadScheme:
    """Spread spectrum with host statistics that are estimated once, from the attacker's other images."""

    reference: HostStatistics
    psnr_db: float

    def mark(self, images: Images, key: bytes) -> Images:
        return embed(images, key, self.reference, self.psnr_db)

    def z(self, images: Images, key: bytes, clean: Images) -> float:  # noqa: ARG002
        return detect(images, key, self.reference).z_set


@dataclass(frozen=True)
class DecoyBudget:
    """What the attacker spends and demands.

    Attributes:
        screening_keys: decoy keys on which every pipeline is tried.
        confirmation_keys: fresh decoy keys for the pipelines that passed, best first, until one passes again:
            the best of many noisy trials looks better than it is.
        false_positive_rate: of the detector he must escape.
        margin: how far, in standard deviations, the mean z must stay below that detector's threshold; 1.25 leaves the
            owner one chance in ten to detect.
        mark_psnr_db: strength of the owner's marks, which is part of the public scheme.
        min_psnr_db: pipelines that distort more (against the marked images) are of no use to him.
    """

    screening_keys: int = 2
    confirmation_keys: int = 6
    false_positive_rate: float = 0.01
    margin: float = 1.25
    min_psnr_db: float = 10.0
    mark_psnr_db: float = 36.0

    def __post_init__(self) -> None:
        if min(self.screening_keys, self.confirmation_keys) < 1 or not 0 < self.false_positive_rate < 1:
            raise InputError("decoy budget: at least one key per stage and a false_positive_rate in (0, 1)")

    @property
    def target(self) -> float:
        """Largest mean z that counts as removed."""
        return float(norm.isf(self.false_positive_rate)) - self.margin


@dataclass(frozen=True)
class Trial:
    """One pipeline on decoys: mean set-level z before and after (scaled to the real set's size), pooled PSNR, keys."""

    label: str
    z_before: float
    z_after: float
    psnr_db: float
    keys: int


@dataclass(frozen=True)
class Choice:
    """The attacker's decision.

    Attributes:
        pipeline: what to run on the stolen images.
        removed: False where no pipeline passed; `pipeline` is then the one that left the smallest z.
        trial: the chosen pipeline on the confirmation keys (screening keys where none passed).
        screening: every pipeline tried, in the order tried.
        tried: those pipelines.
    """

    pipeline: Pipeline
    removed: bool
    trial: Trial
    screening: tuple[Trial, ...]
    tried: tuple[Pipeline, ...] = ()


def default_pipelines(denoiser: Denoiser, erase: EraseBand | None = None) -> tuple[Pipeline, ...]:
    """Single operators from weak to strong, and combinations with learned regeneration."""
    singles: list[Operator] = [Quantise(n) for n in (17, 9, 5, 4, 3, 2)] + [Jpeg(q) for q in (50, 20, 5)]
    singles += [Blur(s) for s in (0.75, 1.0, 1.5, 2.0, 2.5, 3.0)] + [Noise(s) for s in (0.05, 0.1, 0.2, 0.3)]
    singles += [Median(3), Median(5)] + ([erase] if erase else [])
    regenerations = [Regenerate(s, denoiser) for s in (0.0, 0.1, 0.2)]
    after: list[Operator] = [Noise(0.05), Noise(0.1), Quantise(5), Blur(0.75)]
    pairs: list[tuple[Operator, ...]] = [(first, then) for first in regenerations for then in after[1:]]
    pairs += [(first, after[0]) for first in regenerations[:2]] + [(Blur(b), Noise(0.1)) for b in (1.0, 2.0, 3.0)]
    pairs += [(erase, after[0])] if erase else []
    return tuple(Pipeline(steps) for steps in [*((s,) for s in [*singles, *regenerations]), *pairs])


DIFFUSION_STEPS = 200
"""Of training, a seventh of what `Regeneration` takes: half a second is all that it costs."""


def _redrawing(known: Images, rng: np.random.Generator) -> tuple[Pipeline, ...]:
    """Regeneration by diffusion where images are small enough for a dense net; larger ones would cost minutes."""
    if known[0].size > DENSE_PIXELS:
        return ()
    model = train_diffusion(known, rng, DIFFUSION_STEPS)
    return tuple(Pipeline((Diffuse(time, model),)) for time in (0.08, 0.12, 0.16, 0.2))


MORE_PIPELINES = tuple(
    Pipeline(steps)
    for steps in [
        *((Gain(g),) for g in (0.98, 0.96, 0.94, 1.03, 1.06)),
        *((one,) for one in (CropRescale(1), Rotate(2.0), Shift(1), Rotate(5.0))),
    ]
)
"""What schemes other than spread spectrum are known to fall to: quantisers to a change of scale, networks to a
shift."""


def choose_on_decoy(
    auxiliary: ArrayLike,
    set_size: int,
    rng: np.random.Generator,
    budget: DecoyBudget | None = None,
    recipe: DenoiserRecipe | None = None,
    pipelines: Sequence[Pipeline] | Grid | None = None,
    scheme: Scheme | None = None,
) -> Choice:
    """Choose the least distorting pipeline that removes decoy marks from the attacker's own images.

    Half of the auxiliary images train the denoiser and give the host statistics, the other half carry the decoys. A
    decoy set smaller than the real one is made up for by scaling z with the square root of the sizes' ratio.

    Args:
        auxiliary: the attacker's clean images of the same kind (n, C, H, W) in [0, 1], n >= 8.
        set_size: number of images in the set that he means to launder, >= 1.
        rng: source of decoy keys, training and noise.
        budget: keys, margin, limits.
        recipe: training of the denoiser; unused where `pipelines` is given.
        pipelines: candidates instead of `default_pipelines`, or what makes them of half of the images and the scheme.
        scheme: how the owner marks; spread spectrum by default.

    Raises:
        InputError: bad images, sizes or an empty list of candidates.
    """
    images, budget = check_images(auxiliary), budget or DecoyBudget()
    if len(images) < 8 or set_size < 1 or (isinstance(pipelines, Sequence) and not pipelines):
        raise InputError("decoy choice: needs at least 8 auxiliary images, set_size >= 1 and one pipeline")
    order = rng.permutation(len(images))
    known, carriers = images[order[: len(images) // 2]], images[order[len(images) // 2 :][:set_size]]
    reference = host_statistics(known)
    views = None if scheme is None else scheme.mark
    scheme = scheme or SpreadScheme(reference, budget.mark_psnr_db)
    if callable(pipelines):
        pipelines = pipelines(known, scheme, rng)
    if pipelines is None:
        erase = fit_erase_band(known, reference)
        pipelines = default_pipelines(train_denoiser(known, rng, recipe, mark=views), erase)
        pipelines += _redrawing(known, rng) + (() if views is None else MORE_PIPELINES)
    bench = _DecoyBench(carriers, scheme, float(np.sqrt(set_size / len(carriers))))
    decoys = bench.decoys(budget.screening_keys, rng)
    screening = tuple(bench.run(pipeline, decoys, rng) for pipeline in pipelines)
    usable = [i for i, trial in enumerate(screening) if trial.psnr_db >= budget.min_psnr_db]
    # One standard error of slack: a screening that chance alone made fail must not cost the better pipeline.
    passing = [i for i in usable if screening[i].z_after <= budget.target + len(decoys) ** -0.5]
    fresh = bench.decoys(budget.confirmation_keys, rng) if passing else []
    for i in sorted(passing, key=lambda i: -screening[i].psnr_db):
        trial = bench.run(pipelines[i], fresh, rng)
        if trial.z_after <= budget.target:
            return Choice(pipelines[i], True, trial, screening, tuple(pipelines))
    strongest = min(usable or range(len(screening)), key=lambda i: screening[i].z_after)
    return Choice(pipelines[strongest], False, screening[strongest], screening, tuple(pipelines))


@dataclass(frozen=True)
class _Decoy:
    key: bytes
    marked: Images
    z: float


@dataclass(frozen=True, eq=False)
class _DecoyBench:
    """The attacker's carriers, the scheme, and the factor from their z to the real set's."""

    carriers: Images
    scheme: Scheme
    scale: float

    def decoys(self, count: int, rng: np.random.Generator) -> list[_Decoy]:
        keys = [rng.bytes(16) for _ in range(count)]
        marked = [self.scheme.mark(self.carriers, key) for key in keys]
        return [_Decoy(key, images, self._z(images, key)) for key, images in zip(keys, marked, strict=True)]

    def run(self, pipeline: Pipeline, decoys: Sequence[_Decoy], rng: np.random.Generator) -> Trial:
        after, errors = [], []
        for decoy in decoys:
            cleaned = pipeline(decoy.marked, rng)
            after.append(self._z(cleaned, decoy.key))
            errors.append(float(((cleaned - decoy.marked) ** 2).mean()))
        psnr = -10 * float(np.log10(max(float(np.mean(errors)), 1e-10)))
        before = float(np.mean([decoy.z for decoy in decoys]))
        return Trial(pipeline.label, before, float(np.mean(after)), psnr, len(decoys))

    def _z(self, images: Images, key: bytes) -> float:
        return self.scale * self.scheme.z(images, key, self.carriers)
