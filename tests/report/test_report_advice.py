"""The report's score and recommendation: shown, escaped, and the same in ``report.json``."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
from synthetic import default_run, default_summary
from synthetic_facts import HOSTILE

from defended import DIRECTIONS
from planted import Planted, design
from threatloop.report.build import build
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, write_run_folder

NAMES = ("label_smoothing", "rounding", f"custom {HOSTILE}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    planted = Planted({(one, attack): -1.0 for one in NAMES for attack in DIRECTIONS})
    record, rows = planted.run(design(NAMES, (1, 2)), adaptive=("evade", "poison", "infer"))
    targets = {**record.targets, "bare": record.targets["digits"]}
    path = tmp_path_factory.mktemp("runs") / "run"
    both = record.model_copy(update={"targets": targets})
    write_run_folder(path, both, rows, CURVES_SCHEMA.empty_table(), RECORDS_SCHEMA.empty_table())
    build(path)
    return path


def _page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_the_recommendation_is_drawn_and_escaped(report: Path) -> None:
    page = _page(report)
    assert "<script" not in page.lower()
    assert HOSTILE in unescape(page)
    assert page.count("<title>") >= 1 + 3
    text = _text(page)
    for words in (
        "Which defences to turn on together",
        "better than no defence in 100% of the draws",
        "← recommended",
        "unresolved – no attacker who knows the defences was measured",
        "No recommendation, because the run measured no sets of defences",
        "recommended: - ",
        "Confirm the set on fresh seeds",
    ):
        assert words in text, words


def test_the_json_says_the_same(report: Path) -> None:
    found = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert len(found["recommendation"]["digits"]["chosen"]["spec"]) == 2
    assert "measured no sets" in found["recommendation"]["bare"]["not_computed"]
    (digits, bare) = found["scores"]
    assert [one["direction"] for one in digits["directions"]] == ["D→D", "D→M", "M→M", "M→D"]
    assert bare["assessed"]["mean"] == {"not_computed": "no direction was assessed"}
    assert bare["at_worst"]["mean"] == 1.0


def test_a_run_without_sets_has_a_score_and_no_recommendation(tmp_path: Path) -> None:
    folder = default_run().write(tmp_path / "run")
    build(folder, summary=default_summary())
    text = _text(_page(folder))
    assert "Which defences to turn on together" not in text
    assert "Composite score" in text
    assert "to 1.00" in text
    assert "not assessed: the upper end takes the worst case there" in text
