"""The secret system prompts that a victim is served behind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from threatloop.core.assets import Dataset
from threatloop.core.schema import TextSchema
from threatloop.data.system_prompts import draw_prompts
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.modality.conversation import write


def prompts(task: Task, inputs: Mapping[str, Product]) -> Product:  # noqa: ARG001
    """``count`` prompts as documents: of the user's own ``given`` ones, one after the other, or drawn."""
    count, given, rng = int(task.config["count"]), list(task.config["given"]), task.streams.numpy("prompts")
    order = rng.permutation(len(given))
    found = [given[int(order[i % len(given)])] for i in range(count)] if given else draw_prompts(count, rng)
    x = write(found)
    return Product(Dataset(x, np.zeros(count, np.int64), TextSchema(width=x.shape[1]), np.arange(count)))
