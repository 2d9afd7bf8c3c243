"""What answers about the next token show of a language model's last layer, gathered piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.numerics.output_layer import (
    centred,
    coordinates,
    flattened,
    hidden_width,
    roughness,
    span,
    spectrum,
    spread,
)
from threatloop.numerics.sphere import ellipsoid, unfit
from threatloop.numerics.undefined import Undefined

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ask = Callable[[npt.NDArray[np.uint8]], Floats]

FIRST = 1024
"""Prompts whose whole answers are kept to find the width; twice as many, and so on, while it does not show."""
AT_ONCE = 512
"""Prompts after that, of whose answers a few numbers are kept."""


@dataclass(frozen=True)
class Layer:
    """What was seen.

    Attributes:
        values: singular values of the answers, descending.
        width: of the hidden state, or why it does not show.
        basis: of the answers' span, orthonormal, (vocabulary, width).
        coordinates: of every answer in it, float32 (n, width).
        noise: standard deviation of a number that holds nothing else.
    """

    values: Doubles
    width: int | Undefined
    basis: Doubles
    coordinates: Floats
    noise: float = 0.0

    @property
    def projection(self) -> Floats:
        """P W up to an invertible map, (vocabulary, width): the basis, each direction as large as it is in answers."""
        sizes = np.sqrt((self.coordinates**2).mean(axis=0, dtype=np.float64))
        return np.asarray(np.multiply(self.basis, sizes, dtype=np.float32, casting="same_kind"))


def layer_behind(ask: Ask, prompts: npt.NDArray[np.uint8]) -> Layer:
    """The layer behind the answers to these prompts, float32 (n, vocabulary), of which few are in memory at a time."""
    columns = centred(ask(prompts[:FIRST]))
    while True:
        tokens, n = columns.shape
        values, right = spectrum(columns) if n else (np.zeros(0), np.zeros((0, 0)))
        width = hidden_width(values, tokens, n)
        if not isinstance(width, Undefined) or n == len(prompts):
            break
        columns = np.hstack([columns, centred(ask(prompts[n : 2 * n]))])
    if isinstance(width, Undefined):
        return Layer(values, width, np.zeros((tokens, 0)), np.zeros((n, 0), np.float32))
    basis = span(columns, values, right, width)
    del columns  # A column is the basis times these:
    found = np.empty((len(prompts), width), np.float32)
    found[:n] = right[:width].T * values[:width]
    if n < len(prompts):
        short = basis.astype(np.float32)
        for start in range(n, len(prompts), AT_ONCE):
            found[start : start + AT_ONCE] = coordinates(ask(prompts[start : start + AT_ONCE]), short)
    return Layer(values, width, basis, found, roughness(values, width, tokens, n))


def rotated(layer: Layer, device: str = "cpu") -> tuple[Doubles, Doubles] | Undefined:
    """The linear part of the last layer up to a rotation, and the answer at the sphere's centre.

    Takes a thousand steps over all answers at a width of 576, each a hundred times quicker on a graphics card.

    Args:
        layer: with as many answers as `unfit` wants.
        device: where they are multiplied, as in a spec.
    """
    from threatloop.algorithms.forms_on_device import forms_on

    n, width = layer.coordinates.shape
    if (why := unfit(n, width - 1)) is not None:
        return why
    mean = layer.coordinates.mean(axis=0, dtype=np.float64)
    around = layer.coordinates - mean.astype(np.float32)
    values, right = spread(around)
    plane = np.eye(width)
    if flattened(values, n, layer.noise):
        plane = right[:-1].T
        around = around @ plane.astype(np.float32)
    found = ellipsoid(around, forms_on(device))
    if isinstance(found, Undefined):
        return found
    turned = layer.basis @ plane
    return turned @ found.axes / np.sqrt(width), layer.basis @ mean + turned @ found.centre
