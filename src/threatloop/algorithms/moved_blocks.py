"""Ciphertext-only attack on images whose blocks were moved, turned, negated and recoloured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.encodings import Bytes, cut, paste
from threatloop.algorithms.jigsaw_puzzle import orders, puzzle
from threatloop.algorithms.picture_prior import PicturePrior, fit_prior
from threatloop.core.defence import Structure

Floats = npt.NDArray[np.float32]

TOGETHER = 200
"""Images whose edges count where one key moved all images alike."""


def reassemble(coded: Bytes, pool: Bytes, structure: Structure) -> Bytes:
    """The images (n, C, H, W) put together again, all at once or one by one where each has its own key.

    Edges say which blocks belong together. Which of the pictures that look the same to the edges is right - turned, negated,
    recoloured - the attacker's own images (``pool``, of the same shape) say.
    """
    prior = fit_prior(pool.astype(np.float32) - 127.5)
    if not structure.per_image:
        return _together(coded, prior, structure)
    parts = [_together(coded[i : i + 1], prior, structure) for i in range(len(coded))]
    return np.concatenate(parts) if parts else coded.copy()


def _together(coded: Bytes, prior: PicturePrior, structure: Structure) -> Bytes:
    """Images that were scrambled alike."""
    n, channels = coded.shape[:2]
    side, colours = structure.side, orders(channels, structure.colours)
    blocks = np.asarray(cut(coded, side), np.float32) - 127.5
    grid = (blocks.shape[1], blocks.shape[2])
    pieces = blocks.reshape(n, -1, channels, side, side).transpose(1, 0, 2, 3, 4)
    stride = -(-n // TOGETHER)
    kinds = puzzle(pieces[:, ::stride], grid, colours)
    tries = [kinds.solve()]
    if grid[0] != grid[1]:
        kinds.grid = (grid[1], grid[0])
        tries.append(kinds.solve())
    placed = min(tries, key=lambda one: one[1])[0]
    return _upright(_canvas(placed, pieces, colours), coded, prior, colours, side)


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
    return found[..., ::-1] if turn >= 4 else found


def _upright(canvas: Floats, coded: Bytes, prior: PicturePrior, colours: npt.NDArray[np.int64], side: int) -> Bytes:
    """The pictures in the attitude, sign and colours in which they look most like the attacker's own."""
    height, width = (size // side * side for size in coded.shape[2:])
    best, chosen = np.inf, coded
    turns = [_turned(canvas, turn) for turn in range(8)]
    for turned in (one for one in turns if one.shape[2:] == (height, width)):
        for order in colours:
            for sign in (1.0, -1.0):
                whole = coded.copy()
                pixels = np.rint(turned[:, order] * sign + 127.5).clip(0, 255).astype(np.uint8)
                whole = paste(np.asarray(cut(pixels, side), np.uint8), whole, side)
                misfit = float(prior.misfit(whole.reshape(len(whole), -1) - np.float32(127.5)).mean())
                if misfit < best:
                    best, chosen = misfit, whole
    return chosen
