"""The summary of a run: pure, from ``run.json`` and the measurement rows to frozen figures with verdicts.

Families, declared here and so before any run: headline figures, secondary figures, enablements, loop gains, and those
of the interaction matrix (`threatloop.analysis.interactions`). q-values are computed within each; effects and
equivalences separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from threatloop.analysis.chains import ArmValue, Enablement, Gate, arm_values, enablements, gates
from threatloop.analysis.claims import Tested, claims_of
from threatloop.analysis.estimates import judged
from threatloop.analysis.findings import Figure, figures
from threatloop.analysis.index import REFUSED, Index
from threatloop.analysis.interactions import interactions
from threatloop.analysis.laps import LoopGain, loop_gains
from threatloop.analysis.matrix import Matrix
from threatloop.analysis.sweeps import Sweep, sweeps
from threatloop.core.measurement import ATTACK, Measurement, MetricNote, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined

DIRECTIONS = ("D→D", "D→M", "M→M", "M→D")
"""In the order in which a chain goes round."""


@dataclass(frozen=True)
class Summary:
    """Everything that a report says about the measurements.

    Attributes:
        figures: of the attack arms, headline figures first within an attack.
        arms: headline figures of every arm, step and lap.
        gates: pass rates per arm.
        enablements: of every step for every later step.
        loops: loop gains against every control.
        sweeps: headline figures against a budget that the spec varies.
        matrix: how attacks and defences change each other.
        claims: what the tests of the claims ledger show, where the run is theirs.
        notes: title, unit, worst case and margin of every metric that has rows.
    """

    figures: tuple[Figure, ...]
    arms: tuple[ArmValue, ...]
    gates: tuple[Gate, ...]
    enablements: tuple[Enablement, ...]
    loops: tuple[LoopGain, ...]
    sweeps: tuple[Sweep, ...]
    matrix: Matrix
    claims: tuple[Tested, ...]
    notes: Mapping[str, MetricNote]

    def gate(self, target: str, scenario: str, arm: str = ATTACK, lap: int = 1) -> Gate | None:
        """The gate of one arm, or None where its data met none."""
        wanted = (target, scenario, arm, lap)
        return next((g for g in self.gates if (g.target, g.scenario, g.arm, g.lap) == wanted), None)

    def worst(self, direction: str, target: str) -> Figure | None:
        """The headline figure with the highest mean risk; one without a risk only where no other is assessed.

        Figures of data that a gate refused describe the honest victim and come last.
        """
        found = [f for f in self.figures if f.headline and (f.direction, f.target) == (direction, target)]
        return max(found, key=_badness, default=None)


def summarise(record: RunRecord, rows: Iterable[Measurement]) -> Summary:
    """Judge a run.

    Args:
        record: its ``run.json``; the run seed makes the bootstrap draws reproducible.
        rows: its measurements, in any order.
    """
    rows = sorted(rows, key=_order)
    index = Index(record, rows)
    streams = Streams(record.run_seed, ("analysis",))
    found = figures(index, streams)
    headline = judged([f for f in found if f.headline], streams.numpy("headline family"))
    secondary = judged([f for f in found if not f.headline], streams.numpy("secondary family"))
    return Summary(
        figures=tuple(sorted(headline + secondary, key=_place)),
        arms=arm_values(index, streams),
        gates=gates(index, streams),
        enablements=judged(enablements(index, streams), streams.numpy("enablement family")),
        loops=judged(loop_gains(index, streams), streams.numpy("loop family")),
        sweeps=sweeps(index, streams),
        matrix=interactions(record, rows),
        claims=claims_of(record, rows),
        notes=index.notes,
    )


def _order(row: Measurement) -> tuple[str, str, int, int, str, int, str]:
    return row.target, row.scenario, row.lap, row.step, row.arm, row.seed, row.metric


def _place(figure: Figure) -> tuple[str, str, int, bool, str, str]:
    return figure.target, figure.scenario, figure.step, not figure.headline, figure.metric, figure.gate


def _badness(figure: Figure) -> tuple[bool, bool, float]:
    known = not isinstance(figure.risk.mean, Undefined)
    computed = not isinstance(figure.value.mean, Undefined)
    risk = figure.risk.mean
    return figure.gate != REFUSED and computed, known, risk if not isinstance(risk, Undefined) else 0.0
