"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from threatloop.cli.console import console, fail
from threatloop.cli.threats import threats_app

INTERRUPTED = 130


class _Commands(TyperGroup):
    """Says what a Ctrl-C leaves behind; typer itself would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("stopped; what is done is kept in the store, and the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="threatloop",
    cls=_Commands,
    help="Audit a model and its data in the closed loop: attacks in all four directions, chained and measured.",
    epilog="Start: threatloop audit   |   your own model: threatloop schema, then threatloop audit SPEC.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="Look into the artefact store, or clear it up.", no_args_is_help=True)
app.add_typer(store_app, name="store")
app.add_typer(threats_app, name="threats")

SpecPath = Annotated[
    Path | None, typer.Argument(help="a spec (YAML or JSON); without one, the embedded data sets", show_default=False)
]
Study = Annotated[
    str | None,
    typer.Option(
        "--study",
        help="a shipped study instead of a spec: embedded (default), catalogue (all attacks), interactions, defended, "
        "claims",
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", help="independent seeds, instead of the spec's")]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="THREATLOOP_STORE", help="artefact store: a directory or an fsspec URL")
]
BackendOption = Annotated[str, typer.Option("--backend", help="inline, processes, ray, or ray://HOST:PORT")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="worker processes; default: one per core")]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="let the spec name code (module:function); read it first")
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of tables")]

ShowOutputs = Annotated[
    bool, typer.Option("--show-outputs", help="show what models say to the prompts of a sensitive set")
]

DEFAULT_STORE = ".threatloop/store"
DEFAULT_OUT = Path("threatloop-run")


@app.command(epilog="Examples: threatloop audit   |   threatloop audit spec.yaml --fail-on 'lira.membership > 0.7'")
def audit(
    spec: SpecPath = None,
    study: Study = None,
    defences: Annotated[
        bool,
        typer.Option(
            "--defences", help="try the usual defences too, one at a time, and print how each changes each attack"
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", help="audit a language model: smollm2, a Hugging Face folder, or a .gguf file"),
    ] = None,
    seeds: Seeds = None,
    backend: BackendOption = "processes",
    workers: Workers = None,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path, typer.Option("--out", help="run folder to write")] = DEFAULT_OUT,
    fail_on: Annotated[
        list[str] | None, typer.Option("--fail-on", help="exit with 3 when this is crossed, e.g. 'risk(M→D) > 0.5'")
    ] = None,
    allow_unresolved: Annotated[
        bool, typer.Option("--allow-unresolved", help="an unresolved figure does not count as crossed")
    ] = False,
    show_records: Annotated[
        bool, typer.Option("--show-records", help="show recovered private records in the report")
    ] = False,
    show_outputs: ShowOutputs = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Attack a model and its data, chain the attacks, measure everything, write a report."""
    from threatloop.cli import audit as command

    raise typer.Exit(
        command.run(
            command.Request(
                spec,
                study,
                seeds,
                backend,
                workers,
                store,
                out,
                tuple(fail_on or ()),
                allow_unresolved,
                show_records,
                show_outputs,
                allow_code,
                json,
                defences,
                model,
            )
        )
    )


@app.command(epilog="Examples: threatloop study   |   threatloop study spec.yaml --out interactions")
def study(
    spec: Annotated[
        Path | None,
        typer.Argument(
            help="a spec with `defences` or chains of two; without one, the shipped study", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="screening seeds, instead of the spec's; at least 12")
    ] = None,
    exhaust: Annotated[bool, typer.Option("--exhaust", help="30 fresh seeds for every cell that is open")] = False,
    backend: BackendOption = "processes",
    workers: Workers = None,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path, typer.Option("--out", help="run folder to write")] = DEFAULT_OUT,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Measure how attacks and defences change each other: 12 seeds screen, fresh ones are tested once."""
    from threatloop.cli import study as command

    raise typer.Exit(command.run(command.Request(spec, seeds, exhaust, backend, workers, store, out, allow_code, json)))


@app.command(epilog="Examples: threatloop claims --list   |   threatloop claims --only truth-serum-membership")
def claims(
    only: Annotated[list[str] | None, typer.Option("--only", help="id of a claim; may be repeated")] = None,
    show: Annotated[bool, typer.Option("--list", help="print the ledger and run nothing")] = False,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", help="screening seeds, instead of 12; with fewer every claim stays unresolved"),
    ] = None,
    backend: BackendOption = "processes",
    workers: Workers = None,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path, typer.Option("--out", help="run folder to write")] = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Test published claims of how attacks and defences change each other, and print the verdict beside each."""
    from threatloop.cli import claims as command

    chosen = tuple(only or ())
    raise typer.Exit(command.run(command.Request(chosen, show, seeds, backend, workers, store, out, json)))


