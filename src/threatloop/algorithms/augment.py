"""Augmentation of encoded image batches, drawn from one generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Schema

Augmentation = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def shift(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every image moved by up to 1/8 of a side either way; what enters repeats the border. (n, c, h, w) like ``x``."""
    n, _, height, width = x.shape
    dy, dx = max(1, height // 8), max(1, width // 8)
    padded = F.pad(x, (dx, dx, dy, dy), mode="replicate")
    down = torch.randint(0, 2 * dy + 1, (n, 1), generator=generator) + torch.arange(height)
    right = torch.randint(0, 2 * dx + 1, (n, 1), generator=generator) + torch.arange(width)
    moved = padded.gather(2, down[:, None, :, None].expand(-1, x.shape[1], -1, padded.shape[3]))
    return moved.gather(3, right[:, None, None, :].expand(-1, x.shape[1], height, -1))


def shift_flip(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """`shift`, and every other image mirrored left to right."""
    mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
    moved = shift(x, generator)
    return torch.where(mirrored, moved.flip(3), moved)


_BY_NAME: Mapping[str, Augmentation] = {"none": lambda x, _: x, "shift": shift, "shift_flip": shift_flip}


def augmentation(recipe: Recipe, schema: Schema) -> Augmentation:
    """The augmentation that the recipe asks for.

    Raises:
        InputError: it asks for one, and the records are not images.
    """
    if recipe.augment != "none" and schema.kind != "image":
        raise InputError(f"recipe.augment: {recipe.augment} is for images, not for {schema.kind} records; use none")
    return _BY_NAME[recipe.augment]
