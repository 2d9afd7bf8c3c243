"""Fine-tuning on records that carry the reversed trigger and their right label."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Repair, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.finetune import Loss
    from threatloop.algorithms.trigger_search import Triggers
    from threatloop.models.network import Network

NOTE = "triggers_unlearned"


class TriggerUnlearning(Repair):
    """Reverses triggers as `trigger_inversion` does and teaches the model to ignore those that are suspicious.

    A share of every batch of clean records gets such a trigger and keeps its label. A model without a suspicious
    trigger is left as it is; the note ``triggers_unlearned`` names the classes. What inversion cannot find, this cannot
    repair. Costs the search (see there) and fine-tuning.

    Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019, "Neural Cleanse: Identifying and Mitigating Backdoor Attacks in
    Neural Networks", IEEE S&P, section VI-B. There, one pass over a tenth of the training data suffices; the own
    records here are few, so it is half of the recipe's epochs.

    Attributes:
        share: of records that get a trigger, in (0, 1].
        epochs: of fine-tuning; None for half of the recipe's, at least 10.
        steps: of the search.
        batch: clean records per step of the search.
        success: share of records that a patch must flip.
        threshold: anomaly index above which a trigger is unlearned.
        references: honest models, where there are fewer than five classes.

    Raises:
        NotAssessable: records that cannot be changed by small steps, or own records of one class only.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Trigger unlearning (Neural Cleanse)",
        stage=Stage.MODEL,
        modalities=frozenset({"image", "tabular"}),
        paper="Wang et al. 2019, Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks, IEEE "
        "S&P, section VI-B",
        atlas=("AML.M0008",),
    )

    share: float = Field(default=0.2, gt=0, le=1)
    epochs: int | None = Field(default=None, ge=1)
    steps: int = Field(default=500, ge=1)
    batch: int = Field(default=32, ge=1)
    success: float = Field(default=0.99, gt=0, le=1)
    threshold: float = Field(default=2.0, gt=0)
    references: int = Field(default=5, ge=2)

    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:
        from threatloop.algorithms.finetune import finetune, trainable
        from threatloop.algorithms.repairing import hastened
        from threatloop.algorithms.trigger_evidence import Effort, evidence
        from threatloop.models.network import dump

        effort = Effort(self.steps, self.batch, self.success, self.references)
        triggers, index = evidence(model, own, training, streams, effort)
        suspects = [label for label, value in enumerate(index) if value > self.threshold]
        if not suspects:
            return model
        network = trainable(training, model)
        recipe = hastened(training.recipe, 1.0, self.epochs)
        finetune(network, own, recipe, streams, self._loss(network, triggers, suspects, streams))
        return dump(network, model.architecture, model.schema, {**model.notes, NOTE: suspects})

    def _loss(self, network: Network, triggers: Triggers, suspects: list[int], streams: Streams) -> Loss:
        from torch.nn.functional import cross_entropy

        rng = streams.numpy("stamped")

        def loss(x: torch.Tensor, y: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            x = x.clone()
            count = max(1, round(self.share * len(x)))
            for label in suspects:
                rows = rng.choice(len(x), count, replace=False)
                x[rows] = triggers.stamped(x[rows], label)
            return cross_entropy(network(x), y)

        return loss
