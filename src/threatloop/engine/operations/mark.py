"""The data owner marks what the victim will be offered; by the key that only the engine and the gate hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.engine.products import Product
from threatloop.engine.task import Task

OWNER = "owner"
"""Role of the stream that the owner's key comes from."""


def mark(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The contribution with the owner's invisible mark, at the PSNR in the configuration (dB), as 8-bit images."""
    from threatloop.algorithms.watermark import embed
    from threatloop.algorithms.watermark_host import host_statistics

    data: Dataset = inputs["data"].value
    images = modality.of(data.schema).watermark_view(data.x, data.schema)
    marked = embed(images, task.streams.key(OWNER), host_statistics(images), psnr_db=task.config["psnr_db"])
    return Product(data.with_x(np.rint(marked * 255).astype(np.uint8)))
