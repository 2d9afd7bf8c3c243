"""Task: one operation with its configuration, inputs and random stream; its key names the artefact it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from threatloop.core.digests import digest_json
from threatloop.core.seeds import Streams
from threatloop.engine.sources import source_digest

KEY_VERSION = 1


@dataclass(frozen=True)
class Ref:
    """An input: the artefact of another task, or a named part of it (a role of a split)."""

    key: str
    part: str = ""


@dataclass(frozen=True)
class Task:
    """A node of the plan.

    Attributes:
        operation: name in the engine's table of operations.
        config: JSON-able configuration; part of the key.
        inputs: named inputs; part of the key.
        streams: where the operation's randomness comes from; part of the key.
        sources: modules whose source, with that of their in-package imports, is part of the key.
        profile: the numeric profile; part of the key.
        local: JSON-able facts that this machine needs but that do not change the result, such as paths.
        label: for people.
        work: size of the task in units that the cost model of its operation understands.
    """

    operation: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Ref] = field(default_factory=dict)
    streams: Streams = field(default_factory=lambda: Streams(0))
    sources: tuple[str, ...] = ()
    profile: str = ""
    local: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    work: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Hash of everything that determines the result."""
        return digest_json(
            [
                KEY_VERSION,
                self.operation,
                self.config,
                {name: [ref.key, ref.part] for name, ref in self.inputs.items()},
                [self.streams.run_seed, *self.streams.path],
                [source_digest(module) for module in sorted(set(self.sources))],
                self.profile,
            ]
        )

    def to_json(self) -> str:
        """All of the task as text, for a worker in another process."""
        return json.dumps({**asdict(self), "key": self.key})

    @staticmethod
    def from_json(text: str) -> Task:
        """The inverse of `to_json`."""
        raw = json.loads(text)
        key = raw.pop("key")
        raw["inputs"] = {name: Ref(**ref) for name, ref in raw["inputs"].items()}
        raw["streams"] = Streams(raw["streams"]["run_seed"], tuple(raw["streams"]["path"]))
        raw["sources"] = tuple(raw["sources"])
        task = Task(**raw)
        # The planner's key holds even if a source file was edited since: one run, one set of keys.
        task.__dict__["key"] = key
        return task
