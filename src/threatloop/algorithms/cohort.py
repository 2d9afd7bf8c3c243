"""Networks of one architecture that learn side by side, each on its own records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.batches import Records, bounds
from threatloop.algorithms.course import Course
from threatloop.algorithms.ensemble import chunks
from threatloop.algorithms.fit import train
from threatloop.algorithms.fit_mlp import train_stack
from threatloop.algorithms.mlp_stack import stackable
from threatloop.algorithms.outcome import Trained
from threatloop.algorithms.pretraining import last_layer
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.network import Network

Rows = npt.NDArray[np.int64]
CourseFor = Callable[[list[int]], Course]
"""Positions of networks that learn side by side to the course that they take."""


@dataclass
class Cohort:
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

    def stage(self, name: str, **changes: Any) -> Cohort:
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
