"""What the plan must know about a target before it can expand: its schema and size, its architecture and recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threatloop.core.access import Capability
from threatloop.core.assets import Architecture
from threatloop.core.endpoint import Terms
from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema, Schema, TabularSchema, TextSchema
from threatloop.core.step import Workload
from threatloop.engine.profile import numeric_profile
from threatloop.engine.task import Task
from threatloop.models.language.bases import Base
from threatloop.scenario.build import BuiltTarget


@dataclass(frozen=True)
class TargetFacts:
    """A target as the plan sees it.

    Attributes:
        target: as built from the spec.
        load: the task that reads its data; its artefact is in the store.
        schema: of the records.
        records: how many, in the data.
        class_counts: records of each class.
        public: the data set is public, so recovered records may be shown.
        architecture: of the victim.
        recipe: of the victim, and of whatever trains like it.
        base: the model that the architecture adapts, where it does.
        divided: its data say whom a record may reach.
        paired: every record is a pair of answers; looked for only where a recipe learns from such.
        endpoint: with what it was found to offer, where a spec leaves that open.
        members_known: somebody says which records the victim was trained on.
    """

    target: BuiltTarget
    load: Task
    schema: Schema
    records: int
    class_counts: tuple[int, ...]
    public: bool
    source: str
    architecture: Architecture
    recipe: Recipe
    base: Base | None = None
    divided: bool = False
    endpoint: Terms | None = None
    paired: bool = False
    members_known: bool = True

    @property
    def sensitive(self) -> bool:
        """Whether texts of its data, and what a model says to them, are kept out of reports."""
        return self.target.source.is_sensitive

    @property
    def grants(self) -> tuple[Capability, ...]:
        """What the service really grants."""
        granted = self.target.spec.grants
        return tuple(one for one in granted if self.endpoint is None or not self.endpoint.refusal(one))

    @property
    def recipes(self) -> dict[str, Recipe]:
        """By the name of their field in the spec."""
        tuning = self.target.spec.tuning
        return {"recipe": self.recipe, **({} if tuning is None else {"tuning": tuning})}

    @property
    def workload(self) -> Workload:
        spec = self.target.spec
        return Workload(self.records, len(self.schema.classes), _width(self.schema), self.recipe, spec.shadows)

    @property
    def profile(self) -> str:
        return numeric_profile(self.target.spec.device)

    def training(self, base: Path) -> dict[str, Any]:
        """The training as the configuration of a task; a user's function is keyed by its module's bytes."""
        spec = self.target.spec
        code = {name: _code_digest(name, base) for name in (spec.train, self.architecture.name) if name and ":" in name}
        return {
            "architecture": self.architecture.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "device": spec.device,
            "function": spec.train,
            **({"code": code} if code else {}),
        }


def _width(schema: Schema) -> int:
    """Numbers in one record, before categories are expanded."""
    match schema:
        case ImageSchema():
            return schema.channels * schema.height * schema.width
        case TabularSchema():
            return len(schema.columns)
        case TextSchema():
            return schema.width


def _code_digest(path: str, base: Path) -> str:
    from threatloop.engine.sources import source_digest

    module = path.partition(":")[0]
    try:
        return source_digest(module)
    except ModuleNotFoundError:
        raise InputError(f"{path}: no module {module!r} can be imported from here ({base})") from None


def table(facts: Mapping[str, TargetFacts]) -> dict[str, dict[str, Any]]:
    """Facts per target for ``run.json``."""
    return {
        name: {
            "source": fact.source,
            "digest": fact.load.config["fingerprint"],
            "kind": fact.schema.kind,
            "records": fact.records,
            "classes": len(fact.schema.classes),
            "class_counts": list(fact.class_counts),
            "architecture": fact.architecture.model_dump(mode="json"),
            "recipe": fact.recipe.model_dump(mode="json"),
            "public": fact.public,
            **({"sensitive": True} if fact.sensitive else {}),
            "access": [str(capability) for capability in fact.grants],
            "defences": [type(defence).__name__ for defence in fact.target.defences],
        }
        for name, fact in facts.items()
    }
