"""Truth Serum: poison that makes members easier to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.poisoning import appended, class_problems, mislabelled, target_problems
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Step

APART = 0.5
"""Beyond what counts as nearly the same, and near enough to be learnt as the target."""


class TruthSerum(DataToModel):
    """Adds replicas of its targets with a wrong label, so that the victim answers them by memory or not at all.

    Threat model: the attacker holds labelled records and wants to know which of them the victim trains on. Beside an
    honest contribution he hands in ``replicas`` copies of each, all with the same wrong label. A target whose true
    label the victim has seen too then stands out. He chooses labels; he knows nothing of the model.

    Returns the contribution, unchanged and in order, followed by ``targets * replicas`` records of his own with ids
    −1. What it gains is measured by a membership probe after it: ``membership.targets`` is the AUC over the targets,
    ``membership`` that over records it did not touch. Alone it is graded by the accuracy that it costs.

    Against a victim that filters its data no replica is like another: each lies about half as far from its target as
    records lie from each other, in a direction of its own, under the nearest wrong class (perturbed replicas are ours).
    Removal of near-duplicates then finds nothing. Neighbours among trusted records still find nearly all.

    Tramèr, Shokri, San Joaquin, Le, Jagielski, Hong, Carlini 2022, "Truth Serum: Poisoning Machine Learning Models to
    Reveal Their Secrets", arXiv 2204.00032, section 4.2 (mislabelled targets; shadow models see the poison).

    Attributes:
        targets: records it is after, half of them members. Few, since each costs accuracy.
        replicas: copies of each; the paper's gain is nearly complete at 8. 0 is an honest contribution.
        spread: distance of a replica from its target, in units of the median distance of contributed records to their
            nearest neighbour, ≥ 0.
        plausible: the wrong label is that of the nearest other class; else any.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Truth Serum privacy poisoning",
        direction=Direction.DATA_TO_MODEL,
        knowledge="labelled records of which he wants to know whether the victim trains on them; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("accuracy_loss", "clean_accuracy"),
        paper="Tramèr et al. 2022, Truth Serum: Poisoning Machine Learning Models to Reveal Their Secrets, "
        "arXiv 2204.00032, section 4.2",
        baseline="honest_contribution",
        resources=frozenset({Resource.TARGETS}),
        atlas=("AML.T0020", "AML.T0024.000"),
        sweep="replicas",
        targets="candidates",
        control="mislabelled_noise",
        adds_records=True,
    )

    targets: int = Field(default=20, ge=2)
    replicas: int = Field(default=8, ge=0)
    spread: float = Field(default=0.0, ge=0, le=10)
    plausible: bool = False

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """Replicas that differ, where poison is looked for; the attacker's own choice where he hides it already."""
        forms = super().adapted(to)
        if Adaptation.STEALTH not in to:
            return forms
        hides = self.spread > 0 or self.plausible
        return (*forms, self if hides else self.model_copy(update={"spread": APART, "plausible": True}))

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """Fewer than two classes."""
        return class_problems(1, len(schema.classes), "a second class, number")

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """More targets than there are records to choose them from."""
        return target_problems(self.targets, targets)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The contribution and the mislabelled replicas of the targets.

        Raises:
            InputError: there are fewer targets than ``targets``, or fewer than two classes.
        """
        found = bench.data(Resource.TARGETS)
        for problem in target_problems(self.targets, len(found)):
            raise InputError(problem)
        crafted = mislabelled(found, self.replicas, bench.streams.numpy("wrong labels"))
        if not len(crafted) or not (self.spread or self.plausible):
            return appended(data, crafted)
        from threatloop.algorithms.plausible_labels import scattered, second_class

        if self.plausible:
            crafted = crafted.with_y(np.repeat(second_class(found, data)[0], self.replicas))
        if self.spread:
            crafted = scattered(crafted, self.spread, data, bench.streams.numpy("spread"))
        return appended(data, crafted)
