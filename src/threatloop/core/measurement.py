"""Measurement: one tidy row, and the versioned layout of a run folder that holds them.

A run folder holds ``run.json`` (what was run, where, and the three lists), ``measurements.parquet`` (one row per figure
and seed), ``curves.parquet`` and ``records.parquet`` (long tables that refer to rows by ``outcome``), ``gallery/`` (PNG
files named in ``run.json``) and ``spec.yaml`` (rebuilds the run). Analyses and the report read this and nothing else.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from threatloop.core.study_note import StudyNote

RUN_FOLDER_VERSION = 1

ATTACK = "attack"
"""The arm in which every step is the attack itself."""
BASELINE = "baseline"
"""The arm in which the only step of a scenario is replaced by its baseline."""
ADAPTIVE = "adaptive"
"""The arm of an attacker who knows the victim's defences; further forms of the attack are ``adaptive:2`` and so on."""
ORACLE = "oracle"
"""The arm in which protection is lifted by the engine: an upper bound for a chain that its gate stops."""
WITHOUT = "without:"
"""Prefix of the arms in which one step of a chain, numbered from 1, is replaced by its baseline: ``without:2``."""
SWEEP = "sweep:"
"""Prefix of arms in which the attack's swept field has another value: ``sweep:0.03``."""
SWEEP_BASELINE = "sweep-baseline:"
"""The same of its baseline, where that has the field too."""
SWEEP_CONTROL = "sweep-control:"
"""The same of its matched control."""
CONTROL = "control:"
"""Prefix of arms in which one step is replaced by its matched control: the same harm, not aimed at a later step."""
FORM = "form:"
"""Prefix of arms without any condition: an attack in the form that it takes under the condition that follows, and there
in the arm of the number behind it. What it gains here it owes to no defence."""
MATCHED = "matched:"
"""Prefix of arms in which the victim of one step is an honest one, shrunk to the clean accuracy of the poisoned one."""
UNBOUNDED = "unbounded"
"""The arm of a self-check: the attack with a budget at which it must win completely."""
REFERENCE = "reference:"
"""Prefix of arms that only set a scale, such as ``reference:victim`` (inversion of the victim itself)."""


class Measurement(BaseModel):
    """One figure of one outcome in one seed.

    Attributes:
        run: the run's identifier.
        target: the name of the audited data and model.
        scenario: the scenario's name in the spec.
        step: 1-based position in the chain; 1 for a single attack.
        steps: how many steps the scenario has.
        lap: 1, or 2 for the second lap of a fed-back chain.
        arm: ``attack``, ``adaptive``, ``baseline``, ``oracle``, ``without:N``, ``matched:N``, ``form:NAME:N``,
            ``reference:NAME``; in lap 2 ``feedback`` or the name of the control (``restart``, ``double``, ``prior``).
        attack: catalogue name of the attack graded at this step (also in baseline arms).
        direction: ``D→D``, ``D→M``, ``M→D`` or ``M→M``.
        defences: catalogue names of the victim's defences, comma-separated.
        condition: name of the set of defences that is tried; empty for the target as it is.
        by_proxy: the model was retrained by the recipe though the user brought trained weights.
        seed: number of the seed within the run.
        metric: catalogue name, with a suffix for secondary figures (``fidelity.where_victim_errs``).
        value: the figure; None when not computed, and ``undefined`` then says why.
        low: lower end of the within-seed 95 % interval, where there is one.
        high: upper end of the same.
        n: records behind the figure.
        baseline: the same metric on the step's baseline in the same seed; None where there is none.
        queries: records asked of the service that the step attacked.
        stop_reason: why the attack stopped.
        seconds: seconds that the step's own task took.
        gate: ``accepted``, ``refused`` or empty: what the ingest gate said of the data on which this figure rests.
        dataset: store key of what the step started from; a role of a split has the split's key.
        model: digest of the victim's content, or empty.
        outcome: digest of the graded artefact's content.
        by_labels: the figure follows from the likeliest classes of the graded model alone, which whatever stands in
            front of it keeps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    target: str
    scenario: str
    step: int
    steps: int
    lap: int = 1
    arm: str
    attack: str
    direction: str
    defences: str = ""
    condition: str = ""
    by_proxy: bool = False
    seed: int
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    baseline: float | None = None
    undefined: str = ""
    queries: int = 0
    stop_reason: str = "finished"
    seconds: float = 0.0
    gate: str = ""
    dataset: str = ""
    model: str = ""
    outcome: str = ""
    by_labels: bool = False


TIMING_COLUMNS = frozenset({"run", "seconds"})
"""Columns in which two runs of the same spec may differ."""


class Notice(BaseModel):
    """An entry of the *errors*, *not assessed* or *self-checks* list.

    Attributes:
        target: the audited data and model, or empty.
        scenario: the scenario's name, or empty for the whole run.
        seed: the seed, or None for all.
        what: the attack, step or check.
        why: one line.
        passed: for self-checks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = ""
    scenario: str = ""
    seed: int | None = None
    what: str
    why: str
    passed: bool | None = None


