"""Pruning of neurons that clean records leave dormant, then fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Repair, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

if TYPE_CHECKING:
    from threatloop.algorithms.repairing import Held
    from threatloop.models.network import Network

FACTORS = (4.0, 2.0, 1.0)
"""Of the recipe's learning rate."""


class FinePruning(Repair):
    """Switches off the neurons that clean records activate least, until held-out accuracy falls, then fine-tunes.

    Neurons are those that the last convolution feeds (in a network without convolutions, the last hidden layer); they
    stay off while the rest is trained on clean records. The fine-tuning takes the highest of 4, 2 and 1 times the
    recipe's learning rate at which held-out accuracy recovers: at the recipe's own rate, which is the paper's choice,
    small fully connected networks keep their backdoor. Costs half of a training on the defender's own records, up to
    three times, and at most two points of held-out accuracy.

    Liu, Dolan-Gavitt, Garg 2018, "Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks", arXiv
    1805.12185, section 3.

    Attributes:
        tolerance: held-out accuracy that pruning alone may cost, in [0, 1).
        held_out: share of the own records that judge the accuracy, in (0, 1).
        epochs: of fine-tuning; None for half of the recipe's, at least 10.

    Raises:
        NotAssessable: the network has no hidden neurons, or there are too few own records.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Fine-pruning",
        stage=Stage.MODEL,
        modalities=frozenset({"image", "tabular"}),
        paper="Liu, Dolan-Gavitt, Garg 2018, Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural "
        "Networks, arXiv 1805.12185, section 3",
        atlas=("AML.M0008",),
    )

    tolerance: float = Field(default=0.1, ge=0, lt=1)
    held_out: float = Field(default=0.2, gt=0, lt=1)
    epochs: int | None = Field(default=None, ge=1)

    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:
        from threatloop.algorithms.finetune import finetune
        from threatloop.algorithms.repairing import Held, hastened, strongest

        held = Held.of(own, self.held_out, streams)

        def work(network: Network, factor: float) -> None:
            reader, dormant = self._pruned(network, held)
            recipe = hastened(training.recipe, factor, self.epochs)
            finetune(network, held.rest, recipe, streams, after=lambda: reader.silence(dormant))

        return strongest(model, training, held, FACTORS, work)

    def _pruned(self, network: Network, held: Held) -> tuple[Any, Any]:
        """Switch neurons off; returns the layer that no longer reads them, and which they are."""
        from threatloop.algorithms.finetune import encoded
        from threatloop.algorithms.neurons import activity, behind_convolutions, readers

        x = encoded(held.rest)
        reader = behind_convolutions(readers(network, x[:2]))
        order = activity(network, [reader], x)[0].argsort()
        enough = held.accuracy(network) - self.tolerance
        return reader, reader.prune(order, lambda: held.accuracy(network) >= enough)
