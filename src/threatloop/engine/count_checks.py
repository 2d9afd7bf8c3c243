"""What attacks ask of the records that a split leaves them: found once the splits are drawn, before any training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from threatloop.core.errors import CorruptArtefact, Problems
from threatloop.core.step import Step
from threatloop.engine.execute import Workspace
from threatloop.engine.facts import TargetFacts
from threatloop.engine.plan_checks import configurations, unsupported
from threatloop.engine.products import Loaded, Split
from threatloop.engine.seed_tasks import SeedTasks
from threatloop.engine.task import Ref
from threatloop.scenario.build import Audit, Scenario


def check_counts(audit: Audit, facts: Mapping[str, TargetFacts], workspace: Workspace) -> None:
    """Compare each attack with the records that the seeds' splits leave it. Splits that were not drawn are passed over.

    Raises:
        Problems: rates and targets that ask for more records than there are, each in the first seed in which it does.
    """
    problems: dict[tuple[str, str, str], list[str]] = {}
    for name, target in facts.items():
        scenarios = [s for s in audit.scenarios if name in s.targets and not unsupported(s, target)]
        for seed in range(audit.spec.seeds if scenarios else 0):
            split = _split_of(audit, target, seed, scenarios[0])
            if not workspace.store.has(split.key):
                continue
            try:
                counts = _Counts.of(workspace.product(split).value, workspace.product(Ref(target.load.key)).value)
            except CorruptArtefact:
                # The run recomputes it and says so; the attacks check their counts themselves too.
                continue
            for scenario in scenarios:
                for at, step in configurations(scenario):
                    found = step.count_problems(counts.contributed, counts.targets(step))
                    if found:
                        problems.setdefault((at, name, step.model_dump_json()), found)
    lines = [f"{at} on {name}: {problem}" for (at, name, _), found in problems.items() for problem in found]
    if lines:
        raise Problems("spec", lines)


@dataclass(frozen=True)
class _Counts:
    """What one seed's split leaves: contributed records of each class, and records to choose targets from."""

    contributed: tuple[int, ...]
    test: int
    inside: int
    outside: int

    @classmethod
    def of(cls, split: Split, loaded: Loaded) -> _Counts:
        roles, classes = split.roles, loaded.data.n_classes
        own = np.isin(roles["candidates"], roles["own"]).sum()
        outside = np.isin(roles["candidates"], roles["nonmembers"]).sum()
        contributed = np.bincount(loaded.data.y[roles["contribution"]], minlength=classes)
        return cls(tuple(map(int, contributed)), len(roles["test"]), int(own), int(outside))

    def targets(self, step: Step[Any]) -> int:
        """The most that this step may ask for; of candidates half are members."""
        kind = step.info.targets
        return self.test if kind == "test" else min(2 * self.inside + 1, 2 * self.outside) if kind else 0


def _split_of(audit: Audit, facts: TargetFacts, seed: int, scenario: Scenario) -> Ref:
    return Ref(SeedTasks(audit, facts, seed, {}, scenario.protection).role("contribution").key)
