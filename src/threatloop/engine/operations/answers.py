"""What a large model says of records, read once for all tasks that ask it the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from threatloop.core.assets import Evidence
from threatloop.core.service import Responder
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.models.language.responder import LanguageResponder
from threatloop.models.responder import responder_of

ANSWERS = "answers"
"""The input with answers of whoever is asked."""
REFERENCE_ANSWERS = "answers_of_reference"
"""The input with answers of the public model that he was tuned from."""


def answers(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The records and the answers of a model that stands behind nothing."""
    data = inputs["data"].value
    asked = responder_of(inputs["model"].value, task.config["device"], allow_code=bool(task.local.get("allow_code")))
    return Product(Evidence({"x": data.x, "answers": asked.log_probs(data.x)}, {}))


def told(responder: Responder, inputs: Mapping[str, Product], name: str = ANSWERS) -> Responder:
    """The responder, which need not read again what the plan had it read before."""
    if name not in inputs or not isinstance(responder, LanguageResponder):
        return responder
    known = inputs[name].value.arrays
    rows = {record.tobytes(): answer for record, answer in zip(known["x"], known["answers"], strict=True)}
    return replace(responder, told=rows)
