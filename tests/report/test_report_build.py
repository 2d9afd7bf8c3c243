"""The three files of a report: complete, escaped, private, and built without torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from synthetic import default_run, default_summary, synthetic_run
from synthetic_facts import HOSTILE, SCANS

from threatloop.analysis.summary import summarise
from threatloop.analysis.thresholds import check_thresholds
from threatloop.core.errors import InputError
from threatloop.report.build import build
from threatloop.report.machine import as_junit
from threatloop.runs.folder import write_run_folder

DOCS = Path(__file__).resolve().parents[2] / "docs" / "run-folder.md"
EXPRESSIONS = ["digits/membership.auc > 0.55", "digits/risk(D→M) > 0.99"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return default_run().write(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    record = default_run().record
    results = check_thresholds(EXPRESSIONS, record, default_summary())
    return build(run, run.parent / "out", fail_on=results).parent


def _text(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def _html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_nothing_from_the_run_becomes_markup(report: Path) -> None:
    page = _html(report)
    assert "<script" not in page.lower()
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert not re.search(r"\son\w+=", page)


def test_the_file_refers_to_nothing_outside_itself(report: Path) -> None:
    page = _html(report)
    assert not re.search(r"(?:https?:)?//\w", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    links = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors <= set(re.findall(r"id=\"([^\"]*)\"", page))


def test_the_page_says_what_was_measured(report: Path) -> None:
    text = _text(_html(report))
    auc = next(f for f in _json(report)["findings"] if (f["target"], f["metric"]) == ("digits", "membership.auc"))
    low, high = (auc["value"]["interval"][end] for end in ("low", "high"))
    assert f"LiRA on digits: Membership AUC {auc['value']['mean']:.3f} [{low:.3f}, {high:.3f}] against 0." in text
    for words in (
        "Stopped at gate.",
        "against 0.939 at baseline – gain below the margin of 0.05, risk 0.5",
        "oracle 0.8",
        "gate-determined",
        "attack suspect",
        "not computed in 12 seeds, because fewer than ten expected false positives",
        "tables have no watermark to remove",
        "diverged: loss nan",
        "split is not exchangeable",
        "threatloop audit spec.yaml --seeds 12",
        "shows no gain in any of 12 comparisons (12 are shown to be null)",
        "12 of 12 seeds through; without removal, 0 of 12",
    ):
        assert words in text, words


def test_four_arrows_are_drawn_for_every_target(report: Path) -> None:
    page = _html(report)
    assert page.count("The closed loop on ") == 3
    assert page.count('<div class="card card') == 12
    assert len(re.findall(r"<path d=\"M[^\"]+\" fill=\"none\"[^>]+marker-end", page)) == 12


def test_private_pictures_are_blurred_unless_asked_for(run: Path, report: Path, tmp_path: Path) -> None:
    open_page = _html(build(run, tmp_path, show_records=True, summary=default_summary()).parent)
    pictures, shown = (re.findall(r"<img src=\"([^\"]+)\"", page) for page in (_html(report), open_page))
    assert len(pictures) == len(shown) == 8
    changed = [old != new for old, new in zip(pictures, shown, strict=True)]
    # Only the recovered records of the private target; the embedded set's inversions stay visible.
    assert changed == [False] * 7 + [True]
    assert _text(_html(report)).count("Private records: reduced to twelve mean colours; digest") == 1
    assert "Private records: reduced" not in open_page


def _json(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        (folder / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    return loaded


def test_json_holds_the_summary_and_no_invented_number(report: Path) -> None:
    found = _json(report)
    assert found["version"] == 1
    assert [t["crossed"] for t in found["thresholds"]] == [True, False]
    gap = next(f for f in found["findings"] if f["metric"] == "membership.tpr_at_1pct")
    assert gap["value"]["mean"] == {"not_computed": "no seed has a value"}
    assert gap["missing"] == [["fewer than ten expected false positives (0.01 × 178 non-members)", 12]]
    assert {e["effect"]["verdict"] for e in found["loops"]} == {"no effect"}
    assert {g["status"] for g in found["gates"]} == {"stopped", "passes", "mixed"}
    assert "paired" not in found["findings"][0]
    for name in ("findings", "arms", "enablements", "errors", "not_assessed", "self_checks", "environment"):
        assert found[name], name


def test_junit_counts_crossed_thresholds_errors_and_gaps(report: Path) -> None:
    root = ET.parse(report / "junit.xml").getroot()
    suites = {suite.attrib["name"]: suite for suite in root}
    headline = [f for f in _json(report)["findings"] if f["headline"]]
    assert len(suites["figures"]) == len(headline) == int(suites["figures"].attrib["tests"])
    assert suites["thresholds"].attrib["failures"] == "1"
    failed = [case.attrib["name"] for case in suites["thresholds"] if case.find("failure") is not None]
    assert failed == EXPRESSIONS[:1]
    assert suites["errors"].attrib["errors"] == "1"
    assert suites["not assessed"].attrib["skipped"] == "2"
    assert any(HOSTILE in case.attrib["classname"] for case in suites["figures"])


def test_control_characters_do_not_break_the_xml() -> None:
    run = synthetic_run(seeds=2)
    errors = tuple(e.model_copy(update={"why": "bell \x07 and \ud800"}) for e in run.record.errors)
    record = run.record.model_copy(update={"errors": errors, "gallery": ()})
    root = ET.fromstring(as_junit(record, summarise(record, run.rows), ()))
    assert root.find(".//error[@message='bell � and �']") is not None


def test_few_seeds_are_said_on_top(tmp_path: Path) -> None:
    page = _text(_html(build(synthetic_run(seeds=2).write(tmp_path / "run")).parent))
    assert "2 seeds are fewer than the 12 that a verdict needs" in page
    assert "attacker gains" not in page.split("Each arrow shows")[0]


def test_a_run_without_any_figure_still_makes_a_report(tmp_path: Path) -> None:
    run = default_run()
    empty = run.record.model_copy(update={"gallery": (), "self_checks": (), "errors": ()})
    path = tmp_path / "run"
    write_run_folder(path, empty, (), run.curves.slice(0, 0), run.records.slice(0, 0))
    page = _text(_html(build(path).parent))
    assert "Data → Data: not assessed." in page
    assert "No chain was measured" in page
    assert "nothing could be assessed, which says nothing about safety" in page
    assert "no gain of an attacker is shown" not in page


def test_an_unwritable_place_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        build(run, tmp_path / "file" / "out", summary=default_summary())


def test_a_lost_picture_is_one_clear_line(tmp_path: Path) -> None:
    path = default_run().write(tmp_path / "run")
    (path / "gallery" / "d-marked-1.png").unlink()
    with pytest.raises(InputError, match=r"gallery image 'd-marked-1\.png' is missing"):
        build(path, summary=default_summary())
    (path / "gallery" / "d-marked-1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="is not a readable PNG"):
        build(path, summary=default_summary())
    assert not (path / "report.html").exists()


def test_the_report_is_built_without_torch(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from threatloop.report.build import build; "
        f"build(Path({str(run)!r}), Path({str(tmp_path)!r})); "
        "print([m for m in ('torch', 'sklearn', 'ray', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "report.html").stat().st_size > 50_000


def test_two_builds_of_one_run_are_equal(run: Path, report: Path, tmp_path: Path) -> None:
    build(run, tmp_path)
    first, second = (json.loads((p / "report.json").read_text()) for p in (report, tmp_path))
    assert first | {"thresholds": []} == second


@pytest.mark.parametrize("block", range(2))
def test_the_examples_of_the_documentation_run(run: Path, capsys: pytest.CaptureFixture[str], block: int) -> None:
    pytest.importorskip(("duckdb", "pandas")[block])
    examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)
    assert len(examples) == 2
    exec(compile(examples[block], f"{DOCS.name}, example {block + 1}", "exec"), {"RUN": str(run)})
    shown = capsys.readouterr().out
    assert "attack_success" in shown
    assert "refused" in shown
    assert "12" in shown


def test_the_documentation_names_every_column_and_key() -> None:
    text = DOCS.read_text(encoding="utf-8")
    run = default_run()
    names = [*type(run.rows[0]).model_fields, *type(run.record).model_fields, *run.curves.column_names]
    names += run.records.column_names
    missing = [name for name in names if f"`{name}`" not in text]
    assert missing == []
    assert SCANS not in text
