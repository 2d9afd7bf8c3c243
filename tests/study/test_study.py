"""Studies: two stages in one run folder, seeds only where they are worth it, resumed, refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop import api
from threatloop.core.errors import InputError, Problems
from threatloop.core.study_note import PlannedCell
from threatloop.engine.run import Finished, Options
from threatloop.runs.folder import read_run_folder
from threatloop.scenario.build import Audit
from threatloop.study.cost import spent
from threatloop.study.run import Watchers, run_study
from threatloop.study.seeds import chosen_seeds

SCENARIOS: dict[str, Any] = {
    "theft": {"attack": tiny.THEFT},
    "flips-then-theft": {"chain": [{"name": "label_flip", "rate": 0.4}, tiny.THEFT]},
}
SPEC = tiny.spec({"table": tiny.TABLE}, SCENARIOS, 12, defences={"smooth": ["label_smoothing"], "round": ["rounding"]})


def study(written: dict[str, Any], folder: Path, lines: list[str] | None = None, **more: bool) -> Finished:
    options = Options(str(folder / "store"), folder / "out", "inline", 1, "test")
    told = Watchers(stage=lambda line: lines.append(line) if lines is not None else None)
    return run_study(api.load_spec(written), options, told, **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return study(SPEC, tmp_path_factory.mktemp("study"))


def test_both_stages_stand_in_one_folder_and_a_seed_tells_its_stage(finished: Finished) -> None:
    folder = read_run_folder(finished.out)
    note = folder.record.study
    assert note is not None
    assert note.screening_seeds == 12
    assert {(one.family, one.row, one.column) for one in note.planned} == {
        ("defence × attack", "smooth", "theft"),
        ("defence × attack", "round", "theft"),
        ("attack × attack", "label_flip", "theft"),
    }
    wanted = {(one.scenario, one.condition): one.seeds for one in note.planned}
    partner = max(seeds for (_, condition), seeds in wanted.items() if condition)
    seeds = {
        place: {row.seed for row in folder.rows if (row.scenario, row.condition) == place}
        for place in [*wanted, ("theft", "")]
    }
    assert {place: len(found) for place, found in seeds.items()} == {
        **{place: 12 + n for place, n in wanted.items()},
        ("theft", ""): 12 + partner,
    }
    assert max(wanted.values()) >= 12


def test_the_report_is_rebuilt_from_the_folder_and_tests_fresh_seeds_only(finished: Finished, tmp_path: Path) -> None:
    from threatloop.report.build import build

    report = build(finished.out, tmp_path)
    written = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    planned = {(one["row"], one["column"]): one["seeds"] for one in written["study"]["planned"]}
    cells = {(one["row"], one["column"]): one for one in written["interactions"]}
    assert planned.keys() == cells.keys()
    for place, cell in cells.items():
        assert cell["tested"] == planned[place]
        assert cell["screened"] == 12
    # The figures of the targets as they are rest on the screening seeds, however many fresh ones the matrix needed.
    assert {one["value"]["n"] for one in written["findings"]} <= {0, 12}


def test_what_was_spent_is_said(finished: Finished) -> None:
    from threatloop.analysis.summary import summarise
    from threatloop.cli.study import lines

    folder = read_run_folder(finished.out)
    found = spent(folder.record, summarise(folder.record, folder.rows).matrix.cells)
    assert found.cells == 3
    assert found.executed > 0
    assert 0 < found.models_trained < found.models_requested
    assert isinstance(found.per_cpu_hour, float)
    assert found.screened == 36
    assert "cells per CPU-hour" in lines(found)[1]


def test_a_second_call_recomputes_nothing_and_plans_the_same(finished: Finished) -> None:
    lines: list[str] = []
    again = study(SPEC, finished.out.parent, lines)
    assert again.tally.executed == 0
    assert again.record.study is not None
    assert finished.record.study is not None
    assert again.record.study.planned == finished.record.study.planned
    assert [line.split(":")[0] for line in lines] == ["stage 1 of 2", "stage 2 of 2"]


def test_a_killed_study_goes_on(tmp_path: Path, finished: Finished) -> None:
    class Killed(Exception): ...

    def stop(line: str) -> None:
        if line.startswith("stage 2"):
            raise Killed

    shutil.copytree(finished.out.parent / "store", tmp_path / "store")
    options = Options(str(tmp_path / "store"), tmp_path / "out", "inline", 1, "test")
    with pytest.raises(Killed):
        run_study(api.load_spec(SPEC), options, Watchers(stage=stop))
    # What was screened can be read already, and says that nothing was confirmed.
    half = read_run_folder(tmp_path / "out").record.study
    assert half is not None
    assert half.planned == ()
    study(SPEC, tmp_path)
    assert tiny.table(tmp_path / "out") == tiny.table(finished.out)


def planned(condition: str, scenario: str, seeds: int) -> PlannedCell:
    return PlannedCell(
        target="table",
        family="",
        row=condition,
        column=scenario,
        scenario=scenario,
        condition=condition,
        arm="attack",
        seeds=seeds,
    )


def test_fresh_seeds_go_to_the_cells_and_their_partners_only() -> None:
    audit: Audit = api.load_spec(SPEC)
    cells = [planned("smooth", "theft", 20), planned("round", "theft", 13), planned("", "other", 0)]
    chosen = chosen_seeds(audit, cells)
    assert {place[1:]: len(seeds) for place, seeds in chosen.items()} == {
        ("theft", ""): 32,
        ("theft", "smooth"): 32,
        ("theft", "round"): 25,
        ("flips-then-theft", ""): 12,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": 11}, "at least 12"),
        ({"defences": {}, "scenarios": {"a": {"attack": "loss_threshold"}}}, "nothing here could interact"),
    ],
)
def test_what_cannot_become_a_study_is_refused_before_anything_runs(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        study({**SPEC, **changes}, tmp_path)
    assert not (tmp_path / "store").exists()


def test_all_that_keeps_a_spec_from_a_study_is_said_at_once(tmp_path: Path) -> None:
    written = {**SPEC, "seeds": 3, "defences": {}, "scenarios": {"a": {"attack": "loss_threshold"}}}
    with pytest.raises(Problems, match=r"(?s)seeds 3.*nothing here could interact"):
        study(written, tmp_path)
