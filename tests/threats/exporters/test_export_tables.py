"""CSV: everything is there, and no cell of untrusted text is a formula."""

from __future__ import annotations

import csv
import io

import pytest

from threatloop.threats.exporters.tables import tables
from threatloop.threats.exporters.text import for_cell
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_nodes_and_edges_are_all_there(graph: ThreatGraph) -> None:
    found = tables(graph)
    nodes, edges = (_rows(found[name]) for name in ("nodes.csv", "edges.csv"))
    assert [row["id"] for row in nodes] == [node.id for node in graph.nodes()]
    first = nodes[0]
    assert (first["kind"], first["year"], first["score"], first["shipped"]) == ("threat", "2017", "0.5", "true")
    assert first["stages"] == "training; inference"
    assert [(row["source"], row["relation"], row["target"]) for row in edges] == [
        (edge.source, edge.relation.value, edge.target) for edge in graph.edges()
    ]
    measured = [row for row in edges if row["evidence"] == "measured" and row["effect"]]
    assert [(row["effect"], row["low"], row["n"], row["unit"]) for row in measured] == [
        ("-0.11", "-0.2", "12", "AUC"),
        ("0.1", "0.05", "12", ""),
    ]


def test_no_text_is_a_formula(graph: ThreatGraph) -> None:
    numeric = {"effect", "low", "high", "n", "year", "score"}
    for text in tables(graph).values():
        for row in _rows(text):
            for column, cell in row.items():
                assert column in numeric or not cell.lstrip()[:1] or cell.lstrip()[0] not in "=+-@", (column, cell)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t", "\n=", "＝", "＠", "\t="])
def test_what_a_spreadsheet_would_run_gets_a_quote(start: str) -> None:
    assert for_cell(f"{start}cmd()").startswith("'")


@pytest.mark.parametrize("text", ["plain", "a=b", "1e5", "<b>", "", "'quoted"])
def test_other_text_stays(text: str) -> None:
    assert for_cell(text) == text


def test_characters_that_are_not_seen_are_spelled_out() -> None:
    assert for_cell("a\x00\u202eb\r=c") == "a⟨U+0000⟩⟨U+202E⟩b⟨U+000D⟩=c"


def test_an_attribute_with_the_name_of_a_column_has_its_own() -> None:
    found = tables(ThreatGraph([Node("threat:a", Kind.THREAT, "a", attributes={"name": "other", "=x": 1})]))
    assert _rows(found["nodes.csv"]) == [
        {"id": "threat:a", "kind": "threat", "name": "a", "text": "", "'=x": "1", "attribute:name": "other"}
    ]
