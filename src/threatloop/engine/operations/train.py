"""Models that the victim's lifecycle makes, that the user brought, and that the engine trains as a judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.catalogue import DEFENCES
from threatloop.core.endpoint import ENDPOINT
from threatloop.core.protection import Registration
from threatloop.core.recipe import Recipe
from threatloop.engine.operations.act import ARTEFACT_MARK
from threatloop.engine.operations.protect import owner_of
from threatloop.engine.products import Loaded, Product
from threatloop.engine.task import Task
from threatloop.models.language.bases import ADAPTED
from threatloop.scenario.lifecycle import Lifecycle


def train(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The victim's lifecycle over its own records and every contribution: gate, then train.

    Inputs: ``own``, ``contribution-1`` … in order of arrival, and ``registered`` (the mark owner's clean records) where
    there is a gate; ``start``, the model made of ``own``, where contributions are trained on afterwards. Facts:
    ``gate``, the decision on the last offer, and ``decisions`` on each.
    """
    lifecycle = Lifecycle(
        training_of(task.config["training"], task.local),
        tuple(DEFENCES.load(item["name"]).model_validate(item["parameters"]) for item in task.config["defences"]),
        _registered(task, inputs),
        Recipe.model_validate(task.config["tuning"]) if "tuning" in task.config else None,
    )
    own: Dataset = inputs["own"].value
    offers = [inputs[name].value for name in sorted(inputs) if name.startswith("contribution")]
    start = inputs["start"].value if "start" in inputs else None
    model, decisions = lifecycle.run(own, offers, task.streams, start)
    facts: dict[str, Any] = {
        "gate": "" if not decisions else "accepted" if decisions[-1].accepted else "refused",
        "decisions": [[d.accepted, d.p_value, d.reason] for d in decisions],
    }
    if "attack_artefact" in task.config:
        model = replace(model, notes={**model.notes, ARTEFACT_MARK: task.config["attack_artefact"]})
    return Product(model, facts)


def _registered(task: Task, inputs: Mapping[str, Product]) -> tuple[Registration, ...]:
    """The owner of the marked data deposits his key and his clean records with the gate."""
    if "registered" not in inputs:
        return ()
    return (owner_of(task, inputs, inputs["registered"].value),)


def given(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The model that the user brought: their architecture with their weights.

    Raises:
        InputError, Problems: the weights cannot be read, or do not fit the architecture or the data.
    """
    from threatloop.models.language.adapter_weights import read_adapter
    from threatloop.models.weights import read_model

    loaded: Loaded = inputs["data"].value
    architecture = Architecture.model_validate(task.config["architecture"])
    path = Path(task.local["weights"])
    if architecture.name == ADAPTED:
        return Product(read_adapter(path, architecture, loaded.data.schema))
    return Product(read_model(path, architecture, loaded.data.schema, allow_code=bool(task.local.get("allow_code"))))


def base(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The base model as it is: the victim's architecture without an adapter."""
    loaded: Loaded = inputs["data"].value
    return Product(Model(Architecture.model_validate(task.config["architecture"]), loaded.data.schema, {}))


def endpoint(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The model behind the user's endpoint, asked for its tensors' names, or tried for what it offers.

    Raises:
        EndpointError, InputError: it cannot be reached, has no such model, or is not described well enough.
    """
    from threatloop.models.remote import remote_model
    from threatloop.models.responder import remote_of

    loaded: Loaded = inputs["data"].value
    asked = ENDPOINT.validate_python(task.local["endpoint"])
    return Product(remote_of(remote_model(asked, loaded.data.schema)).named())


def fit(task: Task, inputs: Mapping[str, Product]) -> Product:
    """A model that the engine trains for its own use, such as the independent evaluator."""
    training = training_of(task.config["training"], task.local)
    return Product(training.fit(inputs["data"].value, task.streams.child("fit")))
