"""Approximate unlearning: on the records to be forgotten the model learns to answer like one that never saw them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.forgetting import Unlearning
from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.finetune import Loss
    from threatloop.models.network import Network


class DistilledUnlearning(Unlearning):
    """Goes on from the model with two teachers: itself on what it keeps, a stranger on what it forgets.

    The stranger is trained by the victim's recipe on a share of the kept records. The paper's has random weights, and
    answers that are unlike those of any trained model betray what was forgotten just as well: a stranger that knows the
    task answers as models do that never saw the records. Costs ``stranger`` trainings and ``epochs`` passes.

    Chundawat, Tarun, Mandal, Kankanhalli 2023, "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks using
    an Incompetent Teacher", arXiv 2205.08096, section 4.

    Attributes:
        share: of the own records, drawn at random in each seed, in (0, 1).
        records: ids of the records to forget (their numbers in the data as it was read), instead of a share.
        stranger: share of the kept records that the stranger is trained on, in (0, 1].
        epochs: passes over the kept records.

    Raises:
        NotAssessable: nothing would be left to keep.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Unlearning by distillation",
        stage=Stage.MODEL,
        modalities=frozenset({"image", "tabular"}),
        paper="Chundawat, Tarun, Mandal, Kankanhalli 2023, Can Bad Teaching Induce Forgetting?, arXiv 2205.08096, "
        "section 4",
    )

    stranger: float = Field(default=0.5, gt=0, le=1)
    epochs: int = Field(default=5, ge=1)

    def forget(self, model: Model, kept: Dataset, gone: Dataset, training: Training, streams: Streams) -> Model:
        from threatloop.algorithms.finetune import finetune, trainable
        from threatloop.models.network import dump

        some = streams.numpy("stranger").permutation(len(kept))[: math.ceil(self.stranger * len(kept))]
        stranger = training.fit(kept.take(np.sort(some)), streams.child("stranger"))
        network = trainable(training, model)
        recipe = training.recipe.model_copy(update={"epochs": self.epochs})
        loss = self._loss(network, model, stranger, kept, gone, training, streams)
        finetune(network, kept, recipe, streams, loss)
        return dump(network, model.architecture, model.schema, model.notes)

    def _loss(
        self,
        network: Network,
        model: Model,
        stranger: Model,
        kept: Dataset,
        gone: Dataset,
        training: Training,
        streams: Streams,
    ) -> Loss:
        import torch
        from torch.nn.functional import kl_div, log_softmax

        from threatloop.algorithms.finetune import encoded

        known = torch.from_numpy(training.serve(model).log_probs(kept.x))
        strange = torch.from_numpy(training.serve(stranger).log_probs(gone.x))
        x_gone, rng = encoded(gone), streams.numpy("gone")

        def loss(x: torch.Tensor, _: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
            rows = torch.from_numpy(rng.integers(len(gone), size=len(x)))
            both = torch.cat([x, x_gone[rows].to(x.device)])
            wanted = torch.cat([known[at], strange[rows]]).to(x.device)
            return kl_div(log_softmax(network(both), 1), wanted, reduction="batchmean", log_target=True)

        return loss
