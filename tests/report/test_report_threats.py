"""The report links each figure to its threats, and says which threats the run covers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from synthetic import default_run, default_summary

from threatloop.report.build import build
from threatloop.report.threats_view import threats_view
from threatloop.threats.catalogue import by_attack, threats

HOSTILE = "<script>=cmd()]]>\x01"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = default_run().write(tmp_path_factory.mktemp("threats") / "run")
    return build(run, summary=default_summary()).parent


@pytest.fixture(scope="module")
def found(report: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return loaded


def test_every_row_names_its_threats(found: dict[str, Any]) -> None:
    for row in found["findings"]:
        assert row["threats"] == [one.node for one in by_attack(row["attack"])]
    assert any(row["threats"] for row in found["findings"] if row["attack"] == "lira")


def test_every_threat_of_the_catalogue_has_a_state(found: dict[str, Any]) -> None:
    rows = {row["id"]: row for row in found["threats"]}
    assert list(rows) == [one.node for one in threats()]
    assert {row["state"] for row in rows.values()} == {"measured", "measurable", "not measurable"}
    measured = rows[by_attack("lira")[0].node]
    assert measured["state"] == "measured"
    assert "lira" in measured["by"]
    assert measured["atlas"] == list(by_attack("lira")[0].techniques)
    assert all(row["why"] for row in rows.values() if row["state"] != "measured")


def test_a_finding_leads_to_its_threat(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    ids = set(re.findall(r'<tr id="(threat:[^"]+)">', page))
    links = re.findall(r'href="#(threat:[^"]+)"', page)
    assert ids == {one.node for one in threats()}
    assert ids.issuperset(links)
    first = by_attack("lira")[0]
    assert f'href="#{first.node}" title="{escape(", ".join(first.techniques))}; ' in page
    for word in ("The threats behind the figures", "✓ measured", "○ measurable", "not in this run"):
        assert word in page, word


def test_the_map_counts_what_the_list_says(report: Path, found: dict[str, Any]) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    for state in ("measured", "measurable", "not measurable"):
        n = sum(row["state"] == state for row in found["threats"])
        assert re.search(rf"In all: [^<]*\b{n} {state}", page), state


def test_only_a_figure_that_holds_measures_a_threat() -> None:
    record, summary = default_run().record, default_summary()
    lost = tuple(
        replace(one, suspect=("loss did not fall",)) if one.attack == "lira" else one for one in summary.figures
    )
    found = threats_view(record, replace(summary, figures=lost))
    node = by_attack("lira")[0].node
    (row,) = (one for one in found.coverage.threats if one.threat.id == node)
    assert row.state == "measurable"
    assert "lira: attack suspect: loss did not fall" in row.why


def test_an_attack_that_no_threat_names_is_told_and_escaped(tmp_path: Path) -> None:
    run = default_run()
    path = run.write(tmp_path / "run")
    summary = default_summary()
    named = tuple(replace(one, attack=HOSTILE) if one.attack == "lira" else one for one in summary.figures)
    page = build(path, summary=replace(summary, figures=named)).read_text(encoding="utf-8")
    assert "<script" not in page
    told = re.search(r"Measured, and in no threat of the catalogue: ([^<]+)<", page)
    assert told
    assert escape("<script>=cmd()]]>") + "⟨U+0001⟩" in told[1]
