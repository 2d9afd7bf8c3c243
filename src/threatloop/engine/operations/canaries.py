"""Plant canaries among the victim's own members, and hold back as many that were never planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from threatloop.core.assets import Dataset, concatenate
from threatloop.data.canaries import draw_canaries, holds_chats, times
from threatloop.engine.products import Product
from threatloop.engine.task import Task

FIRST_ID = 1 << 40
"""Canaries' ids start here, far from any record that was read."""


def canaries(task: Task, inputs: Mapping[str, Product]) -> Product:
    """A role with its canaries. The first half of them is planted, the second is not.

    ``own``: the records and every planted canary as often as asked, where several numbers take turns; ``members``: once
    each; ``candidates``: the records and all canaries; ``canaries``: the canaries alone.
    """
    data: Dataset = inputs["data"].value
    count, repetitions, part = (task.config[name] for name in ("count", "repetitions", "part"))
    rng, chat = task.streams.numpy("canaries"), holds_chats(data)
    drawn = draw_canaries(data.schema, 2 * count, rng, chat=chat)  # type: ignore[arg-type]
    drawn = replace(drawn, ids=FIRST_ID + np.arange(2 * count, dtype=np.int64))
    planted = drawn.take(slice(0, count))
    parts = {
        "own": [data, planted.take(np.repeat(np.arange(count), times(count, repetitions)))],
        "members": [data, planted],
        "candidates": [data, drawn],
        "canaries": [drawn],
    }
    found = concatenate(parts[part])
    # In a random order, or the position would tell which canaries are planted.
    return Product(found.take(task.streams.numpy(f"order-{part}").permutation(len(found))))
