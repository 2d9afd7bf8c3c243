"""Training with defences in it: one or many models, through the same loops as plain training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from threatloop import modality
from threatloop.algorithms.batches import Records, bounds
from threatloop.algorithms.best_epoch import BestEpoch
from threatloop.algorithms.cohort import Cohort, Rows
from threatloop.algorithms.course import Course, Lesson, Private
from threatloop.algorithms.fit import prepare
from threatloop.algorithms.fit_mlp import probabilities
from threatloop.algorithms.isolation import without_easy_records
from threatloop.algorithms.lessons import Supervised
from threatloop.algorithms.method import Method
from threatloop.algorithms.objectives import targets_of
from threatloop.algorithms.outcome import Trained
from threatloop.algorithms.pretraining import (
    Contrast,
    adopt,
    last_layer,
    no_targets,
    recipe_of,
    with_projection,
)
from threatloop.algorithms.private_steps import check_private, private_of
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.device import resolve
from threatloop.models.network import dump

Soft = npt.NDArray[np.float32]


def fit_by_method(
    architecture: Architecture,
    pool: Dataset,
    members: Sequence[Rows],
    recipe: Recipe,
    streams: Sequence[Streams],
    method: Method,
    *,
    soft_targets: Soft | None = None,
    init: Model | None = None,
    device: str = "cpu",
    allow_code: bool = False,
) -> list[Model]:
    """One model per network, each on its own records of the pool; with ``init`` its weights are trained on, by those
    parts of the method that act on every step.

    Raises:
        NotAssessable: a part of the method cannot be had with such a network or such records.
    """
    if method.proximal is not None or method.robustness is not None:
        raise NotAssessable(f"this way of training is for language models; {pool.schema.kind} records need another")
    started, place = time.perf_counter(), resolve(device)
    networks = [
        prepare(architecture, pool.take(rows), own, init=init, allow_code=allow_code)
        for rows, own in zip(members, streams, strict=True)
    ]
    targets, recipe = _targets(pool, soft_targets, recipe)
    records = Records.of(pool)
    ours = Cohort(architecture.name, networks, records, list(members), targets, recipe, list(streams), place)
    if init is not None:
        method = replace(method, stopping=None, isolation=None, pretraining=None)
    trained = _by_stages(ours, method)
    seconds = (time.perf_counter() - started) / max(1, len(networks))
    return [
        dump(network, architecture, pool.schema, {**one.notes(recipe, seconds), **notes})
        for network, one, notes in zip(networks, trained, ours.notes, strict=True)
    ]


def _targets(pool: Dataset, soft: Soft | None, recipe: Recipe) -> tuple[torch.Tensor, Recipe]:
    """Probabilities, smoothed already."""
    smoothed = probabilities(targets_of(pool, soft), pool.n_classes, recipe.label_smoothing)
    return smoothed, recipe.model_copy(update={"label_smoothing": 0.0})


def _by_stages(ours: Cohort, method: Method) -> list[Trained]:
    if method.pretraining is not None:
        _pretrain(ours, method)
    head_only = method.pretraining is not None and method.pretraining.tune == "head"
    lesson = _lesson(ours, method)
    if method.isolation is not None:

        def main(others: Cohort) -> list[Trained]:
            return _main(others, method, lesson, head_only)

        return without_easy_records(ours, method.isolation, lesson, main, head_only=head_only)
    return _main(ours, method, lesson, head_only)


def _lesson(ours: Cohort, method: Method) -> Lesson:
    if method.adversary is None:
        return Supervised(method.mixing)
    data = ours.records.data
    space = modality.of(data.schema).space(data.schema, data.x)
    return Supervised(method.mixing, method.adversary, space)


def _main(ours: Cohort, method: Method, lesson: Lesson, head_only: bool) -> list[Trained]:
    if method.privacy is not None:
        return _in_private(ours, method, lesson)
    if method.stopping is None:
        return ours.learn(lambda _: Course(lesson, head_only=head_only))
    held, kept = [], []
    for rows, own in zip(ours.members, ours.streams, strict=True):
        if len(rows) < 2:
            raise NotAssessable("early stopping holds records out; this training set has one")
        order = rows[own.numpy("held-out").permutation(len(rows))]
        count = min(len(rows) - 1, max(1, round(method.stopping.held * len(rows))))
        held.append(np.sort(order[:count]))
        kept.append(np.sort(order[count:]))
    patience, watches = method.stopping.patience, list[tuple[list[int], BestEpoch]]()

    def course(chunk: list[int]) -> Course:
        watch = BestEpoch(ours.records, ours.targets, [held[k] for k in chunk], patience)
        watches.append((chunk, watch))
        return Course(lesson, head_only=head_only, watch=watch)

    trained = replace(ours, members=kept).learn(course)
    for chunk, watch in watches:
        for k, epoch in zip(chunk, watch.epochs, strict=True):
            ours.notes[k].update(kept_epoch=epoch, held_out=len(held[k]))
    return trained


def _in_private(ours: Cohort, method: Method, lesson: Lesson) -> list[Trained]:
    assert method.privacy is not None
    check_private(ours.networks[0])
    bound, deviations = 0.0, []
    for rows, notes in zip(ours.members, ours.notes, strict=True):
        per_epoch = len(bounds(len(rows), ours.recipe.batch_size))
        bound, deviation, said = private_of(method.privacy, len(rows), per_epoch, per_epoch * ours.recipe.epochs)
        deviations.append(deviation)
        notes.update(said)
    return ours.learn(lambda chunk: Course(lesson, Private(bound, tuple(deviations[k] for k in chunk))))


def _pretrain(ours: Cohort, method: Method) -> None:
    assert method.pretraining is not None
    data, last = ours.records.data, last_layer(ours.networks[0])
    seeds = [torch.Generator().manual_seed(own.integer("projection")) for own in ours.streams]
    projecting = [with_projection(network, seed) for network, seed in zip(ours.networks, seeds, strict=True)]
    lesson = Contrast(data.schema, method.pretraining.temperature)
    recipes = [recipe_of(method.pretraining, ours.recipe, len(rows)) for rows in ours.members]
    for recipe in dict.fromkeys(recipes):
        alike = [k for k, own in enumerate(recipes) if own == recipe]
        networks, members = [projecting[k] for k in alike], [ours.members[k] for k in alike]
        streams = [ours.streams[k].child("views") for k in alike]
        views = replace(ours, networks=networks, members=members, streams=streams, recipe=recipe, notes=[])
        replace(views, targets=no_targets(len(data))).learn(lambda _: Course(lesson))
    for network, taught in zip(ours.networks, projecting, strict=True):
        adopt(network, taught, last)
