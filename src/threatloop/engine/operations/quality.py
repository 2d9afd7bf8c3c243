"""How well the victim fits: accuracy on its members and on the test set, or loss where accuracy means nothing."""

from __future__ import annotations

from collections.abc import Mapping

from threatloop import modality
from threatloop.core.assets import Dataset, Model
from threatloop.core.endpoint import REMOTE
from threatloop.core.metric import Graded, Reading
from threatloop.engine.operations.serve import Front
from threatloop.engine.operations.timing import seconds_per_thousand
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.models.responder import local_service

MOST_RECORDS = 5000


def quality(task: Task, inputs: Mapping[str, Product]) -> Product:
    """Readings ``train_accuracy``, ``test_accuracy``, ``train_loss`` and ``test_loss`` of a victim as it is served.

    Those of training are missing where nobody says what it was trained on. The fact ``answer_seconds`` is what 1,000 of
    its answers take; None of a remote model, which is not asked for it.
    """
    model: Model = inputs["victim"].value
    bare = local_service(model, device=task.config["device"], allow_code=bool(task.local.get("allow_code")))
    responder, readings = Front.of(task, inputs).before(bare.responder), []
    for name, role in (("train", "members"), ("test", "test")):
        if role not in inputs:
            continue
        data: Dataset = inputs[role].value
        data = data.take(slice(0, MOST_RECORDS))
        answers = responder.log_probs(data.x)
        loss = modality.of(data.schema).losses(answers, data).mean()
        readings.append(Reading(f"{name}_loss", float(loss), len(data)))
        if answers.ndim == 2:
            accuracy = (answers.argmax(axis=1) == data.y).mean()
            readings.append(Reading(f"{name}_accuracy", float(accuracy), len(data)))
    # The readings are taken first: a timing must not shift the draws of answers at random.
    remote = model.architecture.name in REMOTE
    delay = None if remote else seconds_per_thousand(responder, inputs["test"].value)
    return Product(Graded(tuple(readings)), {"answer_seconds": delay})
