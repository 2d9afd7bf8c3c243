"""Made-up runs whose interactions are known: for tests of the matrix and for the simulation of the whole procedure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.analysis.interaction_plan import plan_cells
from threatloop.analysis.interactions import interactions
from threatloop.analysis.matrix import Matrix
from threatloop.core.measurement import Measurement, MetricNote, RunRecord, VictimNote
from threatloop.core.study_note import StudyNote

Noise = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
MARGIN = 0.05
METRIC = "success"
BASELINE, USUAL, ACCURACY = 0.0, 0.5, 0.9


def normal(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    return rng.normal(size=n)


@dataclass(frozen=True)
class Truth:
    """What is true of one cell, in units of the margin.

    Attributes:
        arms: true difference of every arm of the defended attack; the true interaction is the largest.
        spread: standard deviation over seeds of each difference.
    """

    arms: Mapping[str, float]
    spread: float = 1.0

    @property
    def difference(self) -> float:
        return max(self.arms.values())


def single(difference: float, spread: float = 1.0) -> Truth:
    """A cell whose adaptive attacker does as well as the unchanged one."""
    return Truth({"attack": difference, "adaptive": difference}, spread)


@dataclass
class World:
    """Cells by (condition, scenario) on one target, and chains by name; rows are drawn seed by seed.

    Attributes:
        chains: by name the difference and the part of it that is aimed, in units of the margin.
        utility: by chain the part of the difference that is lost accuracy; such chains begin with D→M.
    """

    cells: Mapping[tuple[str, str], Truth]
    rng: np.random.Generator
    noise: Noise = normal
    chains: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    utility: Mapping[str, float] = field(default_factory=dict)
    falling: bool = False

    def record(self, seeds: int, study: StudyNote | None = None) -> RunRecord:
        conditions = list(dict.fromkeys(name for name, _ in self.cells))
        scenarios = list(dict.fromkeys(name for _, name in self.cells))
        written: dict[str, Any] = {name: {"attack": f"attack_{name}"} for name in scenarios}
        written |= {name: {"chain": ["poison", f"attack_{scenarios[0]}"]} for name in self.chains}
        attacks = {f"attack_{name}": self._about() for name in scenarios} | {"poison": self._about()}
        attacks["poison"]["direction"] = "D→M" if self.utility else "D→D"
        steps = {name: [f"attack_{name}"] for name in scenarios}
        steps |= {name: ["poison", f"attack_{scenarios[0]}"] for name in self.chains}
        return RunRecord(
            run="r",
            name="made up",
            threatloop="0",
            started="2026-01-01T00:00:00Z",
            seconds=1.0,
            peak_memory_mib=1.0,
            run_seed=0,
            seeds=seeds,
            command="",
            spec={"scenarios": written},
            targets={"digits": {"classes": 10, "architecture": {"name": "mlp"}}},
            scenarios={name: {"attacks": found, "laps": 1} for name, found in steps.items()},
            attacks=attacks,
            conditions={name: [{"name": name}] for name in conditions},
            victims=tuple(self._victims(conditions, seeds)),
            study=study,
            metrics={METRIC: self._note()},
            tasks={},
            environment={},
        )

    def rows(self, seeds: Sequence[int]) -> list[Measurement]:
        """Every arm of every cell in these seeds."""
        return [row for found in (self._defended(seeds), self._chained(seeds)) for row in found]

    def _about(self) -> dict[str, Any]:
        return {"title": "Attack", "metrics": [METRIC], "needs": []}

    def _note(self) -> MetricNote:
        worst = 0.0 if self.falling else 1.0
        return MetricNote(title="Success", unit="", worst=worst, margin=MARGIN, meaning="")

    def _victims(self, conditions: Sequence[str], seeds: int) -> Iterator[VictimNote]:
        for name in ("", *conditions):
            for seed in range(seeds):
                accuracy = ACCURACY + 0.001 * seed - (0.6 if name == "ruin" else 0.0)
                yield VictimNote(target="digits", condition=name, seed=seed, test_accuracy=accuracy, seconds=1.0)

    def _harm(self, difference: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return -difference if self.falling else difference

    def _defended(self, seeds: Sequence[int]) -> Iterator[Measurement]:
        offs: dict[str, npt.NDArray[np.float64]] = {}
        for (condition, scenario), truth in self.cells.items():
            if scenario not in offs:
                offs[scenario] = USUAL + 0.05 * self.rng.normal(size=len(seeds))
                yield from self._arm(scenario, "", "attack", seeds, offs[scenario])
            for arm, difference in truth.arms.items():
                drawn = MARGIN * (difference + truth.spread * self.noise(self.rng, len(seeds)))
                yield from self._arm(scenario, condition, arm, seeds, offs[scenario] + self._harm(drawn))

    def _chained(self, seeds: Sequence[int]) -> Iterator[Measurement]:
        for name, (difference, aimed) in self.chains.items():
            off = USUAL + 0.05 * self.rng.normal(size=len(seeds))
            on, control = (
                off + self._harm(MARGIN * (x + 0.5 * self.noise(self.rng, len(seeds))))
                for x in (difference, difference - aimed)
            )
            arms = {"attack": on, "without:1": off, "control:1": control}
            if name in self.utility:
                part = self.utility[name] + 0.5 * self.noise(self.rng, len(seeds))
                arms["matched:1"] = off + self._harm(MARGIN * part)
            for arm, values in arms.items():
                yield from self._arm(name, "", arm, seeds, values, step=2)

    def _arm(
        self,
        scenario: str,
        condition: str,
        arm: str,
        seeds: Sequence[int],
        values: npt.NDArray[np.float64],
        step: int = 1,
    ) -> Iterator[Measurement]:
        attack = f"attack_{next(iter(self.cells))[1]}" if step == 2 else f"attack_{scenario}"
        for seed, value in zip(seeds, values, strict=True):
            yield Measurement.model_construct(
                run="r",
                target="digits",
                scenario=scenario,
                condition=condition,
                step=step,
                steps=step,
                lap=1,
                arm=arm,
                attack=attack,
                direction="M→D",
                seed=seed,
                metric=METRIC,
                value=float(value),
                n=100,
                baseline=1.0 if self.falling else BASELINE,
                outcome=f"{scenario}{condition}{arm}{seed}",
                model=f"{condition}{seed}",
                undefined="",
                gate="",
            )


def two_stages(world: World, screening: int = 12, *, exhaust: bool = False) -> tuple[Matrix, StudyNote]:
    """The whole procedure: screen, plan, draw fresh seeds, test once."""
    rows = world.rows(range(screening))
    planned = plan_cells(world.record(screening), rows, screening, exhaust=exhaust)
    note = StudyNote(screening_seeds=screening, most=30, exhaust=exhaust, planned=planned)
    most = max((one.seeds for one in planned), default=0)
    if most:
        rows += world.rows(range(screening, screening + most))
    return interactions(world.record(screening, note), rows), note


def one_stage(world: World, seeds: int = 12) -> Matrix:
    """All seeds tested, none screened."""
    return interactions(world.record(seeds), world.rows(range(seeds)))
