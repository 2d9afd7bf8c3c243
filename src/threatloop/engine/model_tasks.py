"""The models of one target in one seed: victims of every lifecycle, judges, surrogates and shadows."""
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threatloop.core.bench import Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.defence import Defence, Repair, Sanitiser, TrainingDefence
from threatloop.core.digests import digest_file
from threatloop.core.errors import InputError
from threatloop.core.protection import IngestGate
from threatloop.core.retrieval import StoreDefence
from threatloop.core.seeds import Streams
from threatloop.core.step import Step
from threatloop.engine.operations.store import DOCUMENTS, ENCODER
from threatloop.engine.target_reading import endpoint_task
from threatloop.engine.task import Ref
from threatloop.engine.task_book import TaskBook, written
from threatloop.models.language.adapter_config import digest_of

SHADOW_CHUNK = {"mlp": 32}
"""Shadow models per task, for architectures that are trained many at a time; the others share out better singly."""
OTHER_CHUNK = 1
TRIALS = 5
"""Trainings, most of them short, that it takes to match another model's accuracy: about one in full."""
SHAPES_THE_MODEL = (Sanitiser, TrainingDefence, Repair)


class ModelTasks(TaskBook):
    """Tasks that yield models."""

    @property
    def lifecycle(self) -> list[Defence]:
        """The defences that whoever imitates the victim's training must imitate too."""
        return [defence for defence in self.defences if isinstance(defence, SHAPES_THE_MODEL)]

    def victim(
        self, offers: Sequence[Ref], poison: Step[Any] | None = None, *, gated: bool = True, own: Ref | None = None
    ) -> Ref:
        """The model that the victim's lifecycle makes of its own records and these offers.

        ``poison`` marks the weights as an attack's artefact. ``gated`` False: nobody attacks and nothing is offered
        that a gate would see, so that its false alarms do not reach scenarios that have no contribution. ``own``
        stands in for the victim's own records.
        """
        config, inputs, modules = self._collected(offers, gated, own)
        if poison is not None:
            config["attack_artefact"] = ATTACKS.name_of(type(poison))
        tuning = self.facts.target.spec.tuning
        if tuning is None or not offers:
            records = self._share("own") + sum(self._share("contribution") for _ in offers)
            return self._add("train", config, inputs, self.streams, "train victim", modules, self._passes(records))
        config["tuning"] = tuning.model_dump(mode="json")
        inputs["start"] = self.victim([], gated=False, own=own)
        work = {"training_passes": float(tuning.epochs * self._share("contribution") * len(offers))}
        return self._add("train", config, inputs, self.streams, "tune victim", modules, work)

    def matched(self, poisoned: Ref, offers: Sequence[Ref]) -> Ref:
        """The victim that is made of these honest offers, shrunk to the clean accuracy of a poisoned one."""
        config, inputs, modules = self._collected(offers, gated=True)
        inputs |= {"poisoned": poisoned, "honest": self.victim(offers), "nonmembers": self.role("nonmembers")}
        records = self._share("own") + sum(self._share("contribution") for _ in offers)
        work = self._passes(records)
        work["scoring_passes"] = float(TRIALS * self._share("members"))
        return self._add("match", config, inputs, self.streams, "match accuracy", modules, work)

    def _collected(
        self, offers: Sequence[Ref], gated: bool, own: Ref | None = None
    ) -> tuple[dict[str, Any], dict[str, Ref], list[str]]:
        """Configuration, inputs and modules of a lifecycle over the victim's own records and these offers."""
        inputs = {
            "own": own or self.role("own"),
            **{f"contribution-{i}": offer for i, offer in enumerate(offers, start=1)},
        }
        gates = [defence for defence in self.defences if gated and isinstance(defence, IngestGate)]
        defences = [*gates, *self.lifecycle]
        modules = [type(defence).__module__ for defence in defences]
        config: dict[str, Any] = {"training": self._training(), "defences": [written(d, DEFENCES) for d in defences]}
        if gates:
            inputs["registered"] = self.role("contribution")
            self._own(config, inputs, modules)
        return config, inputs, modules

    def honest(self) -> Ref:
        """The victim that nobody attacked: the user's own weights or endpoint where they brought one."""
        spec = self.facts.target.spec
        if spec.endpoint is not None:
            return self._served()
        if spec.weights is None:
            return self.victim([self.role("contribution")], gated=False)
        path = self.audit.base / Path(spec.weights).expanduser()
        config = {"architecture": self.facts.architecture.model_dump(mode="json"), "weights": self._weights(path)}
        return self._add(
            "given",
            config,
            {"data": Ref(self.facts.load.key)},
            Streams(self.audit.spec.seed, ("given",)),
            "read weights",
            local={"weights": str(path)},
        )

    def _weights(self, path: Path) -> str:
        """Digest of the weights that the user brought."""
        at = f"targets.{self.facts.target.name}.weights"
        if self.facts.base is not None:
            try:
                return digest_of(Path(str(self.facts.target.spec.weights)), self.facts.base.digest, self.audit.base)
            except InputError as error:
                raise InputError(f"{at}: {error}") from None
        if path.is_dir():
            name = self.facts.architecture.name
            raise InputError(
                f"{at}: {path} is a folder; those of {name} are one file, .safetensors or .pt (an adapter's folder "
                "belongs to the model causal_lm)"
            )
        if not path.is_file():
            raise InputError(f"{at}: no file {path}; give .safetensors or .pt")
        return digest_file(path)

    def _served(self) -> Ref:
        """The model that the user's endpoint serves."""
        task = endpoint_task(self.facts.target, self.facts.load, self.audit)
        self.tasks.setdefault(task.key, task)
        return Ref(task.key)

    def fit(self, data: Ref, role: str, records: int) -> Ref:
        """A model that the engine trains for its own use."""
        config = {"training": self._training()}
        streams = self.streams.child(role)
        return self._add("fit", config, {"data": data}, streams, f"train {role}", (), self._passes(records))

    def _provide_store(
        self, attack: Step[Any], model: Ref, config: dict[str, Any], inputs: dict[str, Ref], modules: list[str]
    ) -> None:
        """A retrieval store beside a model, its encoder and the defences of what lies in it, for who took one."""
        if Resource.STORE not in attack.info.resources:
            return
        standing = [defence for defence in self.defences if isinstance(defence, StoreDefence)]
        encoder = self.facts.target.spec.retrieval.encoder
        config["store"] = {"encoder": encoder, "defences": [written(one, DEFENCES) for one in standing]}
        inputs |= {DOCUMENTS: self.stored(attack), ENCODER: model}
        modules += [type(defence).__module__ for defence in standing]

    def evaluator(self) -> Ref:
        """An independent judge: trained on everything, by its own streams."""
        return self.fit(self.role("all"), "evaluator", self.facts.records)

    def surrogate(self) -> Ref:
        """A model that the attacker trains on his own pool by the victim's recipe; it has seen no member."""
        records = int(self.facts.target.spec.shares.pool * self.facts.records)
        return self.fit(self.role("pool"), "surrogate", records)

    def reference(self) -> Ref:
        """What the victim was before it saw its records: its base model, or else one trained on the attacker's pool."""
        if self.facts.base is None:
            return self.surrogate()
        return self.base()

    def shadows(self, poison: Ref | None = None, *, informed: bool = False) -> dict[str, Ref]:
        """The shadow ensemble, in chunks; trained on the attacker's own ``poison`` too where the victim was.

        ``informed``: by an attacker who knows the victim's defences and trains as the victim does.
        """
        defences = self.lifecycle if informed else []
        modules = [type(defence).__module__ for defence in defences]
        total = self.facts.target.spec.shadows
        size = min(total, SHADOW_CHUNK.get(self.facts.architecture.name, OTHER_CHUNK))
        found = {}
        for i, first in enumerate(range(0, total, size)):
            count = min(size, total - first)
            config: dict[str, Any] = {"training": self._training(), "first": first, "count": count, "total": total}
            if defences:
                config["imitated"] = [written(defence, DEFENCES) for defence in defences]
            label = f"train shadows {first + 1}-{first + count}"
            work = self._passes(self._share("members") * count)
            work["scoring_passes"] = float(count * 2 * self._share("members"))
            inputs = {"candidates": self.role("candidates"), **({"poison": poison} if poison else {})}
            found[f"{Resource.SHADOWS.value}-{i}"] = self._add(
                "shadows", config, inputs, self.streams.child("shadows"), label, modules, work
            )
        return found
