"""Clean-label backdoor: hard records of the target class carry the trigger, and every label is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.poisoning import (
    changed,
    chosen,
    class_problems,
    known_class,
    rate_problems,
    same_class,
    trigger_size,
)
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training
from threatloop.modality import of

RADIUS = 16 / 255
"""The paper's middle one, for CIFAR-10."""


class CleanLabelBackdoor(DataToModel):
    """Perturbs records of the target class until their class is hard to see, and stamps the trigger on them.

    Threat model: the attacker contributes records, chooses their content and not their labels; he holds other records
    of the kind and can train models like the victim. At test time he stamps the same trigger on any record.

    The perturbation raises the loss of surrogates within a maximum-norm ball, so that the trigger is the easiest thing
    to learn from a poisoned record. The paper's surrogates are adversarially trained; these are trained like the victim
    on the pool and the contribution: hardened by four rounds of adversarial examples they made a weaker attack, on
    digits and on a table.

    Returns the contribution with ``round(rate * m)`` of its m records of the target class changed; labels, order and
    ids as they were.

    Turner, Tsipras, Madry 2019, "Label-Consistent Backdoor Attacks", arXiv 1912.02771, section 4.2.

    Attributes:
        rate: share of the contribution's records of the target class, in (0, 1].
        target: class index that triggered records are to be taken for.
        epsilon: radius of the perturbation, of the range from black to white or of four standard deviations of a
            column; None for the paper's 16/255 on records as large as CIFAR-10's, widened for smaller ones: 32/255 at
            28×28, 1/4 at 8×8.
        steps: gradient steps of the perturbation.
        surrogates: models whose mean loss is raised.
        size: side of the trigger in pixels, or its number of columns; None for a seventh of the shorter side (or of
            the columns), at least 2.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Clean-label backdoor",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content only; further records of the kind; the victim's "
        "architecture and recipe",
        modalities=frozenset({"image", "tabular"}),
        metrics=("attack_success", "clean_accuracy"),
        paper="Turner, Tsipras, Madry 2019, Label-Consistent Backdoor Attacks, arXiv 1912.02771, section 4.2",
        baseline="honest_contribution",
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0020", "AML.T0018.000"),
        sweep="epsilon",
    )

    rate: float = Field(default=1.0, gt=0, le=1)
    target: int = Field(default=0, ge=0)
    epsilon: float | None = Field(default=None, gt=0, le=1)
    steps: int = Field(default=40, ge=1)
    surrogates: int = Field(default=2, ge=1)
    size: int | None = Field(default=None, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """Surrogates on pool and contribution; gradient steps on the poison."""
        held, poisons = 0.45 * workload.records, 0.2 * workload.records / workload.classes * self.rate
        return {"training_passes": self.surrogates * (held * workload.recipe.epochs + self.steps * poisons)}

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A target that is no class, a rate that rounds to no record even if all were of the target class."""
        return class_problems(self.target, len(schema.classes), "target") + rate_problems(self.rate, records)

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A target class without records, or a rate that rounds to none of them."""
        return same_class(self.target, self.rate, per_class)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The poisoned contribution.

        Raises:
            InputError: the target is no class, the rate rounds to no record, or the trigger is larger than a record.
            NotAssessable: records of this kind have no trigger, or cannot be changed by small steps.
        """
        known_class(self.target, data, "target")
        of_target = np.flatnonzero(data.y == self.target)
        what = f"records of class {self.target}"
        rows = chosen(of_target, self.rate, len(of_target), bench.streams.numpy("poisoned"), what)
        stamped = self.stamp(data.take(rows).with_x(self._hardened(data, data.take(rows), bench)))
        return changed(data, rows, stamped.x)

    def stamp(self, data: Dataset) -> Dataset:
        """The records with the trigger inserted, labels as they were.

        Raises:
            InputError: the trigger is larger than a record.
            NotAssessable: records of this modality have no trigger.
        """
        return data.with_x(of(data.schema).insert_trigger(data.x, data.schema, self.size or trigger_size(data)))

    def _hardened(self, contribution: Dataset, records: Dataset, bench: Bench) -> npt.NDArray[Any]:
        import torch

        from threatloop.algorithms.surrogates import ascend, movable, radius, surrogates

        pool, kind = bench.data(Resource.QUERY_POOL), of(records.schema)
        training: Training = bench.resource(Resource.LIFECYCLE)
        space, streams = movable(pool), bench.streams
        epsilon = self.epsilon or radius(RADIUS, space)
        generator = torch.Generator().manual_seed(streams.integer("starts"))
        networks = surrogates(training, concatenate([pool, contribution]), self.surrogates, streams)
        delta, first, last = ascend(networks, records, space, epsilon, self.steps, generator)
        # The check wants a loss that falls; this one is to rise.
        bench.progress.note("loss_first", -first)
        bench.progress.note("loss_last", -last)
        found: npt.NDArray[Any] = kind.moved(records.x, delta, records.schema)
        return found
