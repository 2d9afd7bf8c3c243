"""A graph file says what the graph said, and a broken one is refused with every bad row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatloop.core.errors import InputError, Problems
from threatloop.threats import graph_file
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.graph_file import load_graph, save_graph
from threatloop.threats.ontology import Edge, Effect, Evidence, Kind, Node, Relation


def small() -> ThreatGraph:
    return ThreatGraph(
        [
            Node(
                "threat:a", Kind.THREAT, "A", "text\nof two lines", {"stages": ("training",), "year": 2024, "x": True}
            ),
            Node("threat:b", Kind.THREAT, "Ünïcode → \x00", attributes={"score": 0.5, "none": ()}),
        ],
        [
            Edge(
                "threat:a", Relation.ENABLES, "threat:b", "run r", Evidence.MEASURED, Effect(0.1, 0.05, 0.2, 12, "auc")
            ),
            Edge("threat:a", Relation.ENABLES, "threat:b", "paper", Evidence.PUBLISHED, attributes={"why": "it does"}),
        ],
    )


def same(a: ThreatGraph, b: ThreatGraph) -> bool:
    return [*a.nodes()] == [*b.nodes()] and [*a.edges()] == [*b.edges()]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "new" / "graph.parquet"
    save_graph(small(), file)
    assert same(load_graph(file), small())
    save_graph(ThreatGraph(), file)
    assert len(load_graph(file)) == 0
    assert [one.name for one in file.parent.iterdir()] == ["graph.parquet"]


values = st.text(max_size=5) | st.integers(-9, 9) | st.booleans() | st.lists(st.text(max_size=3), max_size=2).map(tuple)
facts = st.dictionaries(st.text(max_size=4), values, max_size=3)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(st.text(max_size=9), facts), max_size=6), st.data())
def test_any_graph_survives(
    tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, tuple[str, Any]], data: st.DataObject
) -> None:
    graph = ThreatGraph(Node(id_, Kind.TECHNIQUE, name, name, about) for id_, (name, about) in nodes.items())
    for _ in range(data.draw(st.integers(0, 5)) if nodes else 0):
        a, b = (data.draw(st.sampled_from(sorted(nodes))) for _ in range(2))
        source, evidence = data.draw(st.text(max_size=3)), data.draw(st.sampled_from(Evidence))
        graph.connect(Edge(a, Relation.PRECEDES, b, source, evidence, attributes=data.draw(facts)))
    file = tmp_path_factory.mktemp("any") / "g.parquet"
    save_graph(graph, file)
    assert same(load_graph(file), graph)


def rewritten(tmp_path: Path, **columns: list[Any]) -> Path:
    """The small graph with other columns: nodes are the rows 1 and 2, edges the rows 3 and 4."""
    file = tmp_path / "g.parquet"
    save_graph(small(), file)
    table = pq.read_table(file)
    for name, cells in columns.items():
        place = table.column_names.index(name)
        plain = pa.string() if pa.types.is_dictionary(table.schema.types[place]) else table.schema.types[place]
        table = table.set_column(place, name, pa.array(cells, plain))
    pq.write_table(table, file)
    return file


def test_every_bad_row_is_told(tmp_path: Path) -> None:
    file = rewritten(
        tmp_path,
        kind=["threat", "monster", "", ""],
        relation=["", "", "hates", "enables"],
        evidence=["", "", "measured", "published"],
    )
    with pytest.raises(Problems) as found:
        load_graph(file)
    assert [problem.split(":")[0] for problem in found.value.problems] == ["row 2", "row 3", "row 4"]
    told = "\n".join(found.value.problems)
    assert "'monster' is no kind; allowed: threat, tactic" in told
    assert "'hates' is no relation" in told
    assert "no node 'threat:b' in the graph" in told


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"low": [None, None, 0.3, None], "high": [None, None, 0.1, None]}, "upside down"),
        ({"low": [None, None, None, None]}, "without an interval and n"),
        ({"n": [None, None, 0, None]}, "n below 1"),
        ({"value": [None, None, float("inf"), None]}, "not finite"),
        ({"attributes": ["[]", "{}", "{}", "{}"]}, "no JSON object"),
        ({"attributes": ['{"a": null}', "{}", "{}", "{}"]}, "'a' is neither text"),
        ({"attributes": ["{", "{}", "{}", "{}"]}, "row 1"),
        ({"provenance": ["", "", None, "x"]}, "neither a node with an id nor an edge"),
        ({"relation": ["", "", "mitigated-by", "enables"]}, "goes from a threat to a threat"),
    ],
)
def test_cells_that_cannot_be(tmp_path: Path, columns: dict[str, list[Any]], told: str) -> None:
    with pytest.raises(Problems) as found:
        load_graph(rewritten(tmp_path, **columns))
    assert told in str(found.value)


def test_what_is_no_graph_file_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(file: Path) -> str:
        with pytest.raises(InputError) as found:
            load_graph(file)
        assert "\n" not in str(found.value)
        return str(found.value)

    assert "there is no such graph file" in told(tmp_path / "none")
    broken = tmp_path / "broken"
    broken.write_bytes(b"PAR1 and no more")
    assert "is no graph file, or damaged" in told(broken)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), other)
    assert "its metadata states no version" in told(other)
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"threatloop.threat_graph": "1"}), other)
    assert "the column id is missing" in told(other)
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"threatloop.threat_graph": "2"}), other)
    assert "written by a newer threatloop" in told(other)
    whole = tmp_path / "whole.parquet"
    save_graph(small(), whole)
    whole.write_bytes(whole.read_bytes()[:-200])
    assert "damaged" in told(whole)
    save_graph(small(), whole)
    monkeypatch.setattr(graph_file, "MOST_ROWS", 3)
    assert "holds 4 rows" in told(whole)


def test_a_place_that_cannot_be_written_leaves_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; name a file"):
        save_graph(small(), tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        save_graph(small(), tmp_path / "file" / "g.parquet")
    assert (tmp_path / "file").read_text() == "mine"
