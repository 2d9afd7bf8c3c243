"""The least distortion that escapes a detector which answers: a search over strengths, then towards the boundary.

Sensitivity attacks walk from an unmarked-looking image back to the boundary of the detector's region: Cox & Linnartz
1998, IEEE JSAC 16(4); Comesaña, Pérez-Freire & Pérez-González 2006, "Blind Newton sensitivity attack". A detector that
judges a set has a boundary in the number of records too, which is what `given_back` walks along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Walk:
    """The walk's rules.

    Attributes:
        escapes: whether the detector stays silent about these images; may raise when its budget is spent.
        keep: told of every result that escapes and distorts less than the one before.
        steps: of each bisection.
    """

    escapes: Callable[[Images], bool]
    keep: Callable[[Images], None]
    steps: int = 6

    def first(self, candidates: Iterable[Images]) -> Images | None:
        """The first candidate that escapes."""
        for images in candidates:
            if self.escapes(images):
                self.keep(images)
                return images
        return None

    def towards(self, marked: Images, escaped: Images) -> Images:
        """The escaped images moved towards the marked ones, as far as they still escape."""
        return self._bisect(lambda share: eight_bit(escaped + np.float32(share) * (marked - escaped)), escaped)

    def given_back(self, marked: Images, escaped: Images) -> Images:
        """The escaped images with as many of the most distorted ones given back unchanged as can be."""
        order = np.argsort(-((escaped - marked) ** 2).mean(axis=(1, 2, 3)), kind="stable")

        def without(share: float) -> Images:
            rows = order[: int(share * len(order))]
            mixed = escaped.copy()
            mixed[rows] = marked[rows]
            return mixed

        return self._bisect(without, escaped)

    def _bisect(self, at: Callable[[float], Images], best: Images) -> Images:
        low, high = 0.0, 1.0
        for _ in range(self.steps):
            middle = (low + high) / 2
            trial = at(middle)
            if self.escapes(trial):
                low, best = middle, trial
                self.keep(best)
            else:
                high = middle
        return best


def eight_bit(images: Images) -> Images:
    """Clipped to [0, 1] and rounded to multiples of 1/255."""
    return np.asarray(np.rint(np.clip(images, 0, 1) * 255) / 255, dtype=np.float32)
