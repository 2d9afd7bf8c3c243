"""``threatloop threats``: the options of its commands; each is carried out in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from threatloop.cli import threat_documents

threats_app = typer.Typer(
    help="The threat knowledge graph: which threats apply, which were measured, and the paths between them.",
    epilog="Start: threatloop threats search backdoor   |   threatloop threats coverage threatloop-run",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


GraphFile = Annotated[
    Path | None,
    typer.Option("--graph", help="graph file, as `threats import` writes it; default: the shipped catalogue"),
]
AtlasFile = Annotated[Path | None, typer.Option("--atlas", help="add a release of MITRE ATLAS (ATLAS.yaml)")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of tables")]


@threats_app.command(
    epilog="Examples: threatloop threats show membership-inference   |   threatloop threats show AML.T0020 --atlas F"
)
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="id or name of a node")],
    graph: GraphFile = None,
    atlas: AtlasFile = None,
    json: Json = False,
) -> None:
    """One node: what it is, and every edge with its provenance and evidence."""
    from threatloop.cli import threat_nodes as command

    raise typer.Exit(command.show(id_, graph, atlas, json))


@threats_app.command(
    epilog="Examples: threatloop threats search poisoning   |   threatloop threats search stolen model --kind threat"
)
def search(
    words: Annotated[list[str], typer.Argument(help="words of names and texts, or an id")],
    kind: Annotated[str | None, typer.Option("--kind", help="only these nodes, such as threat or technique")] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="how many nodes at most")] = 20,
    graph: GraphFile = None,
    atlas: AtlasFile = None,
    json: Json = False,
) -> None:
    """Nodes by words, the best match first."""
    from threatloop.cli import threat_nodes as command

    raise typer.Exit(command.search(" ".join(words), kind, most, graph, atlas, json))


@threats_app.command(epilog="Example: threatloop threats paths --from backdoor-poisoning --to stage:inference --k 3")
def paths(
    start: Annotated[str, typer.Option("--from", help="id or name of the first node")],
    end: Annotated[str, typer.Option("--to", help="id or name of the last node")],
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="how many paths at most")] = 5,
    graph: GraphFile = None,
    atlas: AtlasFile = None,
    json: Json = False,
) -> None:
    """The most plausible loopless paths: by measured effects where there are any, else by level of evidence."""
    from threatloop.cli import threat_paths as command

    raise typer.Exit(command.run(start, end, k, graph, atlas, json))


@threats_app.command(
    epilog="Examples: threatloop threats coverage threatloop-run   |   "
    "threatloop threats coverage threatloop-run --html coverage.html"
)
def coverage(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    html: Annotated[Path | None, typer.Option("--html", help="also write the heat map as a page")] = None,
    everything: Annotated[bool, typer.Option("--all", help="list every threat, not the first of each state")] = False,
    graph: GraphFile = None,
    atlas: AtlasFile = None,
    json: Json = False,
) -> None:
    """Which threats a run has measured, which it could have, and which cannot be measured here, with the reason."""
    from threatloop.cli import threat_coverage as command

    raise typer.Exit(command.run(run, html, everything, graph, atlas, json))


@threats_app.command(
    epilog="Examples: threatloop threats rank --corpus corpus.jsonl   |   threatloop threats rank --graph graph.parquet"
)
def rank(
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", help="repositories as `scan --corpus` writes them, or a study's folder of tables"),
    ] = None,
    graph: Annotated[Path | None, typer.Option("--graph", help="graph file, as `threats import` writes it")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="how many places to show")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="of folds and resamples")] = 0,
    json: Json = False,
) -> None:
    """Vulnerabilities and dependencies of a set of repositories, the worst first, without CVSS."""
    from threatloop.cli import threat_rank as command

    raise typer.Exit(command.run(command.Request(corpus, graph, json, top, seed)))


@threats_app.command(epilog="Example: threatloop threats stats --atlas ATLAS.yaml")
def stats(graph: GraphFile = None, atlas: AtlasFile = None, json: Json = False) -> None:
    """What the graph holds: nodes, edges by evidence, threats by direction and stage, hubs."""
    from threatloop.cli import threat_stats as command

    raise typer.Exit(command.run(graph, atlas, json))


@threats_app.command(
    "import",
    epilog="Example: threatloop threats import --atlas ATLAS.yaml --osv advisories.zip --run threatloop-run "
    "--out graph.parquet",
)
def import_(
    out: Annotated[Path, typer.Option("--out", help="graph file to write")],
    graph: GraphFile = None,
    atlas: AtlasFile = None,
    osv: Annotated[list[Path] | None, typer.Option("--osv", help="OSV advisories: zip, folder or file")] = None,
    sbom: Annotated[
        list[str] | None,
        typer.Option("--sbom", help="[NAME=]PATH of a repository: CycloneDX, a lock, a manifest, or a folder of them"),
    ] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option("--corpus", help="many repositories, as `scan --corpus` writes them")
    ] = None,
    incidents: Annotated[bool, typer.Option("--incidents", help="the data set of the genai-incidents package")] = False,
    run: Annotated[list[Path] | None, typer.Option("--run", help="run folder: what an audit measured")] = None,
    json: Json = False,
) -> None:
    """Add sources to a graph and write it to a file; what was left out is told, with the reason."""
    from threatloop.cli import threat_import as command

    sources = command.Sources(
        atlas, tuple(osv or ()), tuple(sbom or ()), tuple(corpus or ()), incidents, tuple(run or ())
    )
    raise typer.Exit(command.run(sources, graph, out, json))


@threats_app.command(epilog="Example: threatloop threats export --format stix --out threats.json --atlas ATLAS.yaml")
def export(
    format_: Annotated[str, typer.Option("--format", help="graphml, stix, navigator, csv, html or heat-map")],
    out: Annotated[Path, typer.Option("--out", help="file to write; of csv, a folder")],
    run: Annotated[Path | None, typer.Option("--run", help="run folder whose coverage counts as score")] = None,
    around: Annotated[list[str] | None, typer.Option("--around", help="html: draw what is near this node")] = None,
    graph: GraphFile = None,
    atlas: AtlasFile = None,
    json: Json = False,
) -> None:
    """Write the graph in a format of another tool, or as an interactive page."""
    from threatloop.cli import threat_export as command

    raise typer.Exit(command.run(format_, out, run, tuple(around or ()), graph, atlas, json))


threats_app.command(epilog=threat_documents.INGEST)(threat_documents.ingest)
threats_app.command(epilog=threat_documents.REVIEW)(threat_documents.review)
