"""``threatloop threats ingest`` and ``threatloop threats review``: documents in, reviewed edges out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_QUEUE = Path("threat-queue.jsonl")

INGEST = (
    "Examples: threatloop threats ingest report.pdf --atlas ATLAS.yaml   |   "
    "threatloop threats ingest *.html --atlas ATLAS.yaml --llm http://localhost:8000/v1 --llm-model NAME"
)
REVIEW = "Examples: threatloop threats review   |   threatloop threats review --graph FILE --accept 1a2b3c4d5e"

QueueFile = Annotated[Path, typer.Option("--queue", help="file of proposals; begun where there is none")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of tables")]
Ids = Annotated[list[str] | None, typer.Option(help="id of a proposal, or its first characters; may be repeated")]


def ingest(
    documents: Annotated[list[Path], typer.Argument(help="PDF, HTML, Markdown or text", show_default=False)],
    atlas: Annotated[Path | None, typer.Option("--atlas", help="release file; default: the graph's techniques")] = None,
    graph: Annotated[
        Path | None, typer.Option("--graph", help="graph file, for techniques and duplicates; default: the catalogue")
    ] = None,
    llm: Annotated[
        str | None, typer.Option("--llm", help="OpenAI-compatible endpoint; without one, retrieval alone proposes")
    ] = None,
    llm_model: Annotated[str | None, typer.Option("--llm-model", help="the model's name there")] = None,
    llm_key_env: Annotated[
        str, typer.Option("--llm-key-env", help="environment variable with the endpoint's key")
    ] = "THREATLOOP_LLM_KEY",
    llm_timeout: Annotated[
        float, typer.Option("--llm-timeout", min=1, max=3600, help="seconds to wait for an answer")
    ] = 60.0,
    queue: QueueFile = DEFAULT_QUEUE,
    json: Json = False,
) -> None:
    """Find techniques in documents and queue them, each with its passage, for review."""
    from threatloop.cli import threat_ingest as command

    request = command.Request(tuple(documents), atlas, graph, llm, llm_model, llm_key_env, llm_timeout, queue, json)
    raise typer.Exit(command.run(request))


def review(
    queue: QueueFile = DEFAULT_QUEUE,
    graph: Annotated[
        Path | None,
        typer.Option("--graph", help="graph file that accepted proposals go into; begun from the catalogue"),
    ] = None,
    accept: Ids = None,
    reject: Ids = None,
    accept_all: Annotated[bool, typer.Option("--accept-all", help="accept all that are open and not rejected")] = False,
    as_new: Annotated[
        bool, typer.Option("--as-new", help="accepted ones name new threats, even where the graph has one alike")
    ] = False,
    json: Json = False,
) -> None:
    """List proposals with their passages; accept or reject them. Only accepted ones enter the graph."""
    from threatloop.cli import threat_review as command

    request = command.Request(queue, graph, tuple(accept or ()), tuple(reject or ()), accept_all, as_new, json)
    raise typer.Exit(command.run(request))
