"""No CVSS among the features, and groups that keep dependencies apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from severity_world import planted, relabelled
from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.lifecycle_study import read_study
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation
from threatloop.threats.severity.folds import grouped
from threatloop.threats.severity.network import packages_of
from threatloop.threats.severity.rows import UNLABELLED, Features, features, groups, levels

STREAMS = Streams(3, ("test",))


def _same(one: Features, other: Features) -> bool:
    values = np.array_equal(one.structure.values, other.structure.values)
    return values and (one.ids, one.texts, one.cwes) == (other.ids, other.texts, other.cwes)


def _worse(node: Node) -> Node:
    """Every way in which a severity can be told, turned round."""
    facts = {
        **node.attributes,
        "severity": "low" if node.attributes["severity"] == "critical" else "critical",
        "rating": "HIGH",
        "cvss": 9.8,
        "vectors": ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",),
    }
    return replace(node, text=f"{node.text} CVSS 9.8, a critical severity.", attributes=facts)


def test_features_do_not_change_with_severity_however_it_is_told() -> None:
    graph = planted(lambda users, rng: users + rng.normal(), seed=1, packages=20, repositories=15)
    told = relabelled(graph, _worse)
    plain = relabelled(graph, lambda node: replace(node, text=f"{node.text} , a ."))
    assert _same(features(told, STREAMS), features(plain, STREAMS))
    ids = features(graph, STREAMS).ids
    assert not np.array_equal(levels(graph, ids), levels(told, ids))


def test_features_of_the_study_do_not_change_with_its_severities(shared_data: Path) -> None:
    graph = read_study(shared_data / "lifecycle_study").graph
    drawn = iter(STREAMS.numpy("labels").choice(["low", "medium", "high", "critical"], size=834))
    shuffled = relabelled(graph, lambda node: replace(node, attributes={**node.attributes, "severity": next(drawn)}))
    assert _same(features(graph, STREAMS), features(shuffled, STREAMS))


@pytest.mark.parametrize(
    ("attributes", "level"),
    [
        ({"severity": "Low"}, 0),
        ({"severity": "MODERATE"}, 1),
        ({"severity": 7.0}, 2),
        ({"severity": ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",), "rating": "critical"}, 3),
        ({"severity": ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",)}, UNLABELLED),
        ({"severity": "unknown"}, UNLABELLED),
        ({}, UNLABELLED),
    ],
)
def test_labels_are_words_and_scores(attributes: dict[str, str | float | tuple[str, ...]], level: int) -> None:
    graph = ThreatGraph([Node("CVE-1", Kind.VULNERABILITY, "CVE-1", attributes=attributes)])
    assert levels(graph, ["CVE-1"]).tolist() == [level]


def test_stubs_are_not_ranked_and_titles_count_as_text() -> None:
    stub = Node("CVE-1", Kind.VULNERABILITY, "CVE-1", attributes={"stub": True})
    titled = Node("CVE-2", Kind.VULNERABILITY, "Injection in x", "Details.")
    found = features(ThreatGraph([stub, titled]), STREAMS)
    assert found.ids == ("CVE-2",)
    assert found.texts == ("Injection in x. Details.",)


affected = st.lists(st.frozensets(st.integers(0, 12), max_size=3), min_size=1, max_size=40)


@given(affected, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_dependency_is_on_both_sides_of_a_fold(sets: list[frozenset[int]], seed: int) -> None:
    graph = ThreatGraph(Node(f"package:x/{k}", Kind.PACKAGE, f"{k}") for k in range(13))
    for number, some in enumerate(sets):
        graph.add(Node(f"CVE-{number}", Kind.VULNERABILITY, ""))
        graph.extend((), (_affects(f"CVE-{number}", f"package:x/{k}") for k in some))
    ids = [f"CVE-{number}" for number in range(len(sets))]
    tested = []
    for fold in grouped(groups(graph, ids), np.random.default_rng(seed), 4):
        train = {package for row in fold.train for package in packages_of(graph, ids[row]) or ("unknown",)}
        test = {package for row in fold.test for package in packages_of(graph, ids[row]) or ("unknown",)}
        assert not train & test
        assert not set(fold.train) & set(fold.test)
        tested += fold.test.tolist()
    assert sorted(tested) == list(range(len(ids)))


def test_the_groups_of_the_study_are_its_dependencies(shared_data: Path) -> None:
    graph = read_study(shared_data / "lifecycle_study").graph
    sizes = np.bincount(groups(graph, [node.id for node in graph.nodes(Kind.VULNERABILITY)]))
    assert len(sizes) == 228
    assert sizes.max() == 184
    assert 22 in sizes  # those without a known dependency


def _affects(vulnerability: str, package: str) -> Edge:
    return Edge(vulnerability, Relation.AFFECTS, package, "test", Evidence.PUBLISHED)
