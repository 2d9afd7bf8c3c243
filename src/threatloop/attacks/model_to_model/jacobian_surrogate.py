"""What Jacobian-based augmentation gets without ever asking the victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from threatloop.algorithms.distil import Targets, tempered
from threatloop.algorithms.jacobian import JacobianDistillation
from threatloop.algorithms.labelling import OwnLabels
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction
from threatloop.core.training import Training


class JacobianSurrogate(JacobianDistillation, OwnLabels):
    """Seeds with the attacker's own labels, multiplied along its own clone's gradients.

    Nobody has labels for the moved records. A model trained on the seeds answers for them: keeping the seed's label
    would be wrong where a step crosses a boundary, and the weaker surrogate would flatter the thief. Rounds, sizes of
    steps, recipe, steps, initial weights and streams are the thief's.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Augmented surrogate trained on the attacker's own labels",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="a few records with the attacker's own labels, the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Jagielski et al. 2020, High Accuracy and High Fidelity Extraction, arXiv 1909.01838, section 4",
        baseline="jacobian_surrogate",
        needs=frozenset[Capability](),
        resources=frozenset(
            {
                Resource.QUERY_POOL,
                Resource.OUT_OF_DISTRIBUTION,
                Resource.LIFECYCLE,
                Resource.FEEDBACK,
                Resource.PREVIOUS,
            }
        ),
        sweep="queries",
    )

    def oracle(self, service: Service, n: int, bench: Bench) -> Callable[[Dataset], Targets]:
        """Own labels for the seeds, which are asked first; then the answers of a model trained on those."""
        own = super().oracle(service, n, bench)
        if self.pool == "out":
            return own
        training: Training = bench.resource(Resource.LIFECYCLE)
        teachers: list[Service] = []

        def answer(asked: Dataset) -> Targets:
            if teachers:
                return tempered(teachers[0].log_probs(asked.x), 1.0)
            targets = own(asked)
            teachers.append(training.serve(self.train(asked, targets, bench, "teacher")))
            return targets

        return answer
