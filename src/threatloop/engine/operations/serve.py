"""The victim as it is served: its defences in front, its monitors beside it. For attacks and for judges."""
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.membership import mean_answers
from threatloop.algorithms.prompted import Prompted
from threatloop.algorithms.straight_through import through
from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Dataset, Model, Shadows
from threatloop.core.catalogue import DEFENCES
from threatloop.core.cover import Cover
from threatloop.core.defence import Defence
from threatloop.core.detection import Monitor
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.service import Labelling, Responder, voice_of
from threatloop.core.serving import InputFilter, Respond, Serving, draws_of
from threatloop.core.training import Training
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.modality.conversation import read, text_of
from threatloop.scenario.lifecycle import DefendedTraining
from threatloop.scenario.served import of_kind, served, serving_role

Filter = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
MOST_WATCHED = 20_000
"""Queries that a monitor looks at; what comes later is not."""
BENIGN = 40
"""Benign clients per seed that tell how many a monitor flags."""

Alarm = dict[str, Any]
"""``after`` how many queries a client was flagged (0: never), and how many of ``clients`` ``benign`` ones were; or the
``reason`` why nothing can be said."""


def defences_of(written: Sequence[Mapping[str, Any]]) -> tuple[Defence, ...]:
    """Defences from their catalogue names and parameters."""
    return tuple(DEFENCES.load(one["name"]).model_validate(one["parameters"]) for one in written)


