"""What is found out of a target before anything is planned: its data are read, its endpoint is tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from threatloop import modality
from threatloop.core.assets import SCHEMA, Architecture
from threatloop.core.digests import digest_file
from threatloop.core.endpoint import ENDPOINT, TERMS, OpenAI, Terms
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.seeds import Streams
from threatloop.engine.execute import Workspace, execute
from threatloop.engine.facts import TargetFacts
from threatloop.engine.operations import module_of
from threatloop.engine.profile import numeric_profile
from threatloop.engine.task import Ref, Task
from threatloop.models.defaults import default_architecture, default_recipe
from threatloop.models.language.adapter_config import brought_shape
from threatloop.models.language.bases import ADAPTED, Base, find_base
from threatloop.scenario.build import Audit, BuiltTarget


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


def _class_counts(y: Any, classes: int) -> tuple[int, ...]:
    import numpy as np

    return tuple(int(count) for count in np.bincount(y, minlength=classes))
