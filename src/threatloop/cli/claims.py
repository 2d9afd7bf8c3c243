"""``threatloop claims``."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from threatloop.cli.audit import command_line
from threatloop.cli.console import console
from threatloop.cli.progress import Progress
from threatloop.report.machine import plain
from threatloop.report.numbers import count, difference, number, probability

if TYPE_CHECKING:
    from threatloop.analysis.claims import Tested
    from threatloop.analysis.ledger import Claim

STYLES = {"holds": "green", "opposite": "red", "does not hold": "yellow"}


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    only: tuple[str, ...]
    show: bool
    seeds: int | None
    backend: str
    workers: int | None
    store: str
    out: Path
    json: bool


def run(request: Request) -> int:
    """Test the chosen claims and print the verdict beside each; returns the exit status."""
    from threatloop.analysis.ledger import chosen
    from threatloop.api import CLAIMS, Hooks, execute_claims, load_spec
    from threatloop.engine.run import Options

    claims = chosen(request.only)
    if request.show:
        _list(claims, request.json)
        return 0
    options = Options(request.store, request.out, request.backend, request.workers, command_line())
    with Progress(quiet=request.json) as progress:
        hooks = Hooks(progress.planned, progress.advance, progress.stage)
        checked = load_spec(study=CLAIMS, seeds=request.seeds)
        tested = execute_claims(checked, claims, options, hooks)
    if request.json:
        print(json_module.dumps([plain(one) for one in tested], ensure_ascii=False, indent=1))
    else:
        _tell(tested, request.out)
    return 0


def _list(claims: Sequence[Claim], json: bool) -> None:
    if json:
        print(json_module.dumps([claim.model_dump(mode="json") for claim in claims], ensure_ascii=False, indent=1))
        return
    out = console()
    for claim in claims:
        out.print(f"[bold]{escape(claim.id)}[/] ({claim.expected})  {escape(claim.claim)}")
        out.print(escape(f"  {claim.source}; {claim.setting}: {claim.reported} ({claim.evidence})"), style="dim")
        out.print(escape(f"  here: {claim.test}"), style="dim")


def _tell(tested: Sequence[Tested], folder: Path) -> None:
    out = console()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("claim", max_width=33, overflow="fold")
    for name in ("said", "A", "B", "A − B", "q", "seeds"):
        table.add_column(name, justify="left" if name == "said" else "right")
    table.add_column("here", max_width=13)
    for one in tested:
        style = STYLES.get(one.reading, "dim")
        table.add_row(*(escape(cell) for cell in row(one)), f"[{style}]{one.reading}[/]")
    out.print(table)
    words = [one.reading for one in tested]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    out.print(f"{count(len(tested), 'claim')}: {counts}")
    for one in tested:
        if one.reading in ("unresolved", "not computed"):
            out.print(escape(f"{one.claim.id}: {one.why}"), style="dim")
    out.print(
        "A and B are the two readings of each test (threatloop claims --list); run folder: " + escape(str(folder))
    )


def row(one: Tested) -> tuple[str, ...]:
    """The figures of a claim's test, as text."""
    sides = ["–" if value is None else number(value) for value in (one.measured, one.against)]
    if one.effect is None:
        return one.claim.id, one.claim.expected, *sides, "–", "–", str(one.screened)
    q = one.effect.q_equivalence if one.effect.verdict == "no effect" else one.effect.q
    spent = f"{one.screened}+{one.tested}"
    return one.claim.id, one.claim.expected, *sides, difference(one.effect), probability(q), spent
