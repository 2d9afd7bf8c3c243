"""The shipped catalogue, with a release of ATLAS where it is there, through every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from threatloop.threats.catalogue import catalogue_graph
from threatloop.threats.exporters.graphml import graphml
from threatloop.threats.exporters.html import html
from threatloop.threats.exporters.navigator import navigator
from threatloop.threats.exporters.stix import stix
from threatloop.threats.exporters.tables import tables
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.atlas import read_atlas
from threatloop.threats.ontology import Kind
from threatloop.threats.queries.coverage import coverage


@pytest.fixture(scope="module", params=["catalogue", "with ATLAS"])
def shipped(request: pytest.FixtureRequest) -> ThreatGraph:
    found = catalogue_graph()
    if request.param == "with ATLAS":
        shared: Path = request.getfixturevalue("shared_data")
        read_atlas(shared / "ATLAS.yaml").add_to(found)
    return found


def test_the_page_shows_all_of_it(shipped: ThreatGraph) -> None:
    page = html(shipped)
    assert page.count('<g class="node ') == len(shipped)
    assert page.count('<path class="edge ') == len(list(shipped.edges()))
    assert len(page) < 3_000_000


def test_stix_parses_without_custom_content(shipped: ThreatGraph) -> None:
    stix2 = pytest.importorskip("stix2")
    bundle = stix2.parse(stix(shipped), allow_custom=False, version="2.1")
    kinds = [node.kind for node in shipped.nodes()]
    patterns = sum(kind in (Kind.THREAT, Kind.TECHNIQUE) for kind in kinds)
    assert sum(one["type"] == "attack-pattern" for one in bundle.objects) == patterns
    assert len({one["id"] for one in bundle.objects}) == len(bundle.objects)


def test_graphml_and_csv_hold_every_node_and_edge(shipped: ThreatGraph) -> None:
    networkx = pytest.importorskip("networkx")
    read = networkx.read_graphml(io.BytesIO(graphml(shipped).encode()), force_multigraph=True)
    rows = {name: list(csv.DictReader(io.StringIO(text, newline=""))) for name, text in tables(shipped).items()}
    edges = len(list(shipped.edges()))
    assert (read.number_of_nodes(), read.number_of_edges()) == (len(shipped), edges)
    assert (len(rows["nodes.csv"]), len(rows["edges.csv"])) == (len(shipped), edges)


def test_the_layer_names_techniques_of_the_graph_alone(shipped: ThreatGraph) -> None:
    layer = json.loads(navigator(shipped, coverage(shipped, ["lira", "badnets"])))
    scored = [one for one in layer["techniques"] if "score" in one]
    assert {one["techniqueID"] for one in scored} <= {node.id for node in shipped.nodes(Kind.TECHNIQUE)}
    assert {one["color"] for one in scored} == {item["color"] for item in layer["legendItems"]}
    assert any("measured by lira" in one["comment"] for one in scored)
