"""What of a run folder the graph needs: ``run.json``, ``measurements.parquet`` and ``report.json``, read and checked.

Their fields are documented in ``docs/run-folder.md``. The verdicts stand in the report: it judges the table of
measurements with intervals and corrected for how many were tested, and nothing is judged a second time here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from threatloop.core.errors import InputError, Problems
from threatloop.core.measurement import RUN_FOLDER_VERSION
from threatloop.threats.files import MIB, read_json
from threatloop.threats.importers.problem_list import shortened

MOST_BYTES: Final = 512 * MIB
MOST_ROWS: Final = 50_000_000
REPORT_VERSION: Final = 1
_M = TypeVar("_M", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class NotComputed(_Part):
    """Stands for a number that does not exist."""

    not_computed: str


class Interval(_Part):
    low: FiniteFloat
    high: FiniteFloat


class Estimate(_Part):
    """A mean over ``n`` seeds."""

    mean: FiniteFloat | NotComputed
    interval: Interval | NotComputed
    n: int


class Judged(Estimate):
    """A difference and its verdict."""

    verdict: str
    why: str = ""


class Finding(_Part):
    """One figure of one attack."""

    target: str
    scenario: str
    step: int
    attack: str
    metric: str
    gate: str = ""
    headline: bool
    defences: str = ""
    value: Estimate
    effect: Judged | NotComputed
    suspect: tuple[str, ...] = ()
    missing: tuple[tuple[str, int], ...] = ()


class Cell(_Part):
    """One cell of the interaction matrix: what A does to B; a positive effect helps the attacker."""

    family: str
    target: str
    row: str
    column: str
    scenario: str
    condition: str = ""
    attack: str
    metric: str
    unit: str = ""
    effect: Judged | NotComputed
    verdict: str
    why: str = ""
    usable: bool = True
    suspect: tuple[str, ...] = ()


class Enablement(_Part):
    """What the step ``removed`` of a chain gives to the later step ``step``, in the orientation of its metric."""

    target: str
    scenario: str
    removed: int
    step: int
    attack: str
    metric: str
    gate_on: str = ""
    gate_off: str = ""
    gate_determined: bool = False
    effect: Judged | NotComputed


class Report(_Part):
    version: int
    run: str
    findings: tuple[Finding, ...]
    interactions: tuple[Cell, ...] = ()
    enablements: tuple[Enablement, ...] = ()


class _Scenario(_Part):
    attacks: tuple[str, ...]


class _Metric(_Part):
    unit: str = ""


class _Defence(_Part):
    name: str


class About(_Part):
    """``run.json``."""

    version: int
    run: str
    name: str = ""
    scenarios: Mapping[str, _Scenario]
    conditions: Mapping[str, tuple[_Defence, ...]] = {}
    metrics: Mapping[str, _Metric] = {}

    def attack(self, scenario: str, step: int) -> str:
        """Name of the attack at a step from 1; empty where the run does not say."""
        attacks = self.scenarios[scenario].attacks if scenario in self.scenarios else ()
        return attacks[step - 1] if 0 < step <= len(attacks) else ""

    def unit(self, metric: str) -> str:
        return self.metrics[metric].unit if metric in self.metrics else ""


@dataclass(frozen=True)
class Run:
    """A run folder as the graph needs it.

    Attributes:
        attacks: those that have rows in ``measurements.parquet``.
    """

    about: About
    report: Report
    attacks: frozenset[str]


def read_run(folder: Path, report: Any = None) -> Run:
    """Read a run folder.

    Args:
        report: the parsed ``report.json``, where the caller has it; else the folder must hold the file.

    Raises:
        InputError: no run folder, without measurements or report, of a newer layout, or a report of another run.
        Problems: a file whose fields are not as documented; all of them.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such run folder; `threatloop audit --out {folder}` writes one")
    about = _checked(About, folder / "run.json", read_json(_there(folder / "run.json"), MOST_BYTES), RUN_FOLDER_VERSION)
    runs, attacks = _measured(_there(folder / "measurements.parquet"))
    place = folder / "report.json"
    if report is None:
        if not place.is_file():
            raise InputError(f"{folder}: holds no report.json; `threatloop report {folder}` writes it")
        report = read_json(place, MOST_BYTES)
    found = _checked(Report, place, report, REPORT_VERSION)
    if others := sorted({found.run, *runs} - {about.run}):
        raise InputError(
            f"{folder}: run.json is of run {about.run}, and other files of {others[0]}; `threatloop report {folder}` "
            "builds the report again"
        )
    return Run(about, found, attacks)


def _there(file: Path) -> Path:
    if not file.is_file():
        raise InputError(f"{file.parent}: is not a whole run folder ({file.name} is missing); run the audit again")
    return file


def _checked(model: type[_M], file: Path, raw: Any, newest: int) -> _M:
    version = raw.get("version") if isinstance(raw, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{file}: states no version, so it is none of a run folder")
    if version > newest:
        raise InputError(
            f"{file}: of version {version}, written by a newer threatloop; this one reads up to {newest}, so upgrade"
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise Problems(str(file), shortened(found)) from None


def _measured(file: Path) -> tuple[set[str], frozenset[str]]:
    """The runs and the attacks that the table of measurements names."""
    try:
        table = pq.ParquetFile(file)
        if table.metadata.num_rows > MOST_ROWS:
            raise InputError(f"{file}: holds more than {MOST_ROWS:,} rows")
        found = table.read(columns=["run", "attack"])
        runs, attacks = (set(found.column(name).unique().to_pylist()) for name in ("run", "attack"))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{file}: is damaged ({str(error).splitlines()[0][:120]}); run the audit again") from None
    if not attacks:
        raise InputError(f"{file.parent}: holds no measurements; run the audit again")
    return {str(run) for run in runs}, frozenset(str(attack) for attack in attacks)
