"""What a plan will cost: passes over records, times seconds per pass as probed on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from threatloop.core.errors import ThreatloopError
from threatloop.engine.facts import TargetFacts
from threatloop.engine.task import Task
from threatloop.scenario.spec import MaxCost

SECONDS_PER_TASK = 0.02
"""Reading inputs, writing the product, bookkeeping."""


@dataclass(frozen=True)
class Probe:
    """Costs of one target's architecture on this machine.

    Attributes:
        train: seconds per training pass (one record forward and backward), one model at a time.
        train_many: the same inside a shadow ensemble.
        score: seconds per scoring pass.
        memory: peak bytes of a worker process that trains it.
    """

    train: float
    train_many: float
    score: float
    memory: float


@dataclass(frozen=True)
class Estimate:
    """CPU seconds of single-threaded work, peak bytes of one worker, number of tasks, and the longest chain of them."""

    seconds: float = 0.0
    memory: float = 0.0
    tasks: int = 0
    workers: int = 1
    longest: float = 0.0

    def plus(self, other: Estimate) -> Estimate:
        """Both together; their tasks share the workers."""
        memory = max(self.memory, other.memory)
        longest = max(self.longest, other.longest)
        return Estimate(self.seconds + other.seconds, memory, self.tasks + other.tasks, other.workers, longest)

    @property
    def wall(self) -> float:
        """Seconds until it is done: all workers busy, or the longest chain of tasks that wait for each other."""
        return max(self.seconds / self.workers, self.longest)

    def over(self, limits: MaxCost) -> str:
        """Which limit it passes, with both figures; empty when it fits."""
        if limits.minutes is not None and self.wall > limits.minutes * 60:
            return f"about {self.wall / 60:.2g} minutes with what comes before it, allowed {limits.minutes:g}"
        gib = self.memory * self.workers / 2**30
        if limits.memory_gib is not None and gib > limits.memory_gib:
            return f"about {gib:.1f} GiB for {self.workers} workers, allowed {limits.memory_gib:g}"
        return ""


@dataclass
class Estimator:
    """Estimates tasks; probes each target's architecture once, in a process of its own.

    Attributes:
        workers: processes that will share the work.
    """

    workers: int = 1
    probes: dict[str, Probe] = field(default_factory=dict)

    def estimate(self, tasks: Iterable[Task], facts: Mapping[str, TargetFacts]) -> Estimate:
        """The cost of running these tasks, given in an order in which every task comes after its inputs."""
        ends: dict[str, float] = {}
        seconds, memory = 0.0, 0.0
        for task in tasks:
            probe = self._probe(facts[str(task.local["target"])])
            cost = _seconds(task, probe)
            seconds, memory = seconds + cost, max(memory, probe.memory)
            ends[task.key] = cost + max((ends.get(ref.key, 0.0) for ref in task.inputs.values()), default=0.0)
        return Estimate(seconds, memory, len(ends), self.workers, max(ends.values(), default=0.0))

    def _probe(self, facts: TargetFacts) -> Probe:
        name = facts.target.name
        if name not in self.probes:
            self.probes[name] = run_probe(facts)
        return self.probes[name]


def _seconds(task: Task, probe: Probe) -> float:
    per_pass = probe.train_many if task.operation == "shadows" else probe.train
    training, scoring = task.work.get("training_passes", 0.0), task.work.get("scoring_passes", 0.0)
    return SECONDS_PER_TASK + task.work.get("seconds", 0.0) + per_pass * training + probe.score * scoring


def run_probe(facts: TargetFacts) -> Probe:
    """Train and score briefly in a fresh process, so that its peak memory is the architecture's own."""
    question = {
        "architecture": facts.architecture.model_dump(mode="json"),
        "schema": facts.schema.model_dump(mode="json"),
        "recipe": facts.recipe.model_dump(mode="json"),
        "records": facts.records,
        "device": facts.target.spec.device,
        "allow_code": bool(facts.load.local.get("allow_code")),
        "base": facts.load.local["base"],
        "bases": {} if facts.base is None else {facts.base.digest: str(facts.base.path)},
    }
    command = [sys.executable, "-m", "threatloop.engine.probe"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ThreatloopError(f"the cost of {facts.architecture.name} could not be probed: {last}")
    return Probe(**json.loads(done.stdout.strip().splitlines()[-1]))
