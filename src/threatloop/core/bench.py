"""Bench: what an attack may use beside its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from threatloop.core.assets import Dataset
from threatloop.core.errors import AccessError
from threatloop.core.seeds import Streams
from threatloop.core.service import Service


class Resource(StrEnum):
    """What an attack can declare that it holds; the plan provides each once per seed and shares it."""

    QUERY_POOL = "query_pool"
    """Records of the same kind as the victim's, with the attacker's own labels; no member is among them."""
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    """Records of another kind that fit the victim's input; their labels mean nothing."""
    SHADOWS = "shadows"
    """Shadow models trained like the victim on random halves of the candidates."""
    CANDIDATES = "candidates"
    """Records of which half are the victim's members; the attack is not told which."""
    FEEDBACK = "feedback"
    """In lap 2 only: records recovered in the lap before, or a control's stand-in for them."""
    PREVIOUS = "previous"
    """In lap 2 only: the clone (a Model) stolen in the lap before."""
    LIFECYCLE = "lifecycle"
    """The victim's recipe and architecture, so that the attacker can train like the victim."""
    VICTIM = "victim"
    """The victim as a Service, for attacks whose source is data; narrowed to the capabilities in ``needs``."""
    PROTECTION = "protection"
    """The owner's protection, its parameters included and its key not: schemes are public (Kerckhoffs)."""
    KNOWN_PAIRS = "known_pairs"
    """Two Datasets: records of the attacker's pool, and the same records protected under the owner's key."""
    DETECTOR = "detector"
    """The owner's detector as a `Detector`: what it says of data that it is shown; every record counts as a query."""
    TARGETS = "targets"
    """A few records that the attacker is after, of the kind that ``info.targets`` says."""
    PARTIAL = "partial"
    """The candidates, as the attack's own ``hidden`` leaves them: without what it is to infer."""
    STORE = "store"
    """A retrieval store's `VectorStore`: vectors of as many of the victim's own records as the attack has
    ``documents``, and its encoder; every text that is embedded counts as a query."""
    REFERENCE = "reference"
    """A Service of the model that the victim was tuned from, which is public; where it was trained from nothing, of
    one that the attacker trained on his own pool. Nobody counts what is asked of it."""


@dataclass
class Progress:
    """The best result so far and where to report progress; what survives when a budget ends an attack."""

    best: Any = None
    notes: dict[str, float] = field(default_factory=dict)
    report: Callable[[float], None] = field(default=lambda _: None, repr=False)

    def keep(self, result: Any) -> None:
        """Remember a complete, usable result; a later one replaces it."""
        self.best = result

    def note(self, name: str, value: float) -> None:
        """Record a figure for the self-checks, such as the loss before and after optimisation."""
        self.notes[name] = float(value)


@dataclass(frozen=True)
class Bench:
    """Named random streams, declared resources, a place for the best result so far.

    Attributes:
        streams: the attack's own random streams.
        resources: the declared resources only, by name.
        progress: keeps the best result for the case that the budget ends the attack.
        device: where the attacker computes: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    streams: Streams
    resources: Mapping[Resource, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    device: str = "cpu"

    def resource(self, name: Resource) -> Any:
        """A declared resource.

        Raises:
            AccessError: the attack class does not declare it in ``info.resources``.
        """
        if name not in self.resources:
            held = ", ".join(sorted(self.resources)) or "none"
            raise AccessError(f"used the resource {name} without declaring it (declared: {held})")
        return self.resources[name]

    def has(self, name: Resource) -> bool:
        """Whether the plan provided this resource; for those that exist only in later laps."""
        return name in self.resources

    def service(self) -> Service:
        """The victim, for an attack that declares `Resource.VICTIM`."""
        found = self.resource(Resource.VICTIM)
        if not isinstance(found, Service):
            raise AccessError("the resource victim is not a service")
        return found

    def data(self, name: Resource) -> Dataset:
        """A declared resource that is a Dataset."""
        found = self.resource(name)
        if not isinstance(found, Dataset):
            raise AccessError(f"the resource {name} is not a data set")
        return found
