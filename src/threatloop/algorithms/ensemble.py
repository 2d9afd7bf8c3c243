"""The ensemble trainer: many models of one architecture on subsets of one pool, as fast as the architecture allows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.batches import Records, bounds
from threatloop.algorithms.fit import fit, prepare
from threatloop.algorithms.fit_mlp import train_stack
from threatloop.algorithms.mlp_stack import Stack, stackable, widths
from threatloop.algorithms.objectives import targets_of
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.build import BLUEPRINTS, MLPBlueprint, load
from threatloop.models.device import resolve
from threatloop.models.network import Network, dump
from threatloop.models.responder import responder_of
from threatloop.models.shapes import answer_shape

Masks = npt.NDArray[np.bool_]
Soft = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]

TOGETHER = 16
"""Networks in one stack: more do not run faster, and the weights should stay in the processor's cache."""
SCORED_NUMBERS = 1 << 22
"""Numbers of the widest layer alive at once in stacked scoring."""


def fit_ensemble(
    architecture: Architecture,
    pool: Dataset,
    masks: Masks,
    recipe: Recipe,
    streams: Sequence[Streams],
    *,
    soft_targets: Soft | None = None,
    device: str = "cpu",
    allow_code: bool = False,
) -> list[Model]:
    """One model per mask: what ``fit(architecture, pool.take(masks[k]), recipe, streams[k])`` gives, up to rounding.

    Multilayer perceptrons are trained `TOGETHER` at a time; everything else one after the other, which on a
    processor is faster than any way of batching convolutions that was measured.

    Args:
        architecture: of all models.
        pool: the records that the masks choose from.
        masks: bool (K, n); which records each model is trained on.
        recipe: of all models.
        streams: K stream trees, with the roles that `fit` reads.
        soft_targets: float32 (n, classes) for the whole pool, in place of its labels.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        allow_code: whether an architecture that names code may be built.

    Raises:
        InputError: masks or streams of the wrong number or shape, a mask without records; else as `fit`.
        Diverged: a model's weights are no longer finite.
    """
    check_masks(masks, streams, len(pool))
    members = [np.flatnonzero(mask) for mask in masks]
    if _stacks(architecture, recipe):
        return _stacked(architecture, pool, members, recipe, streams, soft_targets, resolve(device))
    return [
        fit(
            architecture,
            pool.take(rows),
            recipe,
            own,
            soft_targets=None if soft_targets is None else soft_targets[rows],
            device=device,
            allow_code=allow_code,
        )
        for rows, own in zip(members, streams, strict=True)
    ]


def _stacks(architecture: Architecture, recipe: Recipe) -> bool:
    built_in = BLUEPRINTS.get(architecture.name) is MLPBlueprint
    return built_in and architecture.outputs == "logits" and recipe.augment == "none"


def check_masks(masks: Masks, streams: Sequence[Streams], n: int) -> None:
    if masks.ndim != 2 or masks.shape[1] != n or masks.dtype != np.bool_:
        raise InputError(f"masks are {masks.dtype} {masks.shape}; need bool (models, {n})")
    if len(masks) != len(streams):
        raise InputError(f"{len(masks)} masks and {len(streams)} random streams; need equally many")
    if empty := np.flatnonzero(~masks.any(axis=1)).tolist():
        raise InputError(f"mask {empty[0]} chooses no record; every model needs some")


def _stacked(
    architecture: Architecture,
    pool: Dataset,
    members: Sequence[npt.NDArray[np.int64]],
    recipe: Recipe,
    streams: Sequence[Streams],
    soft_targets: Soft | None,
    device: torch.device,
) -> list[Model]:
    records, targets = Records.of(pool), targets_of(pool, soft_targets)
    found: dict[int, Model] = {}
    for chunk in chunks([len(bounds(len(rows), recipe.batch_size)) for rows in members]):
        started = time.perf_counter()
        networks = [prepare(architecture, pool.take(members[k]), streams[k]) for k in chunk]
        rows, own = [members[k] for k in chunk], [streams[k] for k in chunk]
        trained = train_stack(networks, records, rows, targets, recipe, own, device)
        seconds = (time.perf_counter() - started) / len(chunk)
        for k, network, figures in zip(chunk, networks, trained, strict=True):
            found[k] = dump(network, architecture, pool.schema, figures.notes(recipe, seconds))
    return [found[k] for k in range(len(members))]


def chunks(batches: Sequence[int]) -> Iterator[list[int]]:
    """Models with equally many batches per epoch share a learning rate at every step, so they can share a stack."""
    by_batches = sorted(range(len(batches)), key=lambda k: batches[k])
    for _, group in groupby(by_batches, key=lambda k: batches[k]):
        alike = list(group)
        yield from (alike[i : i + TOGETHER] for i in range(0, len(alike), TOGETHER))


def ensemble_log_probs(
    models: Sequence[Model], data: Dataset, *, device: str = "cpu", allow_code: bool = False
) -> Floats:
    """Every model's log-probabilities of every record: float32 (K, n, classes), or (K, n, context, vocabulary).

    Multilayer perceptrons of one shape answer `TOGETHER` at a time.

    Raises:
        InputError: no models, or models that read or answer something else than the records.
    """
    if not models:
        raise InputError("scoring needs at least one model")
    if any(answer_shape(model.schema) != answer_shape(data.schema) for model in models):
        raise InputError("a model answers other classes than the data has")
    answers = np.empty((len(models), len(data), *answer_shape(data.schema)), np.float32)
    for start in range(0, len(models), TOGETHER):
        chunk, place = models[start : start + TOGETHER], resolve(device)
        networks = _alike(chunk)
        if networks:
            _score(Stack(networks, place), data, answers[start : start + TOGETHER])
            continue
        for k, model in enumerate(chunk, start):
            answers[k] = responder_of(model, device, allow_code=allow_code).log_probs(data.x)
    return answers


def _alike(models: Sequence[Model]) -> list[Network]:
    """The networks, if they can be stacked; else none."""
    if any(BLUEPRINTS.get(model.architecture.name) is not MLPBlueprint for model in models):
        return []
    networks = [load(model) for model in models]
    same = all(stackable(network) and widths(network) == widths(networks[0]) for network in networks)
    return networks if same else []


def _score(stack: Stack, data: Dataset, answers: Floats) -> None:
    size = max(1, SCORED_NUMBERS // (stack.count * max(stack.widths)))
    for start in range(0, len(data), size):
        part = data.take(slice(start, start + size))
        x = Records.of(part).take(np.arange(len(part))).flatten(1).to(stack.device)
        x = stack.normalise(x.expand(stack.count, *x.shape).clone())
        _, logits = stack.forward(x)
        answers[:, start : start + size] = torch.log_softmax(logits, 1).transpose(1, 2).cpu().numpy()
