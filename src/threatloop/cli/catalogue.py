"""``threatloop catalogue``."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable
from typing import Any

from rich.table import Table

from threatloop.cli.console import console
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS, enable_plugins, nearest
from threatloop.core.errors import InputError

Rows = list[dict[str, Any]]


def run(kind: str, plugins: tuple[str, ...], json: bool) -> int:
    """Print one kind of row, or all."""
    enable_plugins(plugins)
    makers: dict[str, Callable[[], Rows]] = {"attacks": attacks, "defences": defences, "metrics": metrics, "data": data}
    if kind not in (*makers, "all"):
        allowed = ("all", *makers)
        raise InputError(f"unknown kind {kind!r}{nearest(kind, allowed)}; allowed: {', '.join(allowed)}")
    chosen = {name: make() for name, make in makers.items() if kind in (name, "all")}
    if json:
        print(json_module.dumps(chosen, ensure_ascii=False))
        return 0
    for name, rows in chosen.items():
        console().print(_table(name, rows))
    return 0


def attacks() -> Rows:
    """Every attack, grouped by direction."""
    rows = []
    for name in ATTACKS.names():
        info = ATTACKS.load(name).info
        rows.append(
            {
                "direction": info.direction.value,
                "name": name,
                "title": info.title,
                "needs": sorted(info.needs),
                "modalities": sorted(info.modalities),
                "knowledge": info.knowledge,
                "paper": info.paper,
                "atlas": list(info.atlas),
                "baseline": info.baseline,
            }
        )
    order = ["D→D", "D→M", "M→D", "M→M"]
    return sorted(rows, key=lambda row: (order.index(str(row["direction"])), row["paper"] == "baseline", row["name"]))


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


def _table(title: str, rows: Rows) -> Table:
    table = Table(title=title, title_justify="left", show_lines=False)
    wide = ("paper", "meaning", "knowledge")
    columns = [name for name in rows[0] if name not in ("baseline", "knowledge")] if rows else []
    for name in columns:
        table.add_column(name, overflow="fold", ratio=3 if name in wide else None)
    for row in rows:
        table.add_row(*(", ".join(row[name]) if isinstance(row[name], list) else str(row[name]) for name in columns))
    return table
