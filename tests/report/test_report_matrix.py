"""The matrix in the report and in the terminal: every cell leads to its figures, nothing becomes markup, it fits."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from synthetic_facts import HOSTILE

from matrix_world import Truth, World, one_stage, single, two_stages
from threatloop.analysis.interactions import interactions
from threatloop.analysis.matrix import Matrix
from threatloop.cli.matrix import print_matrix, sentence
from threatloop.core.measurement import RunRecord
from threatloop.report.build import build
from threatloop.report.matrix_view import matrix_view
from threatloop.report.matrix_words import mark
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, RunFolder

CELLS = {
    (f"helps {HOSTILE}", "a"): single(5),
    ("hurts", "a"): single(-5),
    ("alone", "a"): Truth({"attack": -5}),
    ("flat", "a"): single(0, 0.4),
    ("noisy", "a"): single(0, 40),
    ("ruin", "a"): single(-5),
    ("hurts", "b"): single(-5),
}


class Links(HTMLParser):
    """Ids, what links refer to, and the words of the squares."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.to: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found["id"]} if "id" in found else set()
        if "square" in found.get("class", ""):
            self.to.append(found["href"])
            self.labels.append(found["aria-label"])


@pytest.fixture(scope="module")
def judged() -> tuple[RunRecord, Matrix]:
    made = World(CELLS, np.random.default_rng(0), chains={"poison-then-a": (4.0, 3.0)})
    matrix, note = two_stages(made)
    return made.record(12, note), matrix


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = World(CELLS, np.random.default_rng(0), chains={"poison-then-a": (4.0, 3.0)})
    out = tmp_path_factory.mktemp("matrix")
    folder = RunFolder(out, made.record(12), tuple(made.rows(range(12))), CURVES_SCHEMA.empty_table(), none())
    return build(folder, out).read_text(encoding="utf-8")


def none() -> pa.Table:
    return RECORDS_SCHEMA.empty_table()


def test_every_square_says_what_it_shows_and_leads_to_its_row(page: str) -> None:
    links = Links()
    links.feed(page)
    assert len(links.to) == len(set(links.to)) == 13
    assert all(one.removeprefix("#") in links.ids for one in links.to)
    assert any(label.startswith("hurts on b: ") for label in links.labels)
    assert all(";" in label for label in links.labels)


def test_names_from_a_spec_do_not_become_markup(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"<script|https?://|@import|url\((?!#)", page)


def test_sign_and_certainty_are_drawn_apart(judged: tuple[RunRecord, Matrix]) -> None:
    view = matrix_view(*judged)
    squares = {(one.cell.row, one.cell.column): one for grid in view.grids for one in grid.squares}
    drawn = {row: (one.words.mark, one.sign, one.fill) for (row, column), one in squares.items() if column == "a"}
    assert drawn[f"helps {HOSTILE}"] == ("▲", "plus", "full")
    assert drawn["hurts"] == ("▼", "minus", "full")
    assert drawn["alone"] == ("?", "minus", "hatched")
    assert drawn["flat"][0::2] == ("≈", "pale")
    assert drawn["noisy"][0::2] == ("?", "hatched")
    assert drawn["ruin"] == ("✗", "minus", "hatched")
    assert ("flat", "b") in squares
    assert squares["flat", "b"].words.phrase == "not assessed"
    assert mark(squares["alone", "a"].cell).phrase == "unresolved: no adaptive form known"
    assert "12 screening seeds" in view.seeds


def test_the_terminal_shows_it_within_a_hundred_columns(judged: tuple[RunRecord, Matrix]) -> None:
    record, matrix = judged
    console = Console(width=100, record=True, file=open(Path("/dev/null"), "w"))  # noqa: SIM115
    print_matrix(console, record, matrix)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert re.search(r"hurts +▼ −\.2\d +▼ −\.2\d", text)
    assert "1: a  2: b" in text
    assert "no adaptive form known" in sentence(matrix.cells)


def shown(made: World) -> str:
    matrix = one_stage(made)
    console = Console(width=100, record=True, file=open(Path("/dev/null"), "w"))  # noqa: SIM115
    print_matrix(console, made.record(12), matrix)
    return console.export_text()


def test_what_is_left_at_matched_accuracy_stands_beside_it(tmp_path: Path) -> None:
    made = World({("d", "a"): single(0)}, np.random.default_rng(0), chains={"one": (5.0, 0.0)}, utility={"one": 5.0})
    text = shown(made)
    assert re.search(r"attack × attack on digits\s[^≈]*poison +▲ \+\.2\d", text)
    assert re.search(r"At matched accuracy on digits\s[^▲]*poison +≈ [+−]?\.0\d", text)
    assert re.search(r"Aimed part on digits\s[^▲]*poison +≈", text)
    rows = tuple(made.rows(range(12)))
    folder = RunFolder(tmp_path, made.record(12), rows, CURVES_SCHEMA.empty_table(), none())
    page = build(folder, tmp_path).read_text(encoding="utf-8")
    assert re.search(r"at matched accuracy: [^;]*\]; no effect, 12 seeds", page)


def test_why_nothing_could_be_matched_is_said_and_nothing_where_no_model_is_made() -> None:
    made = World({("d", "a"): single(0)}, np.random.default_rng(0), chains={"one": (5.0, 0.0)}, utility={"other": 0.0})
    text = shown(made)
    assert re.search(r"At matched accuracy on digits\s[^▲]*poison +– *\n", text)
    assert "1 cell not computed, because no seed has this control" in text
    made = World({("d", "a"): single(0)}, np.random.default_rng(0), chains={"one": (5.0, 0.0)})
    assert "At matched accuracy" not in shown(made)


def test_wide_matrices_come_in_parts() -> None:
    made = World({("d", f"column-{i}"): single(5) for i in range(20)}, np.random.default_rng(0))

    matrix = interactions(made.record(12), made.rows(range(12)))
    console = Console(width=100, record=True, file=open(Path("/dev/null"), "w"))  # noqa: SIM115
    print_matrix(console, made.record(12), matrix)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("defence × attack on digits") for line in lines) == 3
    assert any("20: column-19" in line for line in lines)