class GalleryItem(BaseModel):
    """One batch of images shown side by side with the others of its group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    scenario: str
    arm: str
    step: int
    lap: int = 1
    seed: int
    name: str
    file: str
    private: bool = False


class MetricNote(BaseModel):
    """What the report needs to know about a metric, copied from the catalogue at the time of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    unit: str
    worst: float | None
    margin: float
    meaning: str


class VictimNote(BaseModel):
    """How well the victim of one seed fits under one set of defences, and what making it cost.

    Attributes:
        condition: name of the set; empty for the target as it is.
        test_accuracy, train_accuracy: in [0, 1]; None where accuracy means nothing.
        test_loss, train_loss: mean loss per record, or per token.
        seconds: that its lifecycle took; None for a model that the user brought.
        answer_seconds: that 1,000 of its answers take behind its serving defences; None for a remote model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    condition: str
    seed: int
    test_accuracy: float | None = None
    train_accuracy: float | None = None
    test_loss: float | None = None
    train_loss: float | None = None
    seconds: float | None = None
    answer_seconds: float | None = None


class RunRecord(BaseModel):
    """``run.json``: everything about a run that is not a table.

    Attributes:
        version: of the run folder's layout.
        attacks: catalogue facts (title, direction, knowledge, paper, atlas, metrics) of the run's attacks, by name.
        targets: facts per target: source, records, classes, architecture, parameters, victim's train and test accuracy.
        scenarios: per scenario: the attacks' names in order and the laps.
        conditions: the sets of defences that were tried: name → defences with their parameters.
        victims: of every target, condition and seed.
        study: how seeds were spent in two stages; None where all seeds make one stage.
        tasks: counts: ``planned``, ``executed``, ``cached``, ``failed``, ``retried``.
        worker_seconds: by operation, of the tasks that were executed.
        cpu_seconds: processor time of the run and its workers; None where they ran elsewhere.
        environment: versions, processor, cores, device, dtype.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = RUN_FOLDER_VERSION
    run: str
    name: str
    threatloop: str
    started: str
    seconds: float
    peak_memory_mib: float
    run_seed: int
    seeds: int
    command: str
    spec: dict[str, Any]
    targets: dict[str, dict[str, Any]]
    scenarios: dict[str, dict[str, Any]]
    attacks: dict[str, dict[str, Any]]
    conditions: dict[str, list[dict[str, Any]]] = {}
    victims: tuple[VictimNote, ...] = ()
    study: StudyNote | None = None
    metrics: dict[str, MetricNote]
    tasks: dict[str, int]
    worker_seconds: dict[str, float] = {}
    cpu_seconds: float | None = None
    environment: dict[str, Any]
    errors: tuple[Notice, ...] = ()
    not_assessed: tuple[Notice, ...] = ()
    self_checks: tuple[Notice, ...] = ()
    notes: tuple[str, ...] = ()
    gallery: tuple[GalleryItem, ...] = ()
