"""One chunk of the shadow models of a seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Dataset, Shadows, concatenate
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.engine.operations.serve import defences_of
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.scenario.lifecycle import DefendedTraining


def shadows(task: Task, inputs: Mapping[str, Product]) -> Product:
    """Models ``first`` … ``first + count - 1`` of ``total``, with their answers on all candidates.

    Where the attacker poisoned the victim (input ``poison``), every model trains on his own records as well: he knows
    them, and shadows without them would not be like the victim. An attacker who knows the victim's defences
    (configuration ``imitated``) trains with them.
    """
    candidates: Dataset = inputs["candidates"].value
    first, count, total = (task.config[name] for name in ("first", "count", "total"))
    masks = balanced_masks(total, len(candidates), task.streams)[first : first + count]
    training: Training = training_of(task.config["training"], task.local)
    if "imitated" in task.config:
        training = DefendedTraining(training, defences_of(task.config["imitated"]))
    streams = [task.streams.child(f"shadow-{first + k}") for k in range(count)]
    pool, rows = candidates, masks
    if "poison" in inputs:
        crafted: Dataset = inputs["poison"].value
        planted = crafted.take(crafted.ids < 0)
        pool = concatenate([candidates, planted])
        rows = np.concatenate([masks, np.ones((count, len(planted)), np.bool_)], axis=1)
    models = training.fit_many(pool, rows, streams)
    return Product(Shadows(tuple(models), masks, training.answers(models, candidates)))


def balanced_masks(total: int, n: int, streams: Streams) -> npt.NDArray[np.bool_]:
    """bool (total, n): each candidate is in exactly half of the training sets (Carlini et al. 2022)."""
    keys = streams.numpy("shadow-masks").random((total, n))
    ranks = np.argsort(np.argsort(keys, axis=0), axis=0)
    return ranks < total // 2


def gather(chunks: list[Shadows]) -> Shadows:
    """All chunks of a seed as one."""
    return Shadows(
        tuple(model for chunk in chunks for model in chunk.models),
        np.concatenate([chunk.masks for chunk in chunks]),
        np.concatenate([chunk.log_probs for chunk in chunks]),
    )
