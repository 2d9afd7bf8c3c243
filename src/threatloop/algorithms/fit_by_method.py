"""Training with defences in it: one or many models, through the same loops as plain training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop import modality
from threatloop.algorithms.batches import Records, bounds
from threatloop.algorithms.best_epoch import BestEpoch
from threatloop.algorithms.course import Course, Lesson, Private
from threatloop.algorithms.ensemble import chunks
from threatloop.algorithms.fit import prepare, train
from threatloop.algorithms.fit_mlp import probabilities, train_stack
from threatloop.algorithms.lessons import HeldBack, Supervised, Unlearned, cross_entropy
from threatloop.algorithms.method import Method
from threatloop.algorithms.mlp_stack import stackable
from threatloop.algorithms.objectives import objective
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
from threatloop.models.network import Network, dump

Rows = npt.NDArray[np.int64]
Soft = npt.NDArray[np.float32]
CourseFor = Callable[[list[int]], Course]
"""Positions of networks that learn side by side to the course that they take."""
AT_ONCE = 1024
LEAST_OF_A_CLASS = 0.3
UNLEARNED_SHARE, LATE_RATE = 0.5, 0.3
"""Share of each batch that is unlearned, and the learning rate then and after as a share of the recipe's."""


@dataclass
class Class:
    """Networks of one architecture in training, each on its own records of one pool.

    Attributes:
        name: of the architecture.
        networks: K networks, changed in place.
        records: the pool.
        members: per network the positions of its records.
        targets: for the whole pool.
        recipe: of all.
        streams: of each.
        device: where to train.
        notes: of each, for its model.
    """

    name: str
    networks: list[Network]
    records: Records
    members: list[Rows]
    targets: torch.Tensor
    recipe: Recipe
    streams: list[Streams]
    device: torch.device
    notes: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.notes = self.notes or [{} for _ in self.networks]

    def stage(self, name: str, **changes: Any) -> Class:
        """The same networks for another stage of their training, with random numbers of its own."""
        return replace(self, streams=[one.child(name) for one in self.streams], **changes)

    def learn(self, course: CourseFor) -> list[Trained]:
        """Train all; stackable networks side by side where they have equally many batches."""
        if not all(stackable(network) for network in self.networks) or self.recipe.augment != "none":
            return [self._alone(k, course([k])) for k in range(len(self.networks))]
        found: dict[int, Trained] = {}
        for chunk in chunks([len(bounds(len(rows), self.recipe.batch_size)) for rows in self.members]):
            networks, members, streams = (
                [own[k] for k in chunk] for own in (self.networks, self.members, self.streams)
            )
            trained = train_stack(
                networks,  # type: ignore[arg-type]
                self.records,
                members,  # type: ignore[arg-type]
                self.targets,
                self.recipe,
                streams,  # type: ignore[arg-type]
                self.device,
                course=course(chunk),
            )
            found.update(zip(chunk, trained, strict=True))
        return [found[k] for k in range(len(self.networks))]

    def _alone(self, k: int, course: Course) -> Trained:
        network = self.networks[k]
        if course.head_only:
            network.requires_grad_(False)
            network.get_submodule(last_layer(network)).requires_grad_(True)
        trained = train(
            network,
            self.records,
            self.targets,
            self.recipe,
            self.streams[k],
            self.device,
            name=self.name,
            members=self.members[k],
            course=course,
        )
        network.requires_grad_(True)
        return trained


@dataclass(frozen=True)
class Doubled(Records):
    """The records twice: the second time to be unlearned."""

    def take(self, rows: Rows) -> torch.Tensor:
        return super().take(rows % len(self.data))


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
    started, place = time.perf_counter(), resolve(device)
    networks = [
        prepare(architecture, pool.take(rows), own, init=init, allow_code=allow_code)
        for rows, own in zip(members, streams, strict=True)
    ]
    targets, recipe = _targets(pool, soft_targets, recipe, method)
    records = Records.of(pool)
    ours = Class(architecture.name, networks, records, list(members), targets, recipe, list(streams), place)
    if init is not None:
        method = replace(method, stopping=None, isolation=None, pretraining=None)
    trained = _by_stages(ours, method)
    seconds = (time.perf_counter() - started) / max(1, len(networks))
    return [
        dump(network, architecture, pool.schema, {**one.notes(recipe, seconds), **notes})
        for network, one, notes in zip(networks, trained, ours.notes, strict=True)
    ]


def _targets(pool: Dataset, soft: Soft | None, recipe: Recipe, method: Method) -> tuple[torch.Tensor, Recipe]:
    """Probabilities, smoothed already; the next tokens as they are, of which only privacy makes something."""
    found = objective(pool.schema).targets(pool, soft)
    if found.dim() == 1 or found.is_floating_point():
        smoothed = probabilities(found, pool.n_classes, recipe.label_smoothing)
        return smoothed, recipe.model_copy(update={"label_smoothing": 0.0})
    if method != Method(privacy=method.privacy):
        raise NotAssessable(f"this way of training needs one label a record; {pool.schema.kind} records have none")
    return found, recipe


def _by_stages(ours: Class, method: Method) -> list[Trained]:
    if method.pretraining is not None:
        _pretrain(ours, method)
    head_only = method.pretraining is not None and method.pretraining.tune == "head"
    lesson = _lesson(ours, method)
    if method.isolation is not None:
        return _without_easy_records(ours, method, lesson, head_only)
    return _main(ours, method, lesson, head_only)


