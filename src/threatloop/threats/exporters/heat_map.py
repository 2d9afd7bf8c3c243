"""What an audit covers: four directions by ten lifecycle stages, for a page, the audit's report and a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from threatloop.core.step import Direction
from threatloop.threats.exporters.page import page
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node, Relation, Stage
from threatloop.threats.queries.coverage import Coverage, Covered, State

if TYPE_CHECKING:
    from rich.table import Table

NO_DIRECTION: Final = "none of the four"
MARKS: Final[Mapping[str, str]] = {State.MEASURED: "✓", State.MEASURABLE: "○", State.NOT_MEASURABLE: "–"}
"""A mark for each state, that needs no colour."""
_COLOURS: Final = {State.MEASURED: "green", State.MEASURABLE: "yellow", State.NOT_MEASURABLE: "bright_black"}


@dataclass(frozen=True)
class Cell:
    """Threats by state.

    Attributes:
        text: the same in words.
    """

    counts: Mapping[State, int]
    text: str

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Band:
    """One direction: a cell for each stage, one for all of its threats, and the threats, the measured ones first."""

    direction: str
    cells: tuple[Cell, ...]
    all: Cell
    threats: tuple[Covered, ...]


@dataclass(frozen=True)
class HeatMap:
    """The whole map: ``stages`` are its columns, ``all`` counts every threat once.

    Attributes:
        unplaced: attacks that were measured and that no threat names.
    """

    stages: tuple[str, ...]
    bands: tuple[Band, ...]
    all: Cell
    unplaced: tuple[str, ...]


def heat_map(coverage: Coverage) -> HeatMap:
    """Arrange what is covered.

    A threat counts in every stage it occurs in. A fifth band holds threats that are no arrow between data and models, a
    further column those without a stage; both only where there are any.
    """
    used = {cell for one in coverage.threats for cell in one.cells}
    stages = _names(Stage, (stage for _, stage in used))
    directions = _names(Direction, (direction for direction, _ in used))
    bands = tuple(_band(direction, stages, coverage.threats) for direction in directions)
    return HeatMap(stages, bands, _cell("in all", coverage.threats), coverage.unplaced)


def _names(known: type[Stage] | type[Direction], used: Iterable[str]) -> tuple[str, ...]:
    named = [one.value for one in known]
    return (*named, *sorted(set(used).difference(named)))


def _band(direction: str, stages: Iterable[str], threats: Iterable[Covered]) -> Band:
    here = [one for one in threats if any(of == direction for of, _ in one.cells)]
    name = direction if direction in list(Direction) else NO_DIRECTION
    parts = ((stage, (one for one in here if (direction, stage) in one.cells)) for stage in stages)
    cells = tuple(_cell(f"{name}, {stage}", found) for stage, found in parts)
    order = list(State)
    return Band(name, cells, _cell(name, here), tuple(sorted(here, key=lambda one: order.index(one.state))))


def _cell(what: str, threats: Iterable[Covered]) -> Cell:
    found = Counter(one.state for one in threats)
    told = ", ".join(f"{found[state]} {state}" for state in State if found[state])
    return Cell({state: found[state] for state in State}, f"{what}: {told or 'no threat in the graph'}")


def coverage_page(graph: ThreatGraph, coverage: Coverage, title: str = "Threat coverage") -> str:
    """A page with the map, and every threat with the attacks that measure it or the reason why none does."""
    techniques = {node.id: _techniques(graph, node) for node in graph.nodes(Kind.THREAT)}
    values: dict[str, Any] = {"title": title, "map": heat_map(coverage), "marks": MARKS, "techniques": techniques}
    return page("coverage.html.j2", ["coverage.css", "heat_map.css"], **values)


def _techniques(graph: ThreatGraph, threat: Node) -> tuple[str, ...]:
    used = dict.fromkeys(edge.target for edge in graph.out(threat.id, Relation.USES))
    return tuple(id_ for id_ in used if graph.node(id_).kind is Kind.TECHNIQUE)


def coverage_table(coverage: Coverage) -> Table:
    """The map for a terminal of 80 columns: a row for each stage, a column for each direction."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = heat_map(coverage)
    legend = "  ".join(f"{mark} {state}" for state, mark in MARKS.items())
    table = Table(title="Threats by lifecycle stage and direction", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = f"{legend}  · none in the graph"
    table.add_column("stage", no_wrap=True)
    for band in found.bands:
        table.add_column(band.direction.removesuffix(" of the four"), justify="right")

    def shown(cell: Cell) -> Text:
        parts = [Text(f"{MARKS[state]}{n}", _COLOURS[state]) for state, n in cell.counts.items() if n]
        return Text(" ").join(parts) if parts else Text("·", "bright_black")

    for place, stage in enumerate(found.stages):
        table.add_row(Text(stage), *(shown(band.cells[place]) for band in found.bands))
    table.add_section()
    table.add_row("all stages", *(shown(band.all) for band in found.bands))
    return table
