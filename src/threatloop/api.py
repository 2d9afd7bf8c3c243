"""The audit as one call, for Python and for the command line alike: check, run, judge, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threatloop.core.errors import InputError, Problems

if TYPE_CHECKING:
    from threatloop.analysis.claims import Tested
    from threatloop.analysis.compare import Comparison
    from threatloop.analysis.ledger import Claim
    from threatloop.analysis.recommendation.advice import Advice
    from threatloop.analysis.summary import Summary
    from threatloop.analysis.thresholds import ThresholdResult
    from threatloop.core.measurement import RunRecord
    from threatloop.engine.plan import Plan
    from threatloop.engine.run import Options
    from threatloop.scenario.build import Audit

DEFAULT_STORE = ".threatloop/store"
DEFAULT_OUT = "threatloop-run"
DEFAULT_STUDY = "embedded"
INTERACTIONS = "interactions"
DEFENDED = "defended"
CLAIMS = "claims"

SpecLike = str | Path | Mapping[str, Any] | None


@dataclass(frozen=True)
class Result:
    """What an audit found, and where it lies.

    Attributes:
        summary: figures with baseline, interval and verdict; gates, enablements and loop gains of chains.
        record: what was run and where, and the lists *errors*, *not assessed* and *self-checks*.
        report: path of ``report.html``; ``report.json`` and ``junit.xml`` lie beside it.
        thresholds: every ``fail_on`` expression, judged.
    """

    summary: Summary
    record: RunRecord
    report: Path
    thresholds: tuple[ThresholdResult, ...] = ()

    @property
    def out(self) -> Path:
        """The run folder."""
        return self.report.parent

    @property
    def crossed(self) -> bool:
        """Whether any threshold is crossed."""
        return any(result.crossed for result in self.thresholds)


@dataclass(frozen=True)
class Hooks:
    """Where a run tells how far it is.

    Attributes:
        planned: called once with the plan and the number of tasks to run.
        advance: called after every task with tasks done, tasks to do and the label of the last one.
        stage: called with a line about each stage of a study.
    """

    planned: Callable[[Plan, int], None] = field(default=lambda _plan, _to_do: None)
    advance: Callable[[int, int, str], None] = field(default=lambda _done, _total, _label: None)
    stage: Callable[[str], None] = field(default=lambda _line: None)


def audit(
    spec: SpecLike = None,
    *,
    study: str | None = None,
    defences: bool = False,
    seeds: int | None = None,
    out: str | Path = DEFAULT_OUT,
    store: str = DEFAULT_STORE,
    backend: str = "processes",
    workers: int | None = None,
    fail_on: Sequence[str] = (),
    allow_unresolved: bool = False,
    show_records: bool = False,
    show_outputs: bool = False,
    allow_code: bool = False,
) -> Result:
    """Attack a model and its data, chain the attacks, measure everything, write a report.

    Args:
        spec: path of a spec (YAML or JSON), its content as a mapping, or None for the embedded data sets.
        study: a shipped study instead of a spec: ``embedded`` (the default) or ``catalogue``, which runs every attack.
        defences: repeat everything under the usual defences, one at a time, and say how each changes each attack;
            without a spec, on the embedded data sets with few attacks.
        seeds: independent seeds instead of the spec's, ≥ 1; verdicts need at least 12.
        out: the run folder to write; an older run folder there is replaced, anything else is refused.
        store: artefact store: a directory or an fsspec URL. A second run recomputes nothing that is in it.
        backend: ``inline``, ``processes``, ``ray`` or ``ray://HOST:PORT``.
        workers: worker processes; None takes one per core.
        fail_on: threshold expressions, such as ``risk(M→D) > 0.5``; judged in ``Result.thresholds``, failing closed.
        allow_unresolved: an unresolved figure does not count as crossed.
        show_records: show recovered private records in the report.
        show_outputs: show what models say to sensitive prompts in the report.
        allow_code: let the spec name code (``module:function``).

    Raises:
        InputError, Problems: a bad spec, bad data, a malformed threshold, an unusable place for the run folder.
        StoreError: the store is full, cannot be written or was written by a newer version.
    """
    from threatloop.engine.run import Options

    options = Options(store, Path(out), backend, workers, f"threatloop.audit() in {Path(sys.argv[0]).name or 'Python'}")
    checked = load_spec(spec, study=study, seeds=seeds, allow_code=allow_code, defences=defences)
    return execute(
        checked,
        options,
        Hooks(),
        fail_on=fail_on,
        allow_unresolved=allow_unresolved,
        show_records=show_records,
        show_outputs=show_outputs,
    )


def execute(
    checked: Audit,
    options: Options,
    hooks: Hooks,
    *,
    fail_on: Sequence[str] = (),
    allow_unresolved: bool = False,
    show_records: bool = False,
    show_outputs: bool = False,
) -> Result:
    """Run a checked spec and report it; see `audit`, which the command line shares through this."""
    from threatloop.engine.run import run_audit

    check_syntax(fail_on, checked)
    finished = run_audit(checked, options, hooks.advance, hooks.planned)
    return _reported(finished.out, fail_on, allow_unresolved, (show_records, show_outputs))


def study(
    spec: SpecLike = None,
    *,
    seeds: int | None = None,
    out: str | Path = DEFAULT_OUT,
    store: str = DEFAULT_STORE,
    backend: str = "processes",
    workers: int | None = None,
    exhaust: bool = False,
    show_records: bool = False,
    show_outputs: bool = False,
    allow_code: bool = False,
) -> Result:
    """Measure how attacks and defences change each other, seeds spent in two stages; see ``Result.summary.matrix``.

    Args:
        spec: path of a spec, its content as a mapping, or None for the shipped study ``interactions``.
        seeds: screening seeds instead of the spec's, ≥ 12.
        exhaust: give every cell that is open the most fresh seeds.
        out, store, backend, workers, show_records, show_outputs, allow_code: as for `audit`.

    Raises:
        InputError, Problems: as for `audit`; fewer than 12 seeds, nothing in the spec that could interact.
        StoreError: the store is full, cannot be written or was written by a newer version.
    """
    from threatloop.engine.run import Options

    options = Options(
        store, Path(out), backend, workers, f"threatloop.api.study() in {Path(sys.argv[0]).name or 'Python'}"
    )
    checked = load_spec(spec, study=INTERACTIONS if spec is None else None, seeds=seeds, allow_code=allow_code)
    return execute_study(
        checked, options, Hooks(), exhaust=exhaust, show_records=show_records, show_outputs=show_outputs
    )


def execute_study(
    checked: Audit,
    options: Options,
    hooks: Hooks,
    *,
    exhaust: bool = False,
    show_records: bool = False,
    show_outputs: bool = False,
) -> Result:
    """Run a checked spec as a study and report it; see `study`, which the command line shares through this."""
    from threatloop.study.run import Watchers, run_study

    watchers = Watchers(hooks.stage, hooks.planned, hooks.advance)
    finished = run_study(checked, options, watchers, exhaust=exhaust)
    return _reported(finished.out, (), False, (show_records, show_outputs))


def claims(
    only: Sequence[str] = (),
    *,
    out: str | Path = DEFAULT_OUT,
    store: str = DEFAULT_STORE,
    backend: str = "processes",
    workers: int | None = None,
) -> tuple[Tested, ...]:
    """Test published claims of how attacks and defences change each other.

    Args:
        only: ids of claims, as ``threatloop claims --list`` shows them; all of them where none is given.
        out, store, backend, workers: as for `audit`.

    Raises:
        InputError: there is no such claim; otherwise as for `audit`.
    """
    from threatloop.analysis.ledger import chosen
    from threatloop.engine.run import Options

    options = Options(
        store, Path(out), backend, workers, f"threatloop.claims() in {Path(sys.argv[0]).name or 'Python'}"
    )
    return execute_claims(load_spec(study=CLAIMS), chosen(only), options, Hooks())


def execute_claims(checked: Audit, chosen: Sequence[Claim], options: Options, hooks: Hooks) -> tuple[Tested, ...]:
    """Test claims on the study that they read; see `claims`, which the command line shares through this."""
    from threatloop.report.build import build
    from threatloop.study.claims import run_claims
    from threatloop.study.run import Watchers

    tested = run_claims(checked, chosen, options, Watchers(hooks.stage, hooks.planned, hooks.advance))
    build(options.out)
    return tested


def _reported(out: Path, fail_on: Sequence[str], allow_unresolved: bool, shown: tuple[bool, bool]) -> Result:
    from threatloop.analysis.summary import summarise
    from threatloop.analysis.thresholds import check_thresholds
    from threatloop.report.build import build
    from threatloop.runs.folder import read_run_folder

    folder = read_run_folder(out)
    summary = summarise(folder.record, folder.rows)
    thresholds = check_thresholds(fail_on, folder.record, summary, allow_unresolved)
    report = build(folder, None, *shown, fail_on=thresholds, summary=summary)
    return Result(summary, folder.record, report, thresholds)


def compare(before: str | Path, after: str | Path) -> Comparison:
    """What got better or worse between two runs, beyond noise.

    Args:
        before, after: run folders. Models, defences and conditions may differ; data, attacks and version must not.

    Raises:
        InputError: a run folder cannot be read.
        Problems: the runs cannot be compared, with everything that stands against it.
    """
    from threatloop.analysis.compare import compare as compared
    from threatloop.runs.folder import read_run_folder

    a, b = (read_run_folder(Path(folder)) for folder in (before, after))
    try:
        return compared((a.record, a.rows), (b.record, b.rows))
    except Problems as error:
        raise Problems(f"{before} and {after} cannot be compared", error.problems) from None


@dataclass(frozen=True)
class Recommendation:
    """What to turn on together.

    Attributes:
        advice: the front, the recommended set with intervals, and how far predictions can be trusted.
        yaml: the recommended set as a spec that is ready to run, on fresh seeds.
    """

    advice: Advice
    yaml: str


def recommend(
    run: str | Path,
    *,
    target: str | None = None,
    min_accuracy: float | None = None,
    max_train_cost: float | None = None,
    max_delay: float | None = None,
    max_size: int | None = None,
    folder: str | Path = ".",
) -> Recommendation:
    """Which set of defences to turn on, from a run that measured some.

    Args:
        run: a run folder whose spec has `defences`.
        target: of the run; may be left out where there is one.
        min_accuracy: test accuracy that a set must keep, in [0, 1].
        max_train_cost: most training time, relative to no defence, at least 1.
        max_delay: most time to answer, relative to no defence, at least 1.
        max_size: defences in a set; default: as many as the largest measured set has.
        folder: where the recommended spec is to be saved; the paths in it start from there.

    Raises:
        InputError: the run folder cannot be read or has nothing to choose from, or no set is within the limits; then
            the nearest is named.
    """
    from threatloop.analysis.recommendation.advice import Wishes
    from threatloop.analysis.recommendation.advise import advise
    from threatloop.analysis.recommendation.spec import as_yaml
    from threatloop.core.catalogue import exclusions
    from threatloop.runs.folder import read_run_folder
    from threatloop.scenario.moved import moved

    wishes = Wishes(min_accuracy, max_train_cost, max_size, max_delay)
    found = read_run_folder(Path(run))
    names = list(found.record.targets)
    if target is None and len(names) != 1:
        raise InputError(f"{run}: has the targets {', '.join(names)}; name one with --target")
    if target is not None and target not in names:
        raise InputError(f"target {target!r}: not in {run}; allowed: {', '.join(names)}")
    chosen = target or names[0]
    defences = {str(one["name"]) for members in found.record.conditions.values() for one in members}
    advice = advise(found.record, found.rows, chosen, exclusions(defences), wishes)
    record = found.record.model_copy(update={"spec": moved(found.record.spec, Path(run), Path(folder))})
    return Recommendation(advice, as_yaml(record, advice))


def load_spec(
    spec: SpecLike = None,
    *,
    study: str | None = None,
    seeds: int | None = None,
    allow_code: bool = False,
    defences: bool = False,
    model: str | None = None,
) -> Audit:
    """The checked spec, or a shipped study; ``seeds`` replaces its own, ``defences`` adds the usual ones.

    ``model`` is a base language model, for the study of one: ``smollm2``, a model's folder, or a GGUF file.

    Raises:
        InputError, Problems: everything wrong with it.
    """
    from threatloop.scenario.build import build, parse_spec, read_spec
    from threatloop.scenario.spec import MAX_SEEDS
    from threatloop.scenario.studies import LANGUAGE, language_study
    from threatloop.scenario.studies import study as shipped
    from threatloop.scenario.usual_defences import with_usual_defences

    if spec is not None and study is not None:
        raise InputError(f"both a spec and the study {study!r} were given; leave one out")
    if model is not None and (spec is not None or study is not None):
        raise InputError(
            "a model is audited by the study of language models; leave the spec or study out, or the model"
        )
    if model is not None:
        where, base = f"study {LANGUAGE} of {model}", Path.cwd()
        found = parse_spec(language_study(model, base), where)
    elif spec is None:
        name = study or (DEFENDED if defences else DEFAULT_STUDY)
        where, base = f"study {name}", Path.cwd()
        found = parse_spec(shipped(name), where)
    elif isinstance(spec, Mapping):
        where, base, found = "spec", Path.cwd(), parse_spec(spec, "spec", allow_code=allow_code)
    else:
        where, base, found = str(spec), Path(spec).absolute().parent, read_spec(Path(spec), allow_code=allow_code)
    if seeds is not None:
        if not 1 <= seeds <= MAX_SEEDS:
            raise InputError(f"seeds {seeds}: needs at least 1 and at most {MAX_SEEDS}; verdicts need 12")
        found = found.model_copy(update={"seeds": seeds})
    checked = build(found, base, allow_code=allow_code, where=where)
    return with_usual_defences(checked) if defences else checked


def check_syntax(expressions: Sequence[str], checked: Audit) -> None:
    """Refuse a bad threshold before any compute is spent.

    Raises:
        InputError: not well formed, or it names something that the run will not have.
    """
    from threatloop.analysis.threshold_syntax import Names, parse
    from threatloop.core.catalogue import ATTACKS

    steps = {ATTACKS.name_of(type(step)): step for scenario in checked.scenarios for step in scenario.steps}
    names = Names(
        tuple(checked.targets),
        {s.name: tuple(ATTACKS.name_of(type(step)) for step in s.steps) for s in checked.scenarios},
        {name: step.info.metrics for name, step in steps.items()},
    )
    for expression in expressions:
        parse(expression, names)
