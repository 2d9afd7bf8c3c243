"""Black-box model inversion: a network that turns a model's scores back into records."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.fallback import or_from_labels
from threatloop.algorithms.queries import draw
from threatloop.algorithms.recovered import recovered
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS
from threatloop.core.defence import Adaptation
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Step, Workload


class InversionNetwork(ModelToData):
    """Learns the way back from scores to records on the attacker's own, and follows it from each class's scores.

    Threat model: black box. The attacker sees class probabilities (of the ``top`` classes, where the service shows no
    more) and has records of the same kind from elsewhere. He seeks what the training data of each class look like.

    A decoder learns to rebuild his records from the victim's log-scores of them: convolutional for images, fully
    connected for tables. Then it rebuilds the records behind the scores that the victim gives to the share
    ``confident`` of his records of which it is surest, class by class. The paper inverts probabilities; log-scores
    keep what a confident model rounds to 0. The scores of members, which the paper inverts too, are not his to see.

    Returns ``per_class`` valid records per class, labelled with it, ids −1. Asks ``queries`` records, at most all that
    he holds; with less budget the network learns from fewer. Notes ``loss_first`` and ``loss_last`` (mean squared
    error in units of the data's variance).

    Yang, Zhang, Chang, Liang 2019, "Neural Network Inversion in Adversarial Setting via Background Knowledge
    Alignment", arXiv 1902.08552, section 4.

    Attributes:
        per_class: records per class.
        queries: most records to ask about.
        top: scores per answer that are used, the largest first; None for all.
        confident: share of a class's records whose scores are inverted, in (0, 1].
        generator_steps: optimiser steps of 64 records.
        width: hidden units of the decoder, or 16 times its filters at full resolution.

    Raises:
        InputError: the attacker holds no records.
        NotAssessable: records of this modality cannot be changed by small steps, or no query is left.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Inversion network (scores to records)",
        direction=Direction.MODEL_TO_DATA,
        knowledge="class probabilities; records of the same kind, none of them a member",
        modalities=frozenset({"image", "tabular"}),
        metrics=("inversion",),
        paper="Yang, Zhang, Chang, Liang 2019, Neural Network Inversion in Adversarial Setting via Background "
        "Knowledge Alignment, arXiv 1902.08552, section 4",
        baseline="prior_guess",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.QUERY_POOL}),
        atlas=("AML.T0024.001",),
    )

    per_class: int = Field(default=4, ge=1)
    queries: int = Field(default=2000, ge=1)
    top: int | None = Field(default=None, ge=1)
    confident: float = Field(default=0.25, gt=0, le=1)
    generator_steps: int = Field(default=500, ge=1)
    width: int = Field(default=128, ge=8)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """The same, since it learns from answers as they are served; and a walk on labels with its own budget."""
        if Adaptation.LABELS not in to:
            return super().adapted(to)
        own = {"queries": ATTACKS.load("label_only_inversion").model_fields["queries"].default}
        return or_from_labels(self, (self,), to, "label_only_inversion", own)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """The decoder's training; one answer per record of the pool."""
        return {"training_passes": 64.0 * self.generator_steps, "scoring_passes": float(self.queries)}

    def recover(self, service: Service, bench: Bench) -> Dataset:
        """The recovered records."""
        pool, left = bench.data(Resource.QUERY_POOL), service.ledger.left
        if not len(pool):
            raise InputError("the pool of queries is empty; it needs at least one record")
        modality.of(pool.schema).space(pool.schema)  # says why, where the modality has no continuous records
        asked = draw(pool, min(self.queries, len(pool)), bench.streams.numpy("queries"))
        allowed = len(asked) if left is None else left
        if allowed <= 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        within, beyond = asked.take(slice(allowed)), asked.take(slice(allowed, None))
        found = self._inverted(within, service, bench)
        bench.progress.keep(found)
        if len(beyond):
            service.log_probs(beyond.x)
        return found

    def _inverted(self, asked: Dataset, service: Service, bench: Bench) -> Dataset:
        from threatloop.algorithms.score_inverter import ScoreInverter, prototypes, truncated

        labels = np.repeat(np.arange(asked.n_classes), self.per_class)
        scores = truncated(service.log_probs(asked.x), self.top)
        streams = bench.streams.child("decoder")
        network = ScoreInverter(asked, scores, self.generator_steps, self.width, streams)
        for name, loss in zip(("loss_first", "loss_last"), network.loss, strict=True):
            bench.progress.note(name, loss)
        typical = prototypes(scores, asked.y, self.per_class, self.confident, bench.streams.numpy("prototypes"))
        return recovered(network(typical), labels, asked)
