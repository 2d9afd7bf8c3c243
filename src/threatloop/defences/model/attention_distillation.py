"""Fine-tuning in the course of which hidden layers imitate those of a teacher that was fine-tuned before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Repair, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.finetune import Loss
    from threatloop.models.network import Network

FACTORS = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Of the recipe's learning rate."""


class AttentionDistillation(Repair):
    """Fine-tunes a copy on clean records as the teacher, then the model itself with the teacher's attention as a goal.

    Attention is where a layer's activations are large, as a vector of length 1: in convolutional layers over the
    places of the map, as in the paper, elsewhere over the neurons; the goal is the mean over the hidden layers. Takes
    the highest of 1, .7, .5, .35 and .25 times the recipe's learning rate at which held-out accuracy recovers. Costs
    one to five times a training on the defender's own records, and about two points of accuracy.

    Li, Lyu, Koren, Lyu, Li, Ma 2021, "Neural Attention Distillation: Erasing Backdoor Triggers from Deep Neural
    Networks", arXiv 2101.05930, section 3.

    Attributes:
        weight: of the attention beside the cross-entropy, ≥ 0.
        held_out: share of the own records that judge the accuracy, in (0, 1).
        epochs: of each of the two fine-tunings; None for half of the recipe's, at least 10.

    Raises:
        NotAssessable: the network has no hidden neurons, or there are too few own records.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Neural attention distillation",
        stage=Stage.MODEL,
        modalities=frozenset({"image", "tabular"}),
        paper="Li, Lyu, Koren, Lyu, Li, Ma 2021, Neural Attention Distillation, arXiv 2101.05930, section 3",
        atlas=("AML.M0008",),
    )

    weight: float = Field(default=100.0, ge=0)
    held_out: float = Field(default=0.2, gt=0, lt=1)
    epochs: int | None = Field(default=None, ge=1)

    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:
        from threatloop.algorithms.finetune import finetune, trainable
        from threatloop.algorithms.repairing import Held, hastened, strongest

        held = Held.of(own, self.held_out, streams)

        def work(network: Network, factor: float) -> None:
            recipe = hastened(training.recipe, factor, self.epochs)
            teacher = trainable(training, model)
            finetune(teacher, held.rest, recipe, streams.child("teacher"))
            teacher.requires_grad_(False)
            finetune(network, held.rest, recipe, streams, self._loss(network, teacher, held.rest))

        return strongest(model, training, held, FACTORS, work)

    def _loss(self, network: Network, teacher: Network, data: Dataset) -> Loss:
        from torch.nn.functional import cross_entropy

        from threatloop.algorithms.finetune import encoded
        from threatloop.algorithms.neurons import readers

        some = encoded(data.take(slice(2)))
        students, teachers = readers(network.eval(), some), readers(teacher, some)

        def loss(x: torch.Tensor, y: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            answers, own = _attentions(network, students, x)
            goals = _attentions(teacher, teachers, x)[1]
            apart = [(a - b).pow(2).sum(1).mean() for a, b in zip(own, goals, strict=True)]
            return cross_entropy(answers, y) + self.weight * sum(apart) / len(apart)

        return loss


def _attentions(network: Network, layers: list[Any], x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    from threatloop.algorithms.neurons import attention, watching

    found: dict[int, torch.Tensor] = {}

    def seen(i: int, read: torch.Tensor) -> None:
        found[i] = attention(read)

    with watching([one.layer for one in layers], seen):
        answers = network(x)
    return answers, [found[i] for i in range(len(layers))]
