"""``threatloop catalogue``."""

from __future__ import annotations

import json as json_module
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from rich.markup import escape

from threatloop.cli.console import WIDTH, console
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS, enable_plugins, nearest
from threatloop.core.errors import InputError
from threatloop.core.step import AttackInfo

Rows = list[dict[str, Any]]


def run(kind: str, plugins: tuple[str, ...], json: bool, markdown: bool) -> int:
    """Print one kind of row, or all."""
    enable_plugins(plugins)
    if markdown:
        from threatloop.cli.reference import page

        print(page(), end="")
        return 0
    makers: dict[str, Callable[[], Rows]] = {"attacks": attacks, "defences": defences, "metrics": metrics, "data": data}
    if kind not in (*makers, "all"):
        allowed = ("all", *makers)
        raise InputError(f"unknown kind {kind!r}{nearest(kind, allowed)}; allowed: {', '.join(allowed)}")
    chosen = {name: make() for name, make in makers.items() if kind in (name, "all")}
    if json:
        print(json_module.dumps(chosen, ensure_ascii=False))
        return 0
    for name, rows in chosen.items():
        _show(name, rows)
    return 0


def attacks() -> Rows:
    """Every attack, by direction and by the access that it needs at most."""
    rows = []
    for name in ATTACKS.names():
        info = ATTACKS.load(name).info
        rows.append(
            {
                "direction": info.direction.value,
                "access": access(info),
                "name": name,
                "title": info.title,
                "needs": sorted(info.needs),
                "modalities": sorted(info.modalities),
                "assumes": info.knowledge,
                "paper": info.paper,
                "atlas": list(info.atlas),
                "baseline": info.baseline,
                "undoes": list(info.undoes),
            }
        )
    order = ["D→D", "D→M", "M→D", "M→M"]
    return sorted(
        rows,
        key=lambda row: (order.index(str(row["direction"])), ACCESS.index(str(row["access"])), str(row["name"])),
    )


def access(info: AttackInfo) -> str:
    """The most that an attack asks of a model, in a word; its configuration may ask for less."""
    return max((str(one) for one in info.needs), key=ACCESS.index, default=ACCESS[0])


def defences() -> Rows:
    """Every defence, by stage."""
    rows = []
    for name in DEFENCES.names():
        info = DEFENCES.load(name).info
        rows.append(
            {
                "stage": info.stage.value,
                "name": name,
                "title": info.title,
                "modalities": sorted(info.modalities),
                "paper": info.paper,
                "atlas": list(info.atlas),
            }
        )
    return sorted(rows, key=lambda row: (row["stage"], row["name"]))


def metrics() -> Rows:
    """Every metric, with its worst case and equivalence margin."""
    rows = []
    for name in METRICS.names():
        info = METRICS.load(name).info
        about = {"name": name, "title": info.title, "unit": info.unit, "worst": info.worst, "margin": info.margin}
        rows.append({**about, "meaning": info.meaning})
    return rows


def data() -> Rows:
    """Every kind of data source."""
    from threatloop.data.sources import catalogue_rows

    return catalogue_rows()


ACCESS = ("no access to a model", "labels", "scores", "logprobs", "text", "gradients", "weights", "tune")
"""From the least that an attacker may ask of a model to the most."""
GROUPED_BY = ("direction", "access", "stage")
BRIEF = ("needs", "modalities", "atlas", "baseline", "undoes", "unit", "worst", "margin", "options")
"""Facts that share a line, after those that get their own."""
INDENT, BETWEEN = 6, "   "


def _show(title: str, rows: Rows) -> None:
    """A list rather than a table: names stay whole and sentences stay readable at 100 columns."""
    out, group = console(), ""
    out.rule(title, align="left")
    for row in rows:
        found = " · ".join(str(row[name]) for name in GROUPED_BY if name in row)
        if found != group:
            group = found
            out.print(f"[bold]{group}[/]")
        out.print(f"  [bold]{escape(row['name'])}[/]  {escape(str(row.get('title', '')))}".rstrip())
        brief = [f"{name}: {_text(row[name])}" for name in BRIEF if name in row and _text(row[name])]
        others = [name for name in row if name not in (*GROUPED_BY, *BRIEF, "name", "title")]
        for line in (*(f"{name}: {_text(row[name])}" for name in others), *_packed(brief)):
            for part in textwrap.wrap(line, WIDTH - INDENT, subsequent_indent="  "):
                out.print(" " * INDENT + escape(part))


def _packed(facts: Sequence[str]) -> list[str]:
    """As many facts to a line as fit, none broken over two."""
    lines: list[str] = []
    for fact in facts:
        if lines and len(lines[-1]) + len(BETWEEN) + len(fact) <= WIDTH - INDENT:
            lines[-1] += BETWEEN + fact
        else:
            lines.append(fact)
    return lines


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "–" if value is None else str(value)
