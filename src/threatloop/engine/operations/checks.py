"""Checks of the audit itself: is the split exchangeable, and does a membership probe find a leak that is certain?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.algorithms.no_query import separation
from threatloop.core.access import Capability, Ledger
from threatloop.core.assets import Dataset, Evidence, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.metric import Graded, Reading
from threatloop.core.service import Responder
from threatloop.engine.operations.act import attack_of, resources_of
from threatloop.engine.operations.answers import told
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.models.responder import local_service
from threatloop.numerics.intervals import Interval, auc_interval
from threatloop.numerics.roc import auc
from threatloop.numerics.undefined import Undefined

NO_QUERY = "membership.auc_no_query"
PLANTED = "membership.auc_planted_leak"
SHADOW_SIZE = "membership.shadow_size"
TEMPERATURE = 3.0
"""By how much the planted leak flattens the answers on all other candidates."""


def exchangeability(task: Task, inputs: Mapping[str, Product]) -> Product:
    """AUC of a classifier of membership that never asks the model; .5 where the split is exchangeable."""
    candidates: Dataset = inputs["candidates"].value
    members: Dataset = inputs["members"].value
    found = separation(candidates, np.isin(candidates.ids, members.ids), task.streams.numpy("no-query"))
    if isinstance(found, Undefined):
        return Product(Graded((Reading(NO_QUERY, None, len(candidates), undefined=found.reason),)))
    return Product(Graded((Reading(NO_QUERY, found.auc, len(candidates), found.low, found.high),)))


def planted_leak(task: Task, inputs: Mapping[str, Product]) -> Product:
    """AUC of a probe on the victim's answers after it was made unsure of a random half of the candidates."""
    probe = attack_of(task.config["attack"])
    victim: Model = inputs["source"].value
    candidates: Dataset = inputs["candidates"].value
    planted = task.streams.numpy("planted").random(len(candidates)) < 0.5
    service = local_service(victim, device=task.config["device"], allow_code=bool(task.local.get("allow_code")))
    memory, others = (frozenset(_bytes(record) for record in candidates.x[rows]) for rows in (planted, ~planted))
    unseen = others - memory if Capability.SCORES not in probe.required() else None
    kind = modality.of(candidates.schema)
    leak = _Leaky(told(service.responder, inputs), memory, unseen, lambda answers: kind.flattened(answers, TEMPERATURE))
    leaky = replace(service, responder=leak, ledger=Ledger())
    bench = Bench(task.streams, resources_of(probe, task, inputs))
    evidence: Evidence = probe.run(leaky, bench).result
    asked = np.isfinite(evidence.arrays["score"])
    scores, planted = evidence.arrays["score"][asked], planted[asked]
    area, inside = auc(scores, planted), auc_interval(scores, planted)
    if isinstance(area, Undefined) or not isinstance(inside, Interval):
        return Product(Graded((Reading(PLANTED, None, len(scores), undefined=str(area)),)))
    readings = [Reading(PLANTED, area, len(scores), inside.low, inside.high)]
    if Resource.SHADOWS in bench.resources:
        masks, members = bench.resources[Resource.SHADOWS].masks, inputs["members"].value
        readings.append(Reading(SHADOW_SIZE, float(masks.sum(axis=1).mean()) / len(members), len(masks)))
    return Product(Graded(tuple(readings)))


@dataclass(frozen=True)
class _Leaky:
    """A responder that is much surer of some records than of the others, which it answers flattened.

    Raising the planted answers instead would not do: beyond what shadow models show for members, a likelihood ratio
    of two Gaussians may fall again. Who sees labels alone is told another label for the other candidates (``denied``),
    since flattening leaves labels as they are.
    """

    inner: Responder
    planted: frozenset[bytes]
    denied: frozenset[bytes] | None
    flatten: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        answers = self.inner.log_probs(x)
        if self.denied is not None:
            wrong = np.array([_bytes(record) in self.denied for record in x])
            answers[wrong] = _second(answers[wrong])
            return answers
        unsure = np.array([_bytes(record) not in self.planted for record in x])
        answers[unsure] = self.flatten(answers[unsure])
        return answers

    def differentiable(self) -> Any:
        return self.inner.differentiable()

    def model(self) -> Model:
        return self.inner.model()


def _bytes(record: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(record).tobytes()


def _second(log_probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The answers with the two likeliest classes exchanged."""
    order = np.argsort(log_probs, axis=-1)
    answers = log_probs.copy()
    for one, other in ((-1, -2), (-2, -1)):
        values = np.take_along_axis(log_probs, order[..., other, None], axis=-1)
        np.put_along_axis(answers, order[..., one, None], values, axis=-1)
    return answers