def _lesson(ours: Class, method: Method) -> Lesson:
    if method.adversary is None:
        return Supervised(method.mixing)
    data = ours.records.data
    space = modality.of(data.schema).space(data.schema, data.x)
    return Supervised(method.mixing, method.adversary, space)


def _main(ours: Class, method: Method, lesson: Lesson, head_only: bool) -> list[Trained]:
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


def _in_private(ours: Class, method: Method, lesson: Lesson) -> list[Trained]:
    assert method.privacy is not None
    check_private(ours.networks[0])
    bound, deviations = 0.0, []
    for rows, notes in zip(ours.members, ours.notes, strict=True):
        per_epoch = len(bounds(len(rows), ours.recipe.batch_size))
        bound, deviation, said = private_of(method.privacy, len(rows), per_epoch, per_epoch * ours.recipe.epochs)
        deviations.append(deviation)
        notes.update(said)
    return ours.learn(lambda chunk: Course(lesson, Private(bound, tuple(deviations[k] for k in chunk))))


def _pretrain(ours: Class, method: Method) -> None:
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


def _without_easy_records(ours: Class, method: Method, lesson: Lesson, head_only: bool) -> list[Trained]:
    """Find the records that are learned too easily, learn from the others, and unlearn those that were found."""
    isolation = method.isolation
    assert isolation is not None
    epochs = ours.recipe.epochs
    first, last = (max(1, round(share * epochs)) for share in (isolation.first, isolation.last))
    finding = ours.stage("isolate", recipe=ours.recipe.model_copy(update={"epochs": first}))
    finding.learn(lambda _: Course(HeldBack(isolation.gamma)))
    suspects = [_easiest(ours, k, isolation.share) for k in range(len(ours.networks))]
    others = [np.setdiff1d(rows, found) for rows, found in zip(ours.members, suspects, strict=True)]
    between = ours.recipe.model_copy(update={"epochs": max(1, epochs - first - last)})
    trained = _main(replace(ours, members=others, recipe=between), method, lesson, head_only)
    third = max(1, last // 3)
    _unlearn(ours, others, suspects, third, head_only)
    kept = [_right(ours, k, rows) for k, rows in enumerate(others)]
    for name in ("recover", "readmit") if last >= 3 * third else ():
        # What shares the suspects' fate was of their kind, unless it is learned again from the rest.
        slower = {"epochs": third, "learning_rate": ours.recipe.learning_rate * LATE_RATE}
        stage = ours.stage(name, members=kept, recipe=ours.recipe.model_copy(update=slower))
        stage.learn(lambda _: Course(lesson, head_only=head_only))
        kept = [_right(ours, k, rows) for k, rows in enumerate(ours.members)]
    ids = ours.records.data.ids
    for notes, found in zip(ours.notes, suspects, strict=True):
        notes.update(isolated=[int(one) for one in ids[found]])
    return trained


def _unlearn(ours: Class, others: Sequence[Rows], suspects: Sequence[Rows], epochs: int, head_only: bool) -> None:
    """Ascend on the suspects while descending on the others."""
    n = len(ours.targets)
    both = [
        np.concatenate([rest, np.resize(found, max(1, round(len(rest) * UNLEARNED_SHARE / (1 - UNLEARNED_SHARE)))) + n])
        for rest, found in zip(others, suspects, strict=True)
    ]
    slower = {"epochs": epochs, "learning_rate": ours.recipe.learning_rate * LATE_RATE}
    stage = ours.stage(
        "unlearn",
        records=Doubled(ours.records.data, ours.records.encoded),
        targets=torch.cat([ours.targets, -ours.targets]),
        members=both,
        recipe=ours.recipe.model_copy(update=slower),
    )
    stage.learn(lambda _: Course(Unlearned(), head_only=head_only))


def _easiest(ours: Class, k: int, share: float) -> Rows:
    """The records with the smallest losses, so large a share of all."""
    rows = ours.members[k]
    wanted = ours.targets[torch.from_numpy(rows)]
    count = min(len(rows) - 1, max(1, round(share * len(rows))))
    order = cross_entropy(_answers(ours, k, rows), wanted).argsort(stable=True)
    return np.sort(rows[order[:count].numpy()])


def _right(ours: Class, k: int, rows: Rows) -> Rows:
    """The records that the network gets right; all, where a class would be all but lost: that is no trigger."""
    wanted = ours.targets[torch.from_numpy(rows)].argmax(1)
    right = _answers(ours, k, rows).argmax(1) == wanted
    before, after = (torch.bincount(one, minlength=ours.targets.shape[1]) for one in (wanted, wanted[right]))
    return rows if bool((after < LEAST_OF_A_CLASS * before).any()) else rows[right.numpy()]


@torch.no_grad()
def _answers(ours: Class, k: int, rows: Rows) -> torch.Tensor:
    network, found = ours.networks[k].to(ours.device).eval(), []
    for start in range(0, len(rows), AT_ONCE):
        found.append(network(ours.records.take(rows[start : start + AT_ONCE]).to(ours.device)).float().cpu())
    return torch.cat(found)
