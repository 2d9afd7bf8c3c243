"""Run one task: read its inputs from the store, call its operation, write what it yields. The same in every backend."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from threatloop.core.assets import Dataset, Model
from threatloop.core.endpoint import REMOTE
from threatloop.core.errors import BudgetExhausted, CorruptArtefact, NotAssessable
from threatloop.engine.operations import find
from threatloop.engine.products import Loaded, NotAssessed, Product, Split, decode, encode
from threatloop.engine.storage.manifest import MissingArtefact
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Ref, Task
from threatloop.models.language.bases import remember

CACHE_BYTES = 96 << 20


@dataclass
class Workspace:
    """A process's view of the store, with a bounded cache of decoded artefacts.

    Attributes:
        store: where artefacts are.
        cache: recently used products by key, oldest first.
    """

    store: Store
    cache: OrderedDict[str, tuple[Product, int]] = field(default_factory=OrderedDict)
    held: int = 0

    def product(self, ref: Ref) -> Product:
        """The product behind an input; a role of a split becomes the Dataset of its records.

        Raises:
            CorruptArtefact: a payload does not match its manifest, or is gone.
        """
        found = self._whole(ref.key)
        if not ref.part or isinstance(found.value, NotAssessed):
            return found
        split: Split = found.value
        data: Loaded = self._whole(split.data_key).value
        return replace(found, value=data.data.take(split.roles[ref.part]))

    def remember(self, key: str, product: Product) -> None:
        """Keep a product that was just made or read; large ones push out older ones."""
        size = _size(product.value)
        if key in self.cache or size > CACHE_BYTES // 2:
            return
        self.cache[key] = (product, size)
        self.held += size
        while self.held > CACHE_BYTES:
            _, (_, freed) = self.cache.popitem(last=False)
            self.held -= freed

    def _whole(self, key: str) -> Product:
        if key in self.cache:
            self.cache.move_to_end(key)
            return self.cache[key][0]
        try:
            product = decode(self.store.get(key, mmap=True))
        except MissingArtefact as error:
            # It was there when the plan was made: another task found it corrupt, or somebody cleared the store.
            raise CorruptArtefact(str(error), key) from None
        self.remember(key, product)
        return product


def execute(task: Task, workspace: Workspace) -> float:
    """Run a task and store its product; returns the seconds it took.

    A *not assessable* operation yields a product that says so, and so does every task that depends on it.

    Raises:
        CorruptArtefact: an input is corrupt; the engine recomputes it and tries again.
        Exception: whatever the operation raised; the engine lists it under *errors*.
    """
    started = time.perf_counter()
    remember(task.local.get("bases", {}))
    terms = task.local.get("terms")
    inputs = {name: _on_terms(workspace.product(ref), terms) for name, ref in task.inputs.items()}
    missing = [product.value for product in inputs.values() if isinstance(product.value, NotAssessed)]
    if missing:
        product = Product(missing[0])
    else:
        try:
            product = find(task.operation)(task, inputs)
        except CorruptArtefact:
            raise
        except (NotAssessable, BudgetExhausted) as reason:
            product = Product(NotAssessed(str(reason)))
    seconds = time.perf_counter() - started
    workspace.store.put(task.key, encode(product, seconds), _about(task))
    workspace.remember(task.key, replace(product, facts={**product.facts, "seconds": seconds}))
    return seconds


def _on_terms(product: Product, terms: Mapping[str, Any] | None) -> Product:
    """A model behind an endpoint as it may be asked now: what is stored has the terms of the run that made it."""
    model = product.value
    if not terms or not isinstance(model, Model) or model.architecture.name not in REMOTE:
        return product
    known = model.architecture
    asked = known.model_copy(update={"parameters": {**known.parameters, **terms}})
    return replace(product, value=replace(model, architecture=asked))


def _about(task: Task) -> dict[str, Any]:
    return {"operation": task.operation, "config": dict(task.config), "label": task.label}


def _size(value: Any) -> int:
    if isinstance(value, Loaded):
        return _size(value.data)
    if isinstance(value, Dataset):
        return int(value.x.nbytes)
    arrays: list[Any] = []
    for name in ("weights", "arrays", "roles", "records", "gallery"):
        arrays += list(getattr(value, name, {}).values())
    arrays += [getattr(value, name) for name in ("log_probs", "masks") if hasattr(value, name)]
    total = sum(int(array.nbytes) for array in arrays)
    return total + sum(_size(model) for model in getattr(value, "models", ()))
