"""The honest victim, shrunk until its clean accuracy is that of a poisoned one: what is left of a poison's effect on a
later attack is then no matter of accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from threatloop.algorithms.matching import Effort, Search
from threatloop.algorithms.training import UserTraining
from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Registration
from threatloop.core.training import Training
from threatloop.engine.operations.protect import owner_of
from threatloop.engine.operations.serve import defences_of
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.models.responder import local_service
from threatloop.scenario.lifecycle import Lifecycle


class Shortened(TrainingDefence):
    """The victim's own training with less effort, as part of its lifecycle: gate and sanitisers choose the same records
    as ever, and other defences train as they do, for as long as they are left.

    Attributes:
        epochs: passes over the records.
        rate: of the learning rate.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Shortened training",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular", "text"}),
        paper="",
    )

    epochs: int
    rate: float

    def applied(self, training: Training) -> Training:
        """The shorter training.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        if isinstance(training, UserTraining):
            raise NotAssessable(f"{training.function} trains by a recipe of its own, which cannot be shortened")
        recipe = training.recipe
        less = {"epochs": self.epochs, "learning_rate": self.rate * recipe.learning_rate}
        return training.with_recipe(recipe.model_copy(update=less))


def match(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The honest victim with as many right answers on ``nonmembers`` as the poisoned one, to half a point.

    Inputs: those of ``train``, the victims ``poisoned`` and ``honest`` that came of it, and ``nonmembers``. Facts:
    those of ``honest``, and ``matched``: the three accuracies, the effort, and how many trainings the search took.

    The records stay those of the honest victim, so that whoever is graded as a member was trained on, as often as
    everybody else; see `Search` for what is made smaller instead. Accuracy is that of the bare models.

    Raises:
        NotAssessable: no effort matches, the training cannot be shortened, or accuracy means nothing here.
    """
    data: Dataset = inputs["nonmembers"].value
    honest: Model = inputs["honest"].value
    wanted, full = (_right(inputs[name].value, data, task) for name in ("poisoned", "honest"))
    lifecycle, made = _lifecycle(task, inputs), {"last": honest}
    own = inputs["own"].value
    offers = [inputs[name].value for name in sorted(inputs) if name.startswith("contribution")]

    def trial(effort: Effort) -> int:
        shorter = Shortened(epochs=effort.epochs, rate=effort.rate)
        shrunk = Lifecycle(lifecycle.training, (shorter, *lifecycle.defences), lifecycle.registered)
        made["last"], _ = shrunk.run(own, offers, task.streams)
        return _right(made["last"], data, task)

    search = Search(trial, wanted, len(data), lifecycle.training.recipe.epochs)
    effort = search.found(full)
    accuracies = {"poisoned": wanted, "honest": full, "matched": search.seen.get(effort, full)}
    matched: dict[str, Any] = {name: right / len(data) for name, right in accuracies.items()}
    matched |= {"epochs": effort.epochs, "rate": effort.rate, "trainings": len(search.seen)}
    given = {name: inputs["honest"].facts[name] for name in ("gate", "decisions") if name in inputs["honest"].facts}
    return Product(made["last"], {**given, "matched": matched})


def _lifecycle(task: Task, inputs: Mapping[str, Product]) -> Lifecycle:
    registered: tuple[Registration, ...] = ()
    if "registered" in inputs:
        registered = (owner_of(task, inputs, inputs["registered"].value),)
    training = training_of(task.config["training"], task.local)
    return Lifecycle(training, defences_of(task.config["defences"]), registered)


def _right(model: Model, data: Dataset, task: Task) -> int:
    """Right answers of a bare model."""
    device = task.config["training"]["device"]
    service = local_service(model, device=device, allow_code=bool(task.local.get("allow_code")))
    answers = service.responder.log_probs(data.x)
    if answers.ndim != 2:
        raise NotAssessable("clean accuracy, which is to be matched, means nothing for such a model")
    return int(np.sum(answers.argmax(axis=1) == data.y))
