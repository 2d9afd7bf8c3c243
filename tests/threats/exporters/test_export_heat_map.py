"""The heat map of coverage, as cells, page and table."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from threat_world import HOSTILE
from threatloop.threats.exporters.heat_map import coverage_page, coverage_table, heat_map
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node, Stage
from threatloop.threats.queries.coverage import Coverage, State, coverage


@pytest.fixture(scope="module")
def covered(graph: ThreatGraph) -> Coverage:
    return coverage(graph, ["lira", HOSTILE])


def test_four_directions_by_ten_stages_and_what_has_none(covered: Coverage) -> None:
    found = heat_map(covered)
    assert [band.direction for band in found.bands] == ["D→D", "D→M", "M→D", "M→M", "none of the four"]
    assert found.stages == (*(stage.value for stage in Stage), "unknown")
    assert {len(band.cells) for band in found.bands} == {11}
    assert [band.all.total for band in found.bands] == [0, 0, 1, 0, 1]


def test_a_threat_counts_in_each_of_its_stages_and_once_in_all(covered: Coverage) -> None:
    band = heat_map(covered).bands[2]
    counted = [stage for stage, cell in zip(heat_map(covered).stages, band.cells, strict=True) if cell.total]
    assert counted == ["training", "inference"]
    assert band.all.counts == {State.MEASURED: 1, State.MEASURABLE: 0, State.NOT_MEASURABLE: 0}
    assert band.cells[2].text == "M→D, training: 1 measured"
    assert band.cells[0].text == "M→D, data preparation: no threat in the graph"


def test_without_the_odd_ones_there_are_four_bands_and_ten_stages() -> None:
    graph = ThreatGraph([Node("threat:a", Kind.THREAT, "a", "", {"direction": "D→M", "stages": ("training",)})])
    found = heat_map(coverage(graph, ()))
    assert (len(found.bands), len(found.stages)) == (4, 10)


def test_the_page_is_escaped_and_says_why(graph: ThreatGraph, covered: Coverage) -> None:
    page = coverage_page(graph, covered, HOSTILE)
    assert "<script" not in page
    assert "script-src" not in page
    assert page.count("&lt;/script&gt;&lt;script&gt;alert(1)") >= 4
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "✓ measured" in page
    assert "no threat of the graph:" in page
    assert "AML.T0024.000" in page
    assert page == coverage_page(graph, covered, HOSTILE)


def test_large_counts_fit_too() -> None:
    stages = tuple(stage.value for stage in Stage)
    by_way: dict[str, list[tuple[str, ...]]] = {way: [("a",), ("b",), ()] for way in ("D→D", "D→M", "M→D", "M→M")}
    nodes = [
        Node(f"threat:{way}{i}", Kind.THREAT, "t", "", {"direction": way, "stages": stages, "measured_by": by})
        for way, attacks in (by_way | {"none": [()]}).items()
        for i, by in enumerate(attacks * 50)
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(coverage_table(coverage(ThreatGraph(nodes), ["a"])))
    assert console.export_text().count("✓50 ○50 –50") == 44


def test_the_table_fits_a_terminal(covered: Coverage) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(coverage_table(covered))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    row = next(line for line in text.splitlines() if line.split()[:1] == ["inference"])
    assert row.count("✓1") == 1
    for word in ("data preparation", "federated training", "all stages", "✓ measured", "– not measurable"):
        assert word in text, word