@app.command(epilog="Examples: threatloop plan spec.yaml --seeds 3   |   threatloop plan spec.yaml --for study")
def plan(
    spec: SpecPath = None,
    study: Study = None,
    command_for: Annotated[
        str,
        typer.Option("--for", help="the command that will run it: audit, study (screening, and at most), claims"),
    ] = "audit",
    defences: Annotated[bool, typer.Option("--defences", help="as for audit: with the usual defences")] = False,
    seeds: Seeds = None,
    workers: Workers = None,
    store: StoreOption = DEFAULT_STORE,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Dry run: the tasks, what is in the store already, estimated time and memory."""
    from threatloop.cli import plan as command

    request = command.Request(spec, study, command_for, defences, seeds, workers, store, allow_code, json)
    raise typer.Exit(command.run(request))


@app.command(epilog="Examples: threatloop catalogue   |   threatloop catalogue attacks --json")
def catalogue(
    kind: Annotated[str, typer.Argument(help="all, attacks, defences, metrics or data")] = "all",
    plugin: Annotated[list[str] | None, typer.Option("--plugin", help="enable an installed distribution")] = None,
    json: Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="attacks and defences as a page, from docstrings")
    ] = False,
) -> None:
    """Attacks, defences, metrics and data sets, with capabilities, paper and ATLAS ids."""
    from threatloop.cli import catalogue as command

    raise typer.Exit(command.run(kind, tuple(plugin or ()), json, markdown))


@app.command(epilog="Example: threatloop report threatloop-run --show-records")
def report(
    run: Annotated[Path, typer.Argument(help="a run folder")] = DEFAULT_OUT,
    out: Annotated[Path | None, typer.Option("--out", help="folder for the files; default: the run folder")] = None,
    show_records: Annotated[bool, typer.Option("--show-records", help="show recovered private records")] = False,
    show_outputs: ShowOutputs = False,
) -> None:
    """Rebuild report.html, report.json and junit.xml from a run folder."""
    from threatloop.cli import report as command

    raise typer.Exit(command.run(run, out, show_records, show_outputs))


@app.command(epilog="Example: threatloop compare baseline-run threatloop-run --fail-on-worse")
def compare(
    before: Annotated[Path, typer.Argument(help="run folder of the earlier state")],
    after: Annotated[Path, typer.Argument(help="run folder of the later state")],
    fail_on_worse: Annotated[
        bool, typer.Option("--fail-on-worse", help="exit with 3 when something got worse")
    ] = False,
    allow_unresolved: Annotated[
        bool, typer.Option("--allow-unresolved", help="figures that are lost, or too few seeds, do not count as worse")
    ] = False,
    json: Json = False,
) -> None:
    """What got better or worse beyond noise between two runs, of other models or defences on the same data."""
    from threatloop.cli import compare as command

    raise typer.Exit(command.run(before, after, fail_on_worse, allow_unresolved, json))


@app.command(epilog="Example: threatloop recommend threatloop-run --min-accuracy 0.9 --max-train-cost 3x")
def recommend(
    run: Annotated[Path, typer.Argument(help="a run folder with sets of defences")] = DEFAULT_OUT,
    target: Annotated[str | None, typer.Option("--target", help="of the run, where it has several")] = None,
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", help="test accuracy that a set must keep, such as 0.9")
    ] = None,
    max_train_cost: Annotated[
        str | None, typer.Option("--max-train-cost", help="most training time, relative to no defence, such as 3x")
    ] = None,
    max_delay: Annotated[
        str | None, typer.Option("--max-delay", help="most time to answer, relative to no defence, such as 3x")
    ] = None,
    max_size: Annotated[
        int | None, typer.Option("--max-size", min=1, help="defences in a set; default: as the largest measured set")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="file for the recommended spec (YAML)")] = None,
    json: Json = False,
) -> None:
    """Which defences to turn on together: the Pareto front over risk per direction, accuracy and cost."""
    from threatloop.cli import recommend as command

    raise typer.Exit(
        command.run(command.Request(run, target, min_accuracy, max_train_cost, max_delay, max_size, out, json))
    )


@app.command(epilog="Example: threatloop schema > spec.schema.json")
def schema() -> None:
    """The JSON Schema of a spec, for editors."""
    from threatloop.cli import schema as command

    raise typer.Exit(command.run())


@app.command(
    epilog="Examples: threatloop scan .   |   threatloop scan . --advisories osv.zip --fail-on high   |   "
    "threatloop scan model.pt   |   threatloop scan . --format sarif --out scan.sarif"
)
def scan(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="repositories, manifests, lock files, SBOMs, model files or folders", show_default=False),
    ] = None,
    advisories: Annotated[
        Path | None,
        typer.Option("--advisories", help="advisories in the OSV schema, zip or folder; no network is used"),
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="ask the advisory services of the network")] = False,
    environment: Annotated[bool, typer.Option("--environment", help="the packages installed here, too")] = False,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", help="a file that lists repositories: scan them all, for `threats`")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="findings that were accepted, with reasons (YAML)")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", help="write such a file of what is found now")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="for all new entries of the written baseline")] = "",
    by: Annotated[str, typer.Option("--by", help="who accepts these entries")] = "",
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", help="exit with 3 on a finding this bad: critical, high, medium or low")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit with 3 when anything was not assessed: errors, skipped places")
    ] = False,
    format: Annotated[str, typer.Option("--format", help="table, json, sarif, cyclonedx or html")] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="write to this file instead of printing")] = None,
    no_code: Annotated[bool, typer.Option("--no-code", help="leave Python files and notebooks out")] = False,
    no_models: Annotated[bool, typer.Option("--no-models", help="leave model files out")] = False,
    no_dependencies: Annotated[bool, typer.Option("--no-dependencies", help="leave manifests out")] = False,
    everything: Annotated[bool, typer.Option("--all", help="print every finding and place, however many")] = False,
) -> None:
    """Find what dependencies, model files and code open to attack. What is scanned is read, never loaded or run."""
    from threatloop.cli import scan as command

    request = command.Request(
        tuple(paths or ()), advisories, online, environment, corpus, baseline, write_baseline, reason, by, fail_on,
        strict, format, out, not no_code, not no_models, not no_dependencies, everything,
    )  # fmt: skip
    raise typer.Exit(command.run(request))


@store_app.command("stats", epilog="Example: threatloop store stats --store s3://bucket/prefix")
def store_stats(store: StoreOption = DEFAULT_STORE, json: Json = False) -> None:
    """How many artefacts, how large."""
    from threatloop.cli import store as command

    raise typer.Exit(command.stats(store, json))


@store_app.command("gc", epilog="Example: threatloop store gc --older-than 30 --dry-run")
def store_gc(
    store: StoreOption = DEFAULT_STORE,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="remove artefacts written more days ago than this")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="remove every artefact")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Remove old artefacts and what killed runs left behind."""
    from threatloop.cli import store as command

    raise typer.Exit(command.gc(store, older_than, everything, dry_run))


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[bool, typer.Option("--version", help="print the version and stop", is_eager=True)] = False,
) -> None:
    if version:
        from importlib import metadata

        console().print(f"threatloop {metadata.version('threatloop')}")
        raise typer.Exit(0)


def run() -> None:
    """Entry point: expected errors become one clear line and exit status 2; Ctrl-C keeps what is done."""
    # Plans and tables live until the end: collecting garbage among them every few hundred objects costs a tenth.
    gc.set_threshold(100_000, 50, 50)
    from threatloop.core.errors import ThreatloopError

    try:
        app()
    except ThreatloopError as error:
        fail(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