@dataclass
class Front:
    """What stands between the victim and whoever asks it.

    Attributes:
        defences: serving, monitor, verification and inspection defences.
        own: the server's own records; None where no defence stands.
        strangers: records that nobody trained on, for benign clients that no monitor has seen.
        streams: of the server, the same for all tasks of a seed.
        asked: what the party behind this front has asked so far.
        informed: this party knows the defences, so that its gradients take account of what becomes of its input.
        cover: what this party hides its questions among; None where it does not.
        prompts: that conversations are answered behind, one for each deployment.
    """

    defences: tuple[Defence, ...] = ()
    own: Dataset | None = None
    strangers: Dataset | None = None
    streams: Streams = field(default_factory=lambda: Streams(0))
    asked: list[npt.NDArray[Any]] = field(default_factory=list)
    informed: bool = False
    cover: Cover | None = None
    prompts: tuple[str, ...] = ()

    @property
    def held(self) -> Dataset:
        """The server's own records, where a defence stands."""
        assert self.own is not None
        return self.own

    @classmethod
    def of(cls, task: Task, inputs: Mapping[str, Product]) -> Front:
        """The front that the plan gives a task."""
        texts = read(inputs["prompts"].value.x) if "prompts" in inputs else []
        prompts = tuple(text_of(one) for one in texts)
        if "serving" not in task.config:
            return cls(prompts=prompts)
        streams = task.streams.of_seed().child("server")
        informed = bool(task.config.get("informed"))
        strangers = inputs["strangers"].value if "strangers" in inputs else None
        held, standing = inputs["server"].value, defences_of(task.config["serving"])
        cover = Cover(inputs["cover"].value.x, task.streams.numpy("cover")) if task.config.get("mixing") else None
        return cls(standing, held, strangers, streams, informed=informed, cover=cover, prompts=prompts)

    @property
    def keeps_labels(self) -> bool:
        """Whether the likeliest class of every answer stays what it was."""
        return all(defence.keeps_labels for defence in of_kind(self.defences, Serving))

    def before(self, responder: Responder) -> Responder:
        """The responder behind its serving defences, and its prompts in front of all."""
        behind = responder if self.own is None else served(responder, self.defences, self.own, self.streams)
        return Prompted(behind, self.prompts) if self.prompts else behind

    def watched(self, responder: Responder) -> Responder:
        """The same, with every query remembered for the monitors."""
        behind = self.before(responder)
        if self.informed and self.own is not None:
            behind = _Informed(behind, self._filters(responder, self.own), self.own.schema)
        return _Watched(behind, self.asked, self.cover) if of_kind(self.defences, Monitor) else behind

    def _filters(self, responder: Responder, own: Dataset) -> tuple[Filter, ...]:
        """What becomes of an input before the model reads it, in order."""
        found, serving = [], of_kind(self.defences, Serving)
        for i, defence in enumerate(serving):
            if isinstance(defence, InputFilter):
                streams = self.streams.child(serving_role(i, len(serving)))
                found.append(defence.cleaned(own, streams, draws_of(responder.log_probs, own, streams.child("again"))))
        return tuple(found)

    def alarms(self, responder: Responder) -> dict[str, Alarm]:
        """What each monitor says of the party behind this front, and of benign clients."""
        monitors = of_kind(self.defences, Monitor)
        if not monitors or not self.asked or self.own is None:
            return {}
        queries, respond = _joined(self.asked)[:MOST_WATCHED], self.before(responder).log_probs
        return {DEFENCES.name_of(type(monitor)): self._alarm(monitor, queries, respond) for monitor in monitors}

    def _alarm(self, monitor: Monitor, queries: npt.NDArray[Any], respond: Respond) -> Alarm:
        streams = self.streams.child(f"monitor-{DEFENCES.name_of(type(monitor))}")
        clients = [queries, *self._benign(monitor, len(queries), streams.numpy("strangers"))]
        try:
            found = monitor.flags(clients, respond, self.held, streams)
        except NotAssessable as reason:
            return {"reason": str(reason)}
        others = [after is not None for after in found[1:]]
        return {"after": found[0] or 0, "benign": sum(others), "clients": len(others)}

    def _benign(self, monitor: Monitor, n: int, rng: np.random.Generator) -> Iterator[npt.NDArray[Any]]:
        """Clients who ask about records that the monitor never saw; all of them before any comes again."""
        if self.strangers is None:
            return
        for _ in range(BENIGN):
            size = monitor.usual(n, rng)
            orders = [rng.permutation(len(self.strangers)) for _ in range(-(-size // len(self.strangers)))]
            yield self.strangers.x[np.concatenate(orders)[:size]]


def _joined(asked: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """All queries in one format; images may have been asked as bytes and as floats in [0, 1]."""
    if len({part.dtype for part in asked}) == 1:
        return np.concatenate(asked)
    return np.concatenate([part / np.float32(255) if part.dtype == np.uint8 else part for part in asked])


def _labelled(responder: Responder, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return responder.labelled(x) if isinstance(responder, Labelling) else responder.log_probs(x)


@dataclass(frozen=True)
class _Informed:
    """A responder whose gradients are taken where the filters put the input, as if these changed nothing."""

    inner: Responder
    filters: tuple[Filter, ...]
    schema: Schema

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return self.inner.log_probs(x)

    def labelled(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return _labelled(self.inner, x)

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        return voice_of(self.inner).replies(x, tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        return voice_of(self.inner).next_log_probs(x, bias)

    def differentiable(self) -> Any:
        return through(self.inner.differentiable(), self.filters, self.schema)

    def model(self) -> Model:
        return self.inner.model()


@dataclass(frozen=True)
class _Watched:
    """A responder that remembers what it was asked, cover included; nobody reads the answers to that."""

    inner: Responder
    asked: list[npt.NDArray[Any]]
    cover: Cover | None = None

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self._remember(x)
        return self.inner.log_probs(x)

    def labelled(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self._remember(x)
        return _labelled(self.inner, x)

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        self._remember(x)
        return voice_of(self.inner).replies(x, tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        self._remember(x)
        return voice_of(self.inner).next_log_probs(x, bias)

    def _remember(self, x: npt.NDArray[Any]) -> None:
        if sum(map(len, self.asked)) < MOST_WATCHED:
            self.asked.append(np.array((x if self.cover is None else self.cover.among(x))[:MOST_WATCHED]))

    def differentiable(self) -> Any:
        return self.inner.differentiable()

    def model(self) -> Model:
        return self.inner.model()


def imitated(task: Task, inputs: Mapping[str, Product]) -> Training:
    """The victim's training as the attacker can imitate it: with its defences where he knows them."""
    plain = training_of(task.config["training"], task.local)
    if "imitated" not in task.config:
        return plain
    held: Dataset = inputs["imitator"].value
    return DefendedTraining(plain, defences_of(task.config["imitated"]), held, task.streams.child("imitate"))


def answered_alike(shadows: Shadows, candidates: Dataset, task: Task, inputs: Mapping[str, Product]) -> Shadows:
    """The shadow models with their answers as the victim would serve them, where the attacker knows how.

    Who averages the victim's answers averages as many of theirs.
    """
    if "imitated" not in task.config:
        return shadows
    training, times = imitated(task, inputs), int(task.config["attack"]["parameters"].get("expectation", 1))
    answers = [mean_answers(training.serve(model).log_probs, candidates.x, times) for model in shadows.models]
    return replace(shadows, log_probs=np.stack(answers))
