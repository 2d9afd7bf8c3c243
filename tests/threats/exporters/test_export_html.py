"""The page of the graph: self-contained, escaped, complete, and cut where it is too large."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from typing import Any

import pytest

from threat_world import HOSTILE
from threatloop.core.errors import InputError
from threatloop.threats.exporters.html import html
from threatloop.threats.exporters.layers import BOX, TALLEST, layout
from threatloop.threats.exporters.neighbourhood import part
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Effect, Evidence, Kind, Node, Relation


@pytest.fixture(scope="module")
def page(graph: ThreatGraph) -> str:
    return html(graph)


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


def test_hostile_text_never_becomes_markup(page: str) -> None:
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<!-- " not in page
    assert not re.search(r"\son\w+=", page)
    assert "\x00" not in page
    assert "\u202e" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    hostile = next(node for node in _data(page)["nodes"] if node["id"] == "threat:hostile")
    assert hostile["name"] == HOSTILE.replace("\x01", "⟨U+0001⟩").replace("\x00", "⟨U+0000⟩").replace(
        "\u202e", "⟨U+202E⟩"
    ).replace("\ufffe", hostile["name"][hostile["name"].index("=cmd") - 2])


def test_only_its_own_script_and_style_may_run(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        assert body
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_it_refers_to_nothing_outside_itself(page: str) -> None:
    links = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"(?:fetch|XMLHttpRequest|WebSocket|import)\s*\(", page)


def test_every_node_and_edge_is_drawn(page: str, graph: ThreatGraph) -> None:
    data = _data(page)
    assert page.count('<g class="node ') == len(data["nodes"]) == len(graph)
    assert page.count('<path class="edge ') == len(data["edges"]) == len(list(graph.edges()))
    sizes = [edge[5] for edge in data["edges"] if edge[5]]
    assert sizes == ["-0.11 AUC [-0.2, -0.02], n = 12", "0.1 [0.05, 0.15], n = 12"]
    assert "nodes are drawn" not in page


def test_the_same_graph_makes_the_same_page(graph: ThreatGraph, page: str) -> None:
    assert html(graph) == page


def _star(n: int) -> ThreatGraph:
    hub = Node("package:pypi/hub", Kind.PACKAGE, "hub")
    nodes = [Node(f"CVE-2024-{10000 + i}", Kind.VULNERABILITY, f"v{i}") for i in range(n)]
    nodes += [Node("threat:a", Kind.THREAT, "a"), Node("threat:far", Kind.THREAT, "far"), hub]
    edges = [Edge(node.id, Relation.AFFECTS, hub.id, "OSV", Evidence.PUBLISHED) for node in nodes[:n]]
    for target in ("CVE-2024-10007", "CVE-2024-10003"):
        edges.append(Edge("threat:a", Relation.EXPLOITS, target, "p", Evidence.ASSERTED))
    edges.append(Edge("threat:a", Relation.ENABLES, "threat:far", "r", Evidence.MEASURED, Effect(1, 0, 2, 12)))
    return ThreatGraph(nodes, edges)


def test_a_large_graph_is_cut_and_says_so() -> None:
    graph = _star(5000)
    page = html(graph)
    assert "900 of 5,003 nodes are drawn: those nearest to the threats" in page
    assert len(_data(page)["nodes"]) == 900
    assert {"threat:a", "threat:far", "CVE-2024-10003"} <= {node["id"] for node in _data(page)["nodes"]}


def test_a_neighbourhood_can_be_chosen() -> None:
    found = part(_star(50), ["threat:far"], most=3)
    assert [node.id for node in found.nodes] == ["CVE-2024-10003", "threat:a", "threat:far"]
    assert [edge.target for edge in found.edges] == ["CVE-2024-10003", "threat:far"]
    assert found.line.startswith("3 of 53 nodes are drawn: those nearest to threat:far")
    with pytest.raises(InputError, match="no node 'threat:none'"):
        html(_star(20), ["threat:none"])


def test_columns_are_folded_and_boxes_do_not_overlap() -> None:
    graph = _star(300)
    nodes, edges = list(graph.nodes()), list(graph.edges())
    found = layout(nodes, edges)
    places = {(box.x, box.y) for box in found.boxes}
    assert len(places) == len(nodes)
    by_column: dict[int, list[int]] = {}
    for box in found.boxes:
        by_column.setdefault(box.column, []).append(box.y)
        assert 0 <= box.x <= found.width - BOX[0]
        assert 0 <= box.y <= found.height - BOX[1]
    for heights in by_column.values():
        assert len(heights) <= TALLEST
        ordered = sorted(heights)
        assert all(b - a >= BOX[1] for a, b in itertools.pairwise(ordered))


def test_ordering_makes_fewer_crossings() -> None:
    threats = [Node(f"threat:{i}", Kind.THREAT, str(i)) for i in range(20)]
    techniques = [Node(f"t:{i}", Kind.TECHNIQUE, str(i)) for i in range(20)]
    edges = [Edge(f"threat:{i}", Relation.USES, f"t:{(7 * i) % 20}", "p", Evidence.ASSERTED) for i in range(20)]
    boxes = {box.node.id: box.y for box in layout([*threats, *techniques], edges).boxes}
    ends = [(boxes[edge.source], boxes[edge.target]) for edge in edges]
    crossings = sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[:i])
    assert crossings == 0


def test_an_empty_graph_is_a_page() -> None:
    assert _data(html(ThreatGraph())) == {"nodes": [], "edges": []}
