"""Ciphertext-only attack on images whose blocks were moved, turned, negated and recoloured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from threatloop.algorithms.encodings import Bytes, cut, paste
from threatloop.algorithms.jigsaw_puzzle import orders, puzzle
from threatloop.algorithms.picture_prior import PicturePrior, fit_prior
from threatloop.core.protection import Structure

Floats = npt.NDArray[np.float32]

TOGETHER = 150
"""Images whose edges count where one key moved all images alike."""
MOST_CELLS = 1 << 24
"""Numbers in all states of all blocks, where blocks go by what such images look like."""
SETTLING = 20
"""Most times that all blocks are placed anew."""


def reassemble(coded: Bytes, pool: Bytes, structure: Structure, guess: Bytes | None = None) -> Bytes:
    """The images (n, C, H, W) put together again, all at once or one by one where each has its own key.

    Edges say which blocks belong together. Which of the pictures that look the same to the edges is right - turned,
    negated, recoloured - the attacker's own images (``pool``, of the same shape) say. A ``guess`` at each image may
    help.
    """
    prior = fit_prior(pool.astype(np.float32) - 127.5)
    if not structure.per_image:
        return _together(coded, prior, structure)
    guesses = [None if guess is None else guess[i : i + 1] for i in range(len(coded))]
    parts = [_together(coded[i : i + 1], prior, structure, guesses[i]) for i in range(len(coded))]
    return np.concatenate(parts) if parts else coded.copy()


def _together(coded: Bytes, prior: PicturePrior, structure: Structure, guess: Bytes | None = None) -> Bytes:
    """Images that were scrambled alike: by their edges, then by what such images look like."""
    n, channels = coded.shape[:2]
    side, colours = structure.side, orders(channels, structure.colours)
    blocks = np.asarray(cut(coded, side), np.float32) - 127.5
    grid = (blocks.shape[1], blocks.shape[2])
    pieces = blocks.reshape(n, -1, channels, side, side).transpose(1, 0, 2, 3, 4)
    kinds = puzzle(pieces[:, :: -(-n // TOGETHER)], grid, colours)
    tries = [kinds.solve()]
    if grid[0] != grid[1]:
        kinds.grid = (grid[1], grid[0])
        tries.append(kinds.solve())
    placed = min(tries, key=lambda one: one[1])[0]
    by_edges = _upright(_canvas(placed, pieces, colours), coded, prior, colours, side)
    per_image = 16 * len(colours) * pieces[:, 0].size
    few = slice(None, None, -(-n // max(1, min(TOGETHER, MOST_CELLS // per_image))))
    states = puzzle(pieces[:, few], grid, colours).states
    starts = [_centred(by_edges[few]), np.tile(prior.mean, (len(coded[few]), 1))]
    starts += [] if guess is None else [_centred(guess[few])]
    results = [by_edges]
    for start in starts:
        settled = _settled(states, start, coded[few], prior, side)
        results.append(_onto(_canvas(settled, pieces, colours), coded, side))
    return min(results, key=lambda images: _misfit(images, prior))


def _settled(states: Floats, start: Floats, coded: Bytes, prior: PicturePrior, side: int) -> dict[tuple[int, int], int]:
    """Blocks where such images expect them: in turn the expected picture, and the best block at every place.

    Returns the assignment of least misfit that was met.
    """
    per_piece = int(np.prod(states.shape[1:4]))
    flat = states.reshape(len(states) * per_piece, -1)
    norms, rows = np.einsum("ij,ij->i", flat, flat), start
    best, chosen, before = np.inf, np.zeros(len(states), np.int64), None
    grid = (coded.shape[2] // side, coded.shape[3] // side)
    for _ in range(SETTLING):
        wanted = np.asarray(cut(prior.expected(rows).reshape(coded.shape), side), np.float32)
        wanted = wanted.reshape(len(coded), len(states), -1).transpose(1, 0, 2).reshape(len(states), -1)
        cost = (norms - 2 * (wanted @ flat.T)).reshape(len(states), len(states), per_piece)
        places, pieces = linear_sum_assignment(cost.min(axis=2))
        state = pieces * per_piece + cost[places, pieces].argmin(axis=1)
        if before is not None and (state == before).all():
            break
        before = state
        placed = flat[state].reshape(len(states), len(coded), -1).transpose(1, 0, 2).reshape(len(coded), *grid, -1)
        rows = _filled(placed, coded, side)
        misfit = float(prior.misfit(rows).mean())
        if misfit < best:
            best, chosen = misfit, state
    return {(int(i // grid[1]), int(i % grid[1])): int(state) for i, state in enumerate(chosen)}


def _filled(blocks: Floats, coded: Bytes, side: int) -> Floats:
    """Blocks centred on mid-grey as whole images, flat, with the strips beyond the last whole block."""
    pixels = np.rint(blocks + 127.5).clip(0, 255).astype(np.uint8)
    return _centred(paste(pixels, coded, side))


def _onto(canvas: Floats, coded: Bytes, side: int) -> Bytes:
    """The assembled pictures, with the strips beyond the last whole block as they are."""
    pixels = np.rint(canvas + 127.5).clip(0, 255).astype(np.uint8)
    return paste(np.asarray(cut(pixels, side), np.uint8), coded, side)


def _centred(images: Bytes) -> Floats:
    """Flat images around mid-grey."""
    return np.asarray(images.reshape(len(images), -1) - np.float32(127.5), np.float32)


def _misfit(images: Bytes, prior: PicturePrior) -> float:
    return float(prior.misfit(_centred(images)).mean())


def _canvas(placed: dict[tuple[int, int], int], pieces: Floats, colours: npt.NDArray[np.int64]) -> Floats:
    """The assembled pictures (n, C, rows·s, columns·s), centred on mid-grey."""
    top, left = (min(cell[i] for cell in placed) for i in (0, 1))
    down, right = (max(cell[i] for cell in placed) - low + 1 for i, low in ((0, top), (1, left)))
    n, channels, side = pieces.shape[1], pieces.shape[2], pieces.shape[-1]
    out = np.zeros((n, channels, down * side, right * side), np.float32)
    for (row, column), state in placed.items():
        rest, sign = divmod(state, 2)
        rest, colour = divmod(rest, len(colours))
        piece, turn = divmod(rest, 8)
        block = _turned(pieces[piece], turn)[:, colours[colour]] * (-1 if sign else 1)
        y, x = (row - top) * side, (column - left) * side
        out[:, :, y : y + side, x : x + side] = block
    return out


def _turned(block: Floats, turn: int) -> Floats:
    found = np.rot90(block, turn % 4, axes=(-2, -1))
    return np.asarray(found[..., ::-1] if turn >= 4 else found)


def _upright(canvas: Floats, coded: Bytes, prior: PicturePrior, colours: npt.NDArray[np.int64], side: int) -> Bytes:
    """The pictures in the attitude, sign and colours in which they look most like the attacker's own."""
    height, width = (size // side * side for size in coded.shape[2:])
    best, chosen = np.inf, coded
    turns = [_turned(canvas, turn) for turn in range(8)]
    for turned in (one for one in turns if one.shape[2:] == (height, width)):
        for order in colours:
            for sign in (1.0, -1.0):
                whole = _onto(turned[:, order] * np.float32(sign), coded, side)
                misfit = _misfit(whole, prior)
                if misfit < best:
                    best, chosen = misfit, whole
    return chosen
