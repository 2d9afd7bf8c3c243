"""Ciphertext-only attack on pixels that were negated and recoloured where they stand.

A pixel is what its neighbours and the attacker's own images lead one to expect, in one of its few possible states.
Where one key serves all images, a pixel's state explains it in all of them at once, and hardly any doubt is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.encodings import Bytes
from threatloop.algorithms.jigsaw_puzzle import orders
from threatloop.algorithms.picture_prior import PicturePrior, fit_prior
from threatloop.core.protection import Structure
from threatloop.numerics.image_quality import MIN_SIDE, ssim

Floats = npt.NDArray[np.float32]

SWEEPS = 3
HOTTEST, COLDEST, COOLING = (8.0, 64.0), 0.1, 20
"""Temperatures of the mean field, in variances of a pixel around what is expected of it, and how many there are."""
TRIALS = 64
"""Images of the attacker's own that he tries his ways on."""
CHUNK_CELLS = 1 << 24
NEIGHBOURS = ((0, -1), (-1, 0), (0, 1), (1, 0))


def states_of(channels: int, colours: bool) -> Floats:
    """Every negation and order of a pixel's channels as signed permutation matrices (k, C, C); the identity first.

    With more channels than colours are reordered of, all are negated alike.
    """
    free = channels if channels <= 4 else 1
    signs = [np.tile(s, -(-channels // free))[:channels] for s in product((1.0, -1.0), repeat=free)]
    eye = np.eye(channels, dtype=np.float32)
    return np.array(
        [np.array(s)[:, None] * eye[order] for order in orders(channels, colours) for s in signs], np.float32
    )


def recover_pixels(coded: Bytes, pool: Bytes, structure: Structure, rng: np.random.Generator) -> Bytes:
    """The images (n, C, H, W) as they were, from pool images of their kind and shape; at least two.

    ``rng`` draws the attacker's own keys, where every image has one.
    """
    known, seen = (one.astype(np.float32) - 127.5 for one in (pool, coded))
    prior, states = fit_prior(known), states_of(coded.shape[1], structure.colours)
    precision = _precision(known)
    if structure.per_image:
        found = _one_by_one(seen, known, states, rng)
    else:
        tries = [_upright(_grown(seen, states, precision), prior, states), _from_prior(seen, known, states, precision)]
        found = min(tries, key=lambda one: float(prior.misfit(one.reshape(len(one), -1)).mean()))
    return _stored(found)


def likeness(found: Bytes, truth: Bytes) -> float:
    """Mean structural similarity, or minus the mean error where images are too small for it."""
    first, second = (one.astype(np.float32) / 255 for one in (found, truth))
    if min(truth.shape[2:]) < MIN_SIDE:
        return -float(np.abs(first - second).mean())
    return float(ssim(first, second).mean())


def _stored(images: Floats) -> Bytes:
    """From around mid-grey."""
    return np.asarray(np.rint(images + 127.5).clip(0, 255), np.uint8)


def nearest_pixels(coded: Bytes, guess: Bytes, pool: Bytes, structure: Structure) -> Bytes:
    """Each pixel of each image in the state nearest to a guess at the images."""
    seen, expected, known = (one.astype(np.float32) - 127.5 for one in (coded, guess, pool))
    states, precision = states_of(coded.shape[1], structure.colours), _precision(known)
    out = np.empty_like(coded)
    for rows in _chunks(seen, len(states)):
        turned = np.einsum("kab,nbhw->nkahw", states, seen[rows])
        apart = turned - expected[rows][:, None]
        best = np.einsum("nkahw,ab,nkbhw->nkhw", apart, precision, apart, optimize=True).argmin(axis=1)
        out[rows] = np.rint(np.take_along_axis(turned, best[:, None, None], axis=1)[:, 0] + 127.5)
    return out


def _precision(known: Floats) -> Floats:
    """Inverse covariance (C, C) of a pixel around the mean of its neighbours."""
    apart = np.moveaxis(known - _around(known), 1, -1).reshape(-1, known.shape[1])
    covariance = apart.T @ apart / len(apart)
    floor = max(0.05 * float(np.trace(covariance)) / len(covariance), 1.0)
    return np.asarray(np.linalg.inv(covariance + floor * np.eye(len(covariance))), np.float32)


def _around(images: Floats) -> Floats:
    """Mean of the up to four neighbours of each pixel; the pixel itself where it has none."""
    total, count = np.zeros_like(images), np.zeros(images.shape[2:], np.float32)
    for axis in (2, 3):
        if images.shape[axis] < 2:
            continue
        low, high = (_along(axis, part) for part in (slice(None, -1), slice(1, None)))
        total[low] += images[high]
        total[high] += images[low]
        count[low[2:]] += 1
        count[high[2:]] += 1
    return np.where(count > 0, total / np.maximum(count, 1), images)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if i == axis else slice(None) for i in range(4))


def _chosen(pixel: Floats, expected: Floats, states: Floats, precision: Floats) -> Floats:
    """The state (C, C) that brings a pixel (n, C) of all images nearest to what is expected of it (n, C)."""
    own, cross = pixel.T @ pixel, pixel.T @ expected
    spread = np.einsum("kab,bc,kdc,da->k", states, own, states, precision)
    return np.asarray(states[(spread - 2 * np.einsum("kab,bc,ca->k", states, cross, precision)).argmin()])


def _grown(seen: Floats, states: Floats, precision: Floats) -> Floats:
    """All images from their first pixel on, each pixel beside those that are settled; then anew beside all."""
    _, _, height, width = seen.shape
    out, settled = seen.copy(), np.zeros((height, width), bool)
    settled[0, 0] = True
    for sweep in range(SWEEPS):
        for y, x in product(range(height), range(width)):
            beside = [(y + dy, x + dx) for dy, dx in NEIGHBOURS if 0 <= y + dy < height and 0 <= x + dx < width]
            beside = [cell for cell in beside if settled[cell]]
            if beside and (sweep or (y, x) != (0, 0)):
                expected = np.mean([out[:, :, a, b] for a, b in beside], axis=0)
                out[:, :, y, x] = seen[:, :, y, x] @ _chosen(seen[:, :, y, x], expected, states, precision).T
            settled[y, x] = True
    return out


def _from_prior(seen: Floats, known: Floats, states: Floats, precision: Floats) -> Floats:
    """Each pixel by its own mean and spread in the attacker's images, then beside its neighbours."""
    out, (_, channels, height, width) = seen.copy(), seen.shape
    for sweep in range(SWEEPS):
        around = _around(out) if sweep else np.broadcast_to(known.mean(axis=0), out.shape)
        for y, x in product(range(height), range(width)):
            expected = np.asarray(around[:, :, y, x], np.float32)
            weight = precision
            if not sweep:
                spread = np.cov(known[:, :, y, x].T).reshape(channels, channels) if len(known) > 1 else np.eye(channels)
                weight = np.linalg.inv(spread + np.eye(channels)).astype(np.float32)
            out[:, :, y, x] = seen[:, :, y, x] @ _chosen(seen[:, :, y, x], expected, states, weight).T
    return out


def _upright(images: Floats, prior: PicturePrior, states: Floats) -> Floats:
    """The one state for all pixels alike in which the images look most like the attacker's own."""
    tries = (np.einsum("ab,nbhw->nahw", state, images) for state in states)
    return min(tries, key=lambda one: float(prior.misfit(one.reshape(len(one), -1)).mean()))


def _one_by_one(seen: Floats, known: Floats, states: Floats, rng: np.random.Generator) -> Floats:
    """Each image by itself, in the way that does best on the attacker's own images under keys of his own."""
    trial = known[: min(TRIALS, len(known) // 2)]
    prior, precision = fit_prior(known[len(trial) :]), _precision(known[len(trial) :])
    n, _, height, width = trial.shape
    keys = states[rng.integers(len(states), size=(n, height, width))]
    coded = np.einsum("nhwab,nbhw->nahw", keys, trial)
    ways: list[Callable[[Floats], Floats]] = [partial(_folded, sign=-1.0), partial(_folded, sign=1.0)]
    ways += [partial(_cooled, prior=prior, states=states, precision=precision, hottest=hot) for hot in HOTTEST]
    best = max(ways, key=lambda way: likeness(_stored(way(coded)), _stored(trial)))
    return best(seen)


def _folded(seen: Floats, *, sign: float) -> Floats:
    """All on one side of mid-grey, channels in order of size: the outlines (Chang, Case 2020, sec. 4)."""
    return np.sort(sign * np.abs(seen), axis=1)


def _cooled(seen: Floats, *, prior: PicturePrior, states: Floats, precision: Floats, hottest: float) -> Floats:
    """A mean field over the states of each image's pixels, cooled until it is sure."""
    out = np.empty_like(seen)
    for rows in _chunks(seen, len(states)):
        out[rows] = _annealed(seen[rows], prior, states, precision, hottest)
    return out


def _chunks(images: Floats, states: int) -> Iterable[slice]:
    size = max(1, CHUNK_CELLS // (states * max(int(np.prod(images.shape[1:])), 1)))
    return (slice(i, i + size) for i in range(0, len(images), size))


def _annealed(seen: Floats, prior: PicturePrior, states: Floats, precision: Floats, hottest: float) -> Floats:
    turned = np.einsum("kab,nbhw->nkahw", states, seen)
    weighted = np.einsum("nkahw,ab->nkbhw", turned, precision)
    own = np.einsum("nkahw,nkahw->nkhw", turned, weighted)
    share = 1 / (1 + float(np.trace(precision)) / len(precision) * prior.outside)
    field = np.broadcast_to(prior.mean.reshape(1, *seen.shape[1:]), seen.shape)
    for i, temperature in enumerate(np.geomspace(hottest, COLDEST, COOLING)):
        learned = prior.expected(field.reshape(len(seen), -1)).reshape(seen.shape)
        expected = share * learned + (1 - share) * _around(field) if i else learned
        cost = own - 2 * np.einsum("nkahw,nahw->nkhw", weighted, expected)
        belief = np.exp(-(cost - cost.min(axis=1, keepdims=True)) / (2 * temperature))
        field = np.einsum("nkhw,nkahw->nahw", belief / belief.sum(axis=1, keepdims=True), turned)
    sure = cost.argmin(axis=1)
    return np.asarray(np.take_along_axis(turned, sure[:, None, None], axis=1)[:, 0])
