"""What the plan must know about a target before it can expand: its schema and size, its architecture and recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threatloop import modality
from threatloop.core.access import Capability
from threatloop.core.assets import SCHEMA, Architecture
from threatloop.core.digests import digest_file
from threatloop.core.endpoint import ENDPOINT, TERMS, OpenAI, Terms
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema, Schema, TabularSchema, TextSchema
from threatloop.core.seeds import Streams
from threatloop.core.step import Workload
from threatloop.engine.execute import Workspace, execute
from threatloop.engine.operations import module_of
from threatloop.engine.profile import numeric_profile
from threatloop.engine.task import Ref, Task
from threatloop.models.defaults import default_architecture, default_recipe
from threatloop.models.language.adapter_config import brought_shape
from threatloop.models.language.bases import ADAPTED, Base, find_base
from threatloop.scenario.build import Audit, BuiltTarget


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


def load_task(target: BuiltTarget, audit: Audit) -> Task:
    """The task that reads a target's data; its key follows the bytes of the files, not their path.

    Raises:
        InputError: the data cannot be found or read.
    """
    spec = target.spec
    config: dict[str, Any] = {
        "fingerprint": target.source.fingerprint(audit.base),
        "public": target.source.public,
    }
    if target.source.is_sensitive:
        config["sensitive"] = True
    local: dict[str, Any] = {
        "base": str(audit.base),
        "source": target.source.model_dump(mode="json", exclude_none=True),
        "target": target.name,
        "allow_code": audit.allow_code,
    }
    if spec.members:
        path = audit.base / spec.members
        if not path.is_file():
            raise InputError(f"targets.{target.name}.members: no file {path}")
        config["members"] = digest_file(path)
        local["members"] = spec.members
    return Task(
        "load",
        config,
        streams=Streams(audit.spec.seed, ("load",)),
        sources=(module_of("load"),),
        local=local,
        label=f"{target.name}: read data",
    )


def endpoint_task(target: BuiltTarget, load: Task, audit: Audit) -> Task:
    """The task that reaches a target's endpoint; how often that may be asked is no part of the key."""
    endpoint = target.spec.endpoint
    assert endpoint is not None
    return Task(
        "endpoint",
        {"endpoint": endpoint.model_dump(mode="json", exclude=set(TERMS))},
        {"data": Ref(load.key)},
        Streams(audit.spec.seed, ("given",)),
        (module_of("endpoint"),),
        numeric_profile(target.spec.device),
        {"allow_code": audit.allow_code, "target": target.name, "endpoint": endpoint.model_dump(mode="json")},
        f"{target.name}: reach endpoint",
    )


def facts_of(target: BuiltTarget, audit: Audit, workspace: Workspace) -> tuple[TargetFacts, int]:
    """The facts of a target, and how much had to be read or asked now (it is in the store afterwards).

    Raises:
        InputError, Problems: what is wrong with the data.
        EndpointError: an endpoint that must be tried cannot be reached.
    """
    task = load_task(target, audit)
    executed = _done(task, workspace)
    artefact = workspace.store.get(task.key, mmap=True)
    schema = SCHEMA.validate_python(artefact.meta["schema"])
    counts = _class_counts(artefact.arrays["y"], len(schema.classes))
    found = artefact.meta["facts"]
    n = int(sum(counts))
    architecture = target.spec.model or default_architecture(schema)
    recipe = target.spec.recipe or default_recipe(schema, architecture, n)
    public, source, divided = bool(found["public"]), str(found["source"]), bool(found.get("divided"))
    base, architecture = _on_base(architecture, audit.base, target)
    endpoint: Terms | None = target.spec.endpoint
    if isinstance(endpoint, OpenAI):
        reach = endpoint_task(target, task, audit)
        executed += _done(reach, workspace)
        served = workspace.product(Ref(reach.key)).value
        endpoint = ENDPOINT.validate_python(served.architecture.parameters)
    known = not target.spec.brought or bool(target.spec.members)
    # Where data say whom a record may reach, that is no word about a model that was trained elsewhere.
    known = known or (not divided and bool((artefact.arrays["partition"] == 0).any()))
    facts = TargetFacts(
        target,
        task,
        schema,
        n,
        counts,
        public,
        source,
        architecture,
        recipe,
        base,
        divided,
        endpoint,
        members_known=known,
    )
    return replace(facts, paired=_paired(facts, artefact.arrays["x"])), executed


def _paired(facts: TargetFacts, x: Any) -> bool:
    if all(one.objective == "likelihood" for one in facts.recipes.values()):
        return False
    try:
        modality.of(facts.schema).exchanged(x, facts.schema)
    except NotAssessable:
        return False
    return True


def _done(task: Task, workspace: Workspace) -> int:
    """Do what is not in the store yet; 1 where it was not."""
    if workspace.store.has(task.key):
        return 0
    execute(task, workspace)
    return 1


def _on_base(architecture: Architecture, beside: Path, target: BuiltTarget) -> tuple[Base | None, Architecture]:
    """The base model that an architecture names, if it does, and the architecture with its digest instead.

    An adapter that the user brought says itself of what shape it is.

    Raises:
        InputError, Problems: there is no such model, or the spec says other things of the adapter.
    """
    if architecture.name != ADAPTED:
        return None, architecture
    name, weights = str(architecture.parameters.get("base", "smollm2")), target.spec.weights
    base = find_base(name, beside)
    shape = brought_shape(beside / Path(weights).expanduser(), architecture.parameters) if weights else {}
    parameters = {**architecture.parameters, **shape, "base": base.digest}
    return base, architecture.model_copy(update={"parameters": parameters})


def _width(schema: Schema) -> int:
    """Numbers in one record, before categories are expanded."""
    match schema:
        case ImageSchema():
            return schema.channels * schema.height * schema.width
        case TabularSchema():
            return len(schema.columns)
        case TextSchema():
            return schema.width


def _class_counts(y: Any, classes: int) -> tuple[int, ...]:
    import numpy as np

    return tuple(int(count) for count in np.bincount(y, minlength=classes))


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
