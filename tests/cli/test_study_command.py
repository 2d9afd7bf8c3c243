"""``threatloop study`` and ``threatloop audit --defences``: the matrix in 100 columns, and what was spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop import api
from threatloop.analysis.ledger import ledger
from threatloop.core.catalogue import DEFENCES
from threatloop.engine.execute import Workspace
from threatloop.engine.plan import make_plan
from threatloop.engine.storage.store import Store
from threatloop.runs.folder import read_run_folder
from threatloop.scenario import usual_defences
from threatloop.scenario.usual_defences import USUAL
from threatloop.study.forecast import claims_stages

THEFT: dict[str, Any] = {"theft": {"attack": tiny.THEFT}}


def test_a_study_prints_the_matrix_and_what_it_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tiny.save(tiny.spec({"table": tiny.TABLE}, THEFT, 12, defences={"round": ["rounding"]}), tmp_path)
    places = ("--store", tmp_path / "store", "--out", tmp_path / "run")
    assert tiny.command_line(monkeypatch, "study", spec, "--backend", "inline", *places) == 0
    shown = capsys.readouterr()
    assert max(map(len, shown.out.splitlines())) <= 100
    assert "defence × attack on table" in shown.out
    assert "models trained for" in shown.out
    assert "cells per CPU-hour" in shown.out
    assert "stage 1 of 2" in shown.err
    assert "stage 2 of 2" in shown.err
    assert tiny.command_line(monkeypatch, "study", spec, "--backend", "inline", "--json", *places) == 0
    written = json.loads(capsys.readouterr().out)
    assert [(one["row"], one["column"]) for one in written["interactions"]] == [("round", "theft")]
    assert written["spent"]["executed"] == 0
    assert "not_computed" in written["spent"]["per_cpu_hour"]


def test_the_dry_run_of_a_study_says_what_it_will_run_and_the_most_that_may_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scenarios = {**THEFT, "flips": {"chain": [{"name": "label_flip", "rate": 0.4}, tiny.THEFT]}}
    spec = tiny.save(tiny.spec({"table": tiny.TABLE}, scenarios, 12, defences={"round": ["rounding"]}), tmp_path)
    store = ("--store", tmp_path / "store")

    def planned(*more: str) -> dict[str, Any]:
        assert tiny.command_line(monkeypatch, "plan", spec, "--json", *store, *more) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    screening, everything = planned("--for", "study"), planned()
    # Chains are studied on the targets as they are only.
    assert screening["to_run"] < everything["to_run"]
    out = tmp_path / "run"
    assert tiny.command_line(monkeypatch, "study", spec, "--exhaust", "--backend", "inline", "--out", out, *store) == 0
    said = capsys.readouterr().err
    assert f"{screening['tasks']} tasks planned, {screening['to_run']} to run" in " ".join(said.split())
    note = read_run_folder(out).record.study
    assert note is not None
    assert note.screening is not None
    ran = read_run_folder(out).record.tasks["executed"]
    assert 0 < ran <= screening["second_stage_at_most"]["to_run"]
    assert planned("--for", "study")["to_run"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "stduy"), "did you mean 'study'?); allowed: audit, study, claims"),
        (("--for", "claims", "SPEC"), "leave the spec and --study out"),
        (("--for", "study", "--defences"), "`threatloop study` has no such option"),
        (("--for", "study", "SPEC"), "nothing here could interact"),
    ],
)
def test_a_dry_run_that_means_nothing_is_refused(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = tiny.save(tiny.spec({"table": tiny.TABLE}, THEFT, 12), tmp_path)
    words = [word.replace("SPEC", str(spec)) for word in arguments]
    assert tiny.command_line(monkeypatch, "plan", *words, "--store", tmp_path / "store") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_too_few_screening_seeds_leave_the_claims_without_a_second_stage() -> None:
    audit = api.load_spec(study=api.CLAIMS, seeds=3)
    (screening,) = claims_stages(audit, ledger())
    assert screening.chosen is not None
    assert set(screening.chosen.values()) == {(0, 1, 2)}
    first, most = claims_stages(api.load_spec(study=api.CLAIMS), ledger())
    assert first.chosen is not None
    assert most.chosen is not None
    assert {len(seeds) for seeds in most.chosen.values()} == {42}


def test_too_few_seeds_for_a_study_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tiny.save(tiny.spec({"table": tiny.TABLE}, THEFT, 3, defences={"round": ["rounding"]}), tmp_path)
    assert tiny.command_line(monkeypatch, "study", spec) == 2
    assert "at least 12" in capsys.readouterr().err


def test_an_audit_with_defences_prints_the_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(usual_defences, "USUAL", ("label_smoothing", "rounding", "not_in_the_catalogue"))
    spec = tiny.save(tiny.spec({"table": tiny.TABLE}, THEFT, 1), tmp_path)
    places = ("--store", tmp_path / "store", "--out", tmp_path / "run", "--backend", "inline")
    assert tiny.command_line(monkeypatch, "audit", spec, "--defences", *places) == 0
    shown = capsys.readouterr().out
    assert "defence × attack on table" in shown
    assert "2 too few seeds" in shown
    record = read_run_folder(tmp_path / "run").record
    assert list(record.conditions) == ["label_smoothing", "rounding"]
    # The run folder's spec repeats the run without the flag.
    assert record.spec["defences"] == {"label_smoothing": ["label_smoothing"], "rounding": ["rounding"]}


def test_usual_defences_that_fit_no_target_are_left_out_and_named(tmp_path: Path) -> None:
    audit = api.load_spec(tiny.spec({"table": tiny.TABLE}, THEFT, 1), defences=True)
    assert audit.optional == {one.name for one in audit.conditions if one.name}
    images = [one for one in audit.conditions if one.name == "rounding"]

    class Fussy(DEFENCES.load("rounding")):  # type: ignore[misc]
        def problems(self, _schema: object, _architecture: str) -> list[str]:
            return ["needs something else"]

    conditions = tuple(
        type(one)(one.name, (Fussy(),)) if one in images else one
        for one in audit.conditions
        if one.name in ("", "rounding")
    )
    store = Store(str(tmp_path / "store"))
    store.prepare()
    monkeyed = pytest.MonkeyPatch()
    monkeyed.setattr(DEFENCES, "name_of", lambda cls: cls.__name__.lower())
    try:
        fussy = type(audit)(
            audit.spec, audit.base, audit.targets, audit.scenarios, False, conditions, None, frozenset({"rounding"})
        )
        plan = make_plan(fussy, Workspace(store))
    finally:
        monkeyed.undo()
    assert [one.name for one in plan.audit.conditions] == [""]
    assert "rounding" not in plan.audit.spec.defences
    assert [(one.what, one.why) for one in plan.not_assessed] == [("defence rounding", "fussy: needs something else")]


def test_the_usual_defences_are_named_once() -> None:
    assert len(set(USUAL)) == len(USUAL)
    assert {"label_smoothing", "rounding"} <= set(USUAL)


@pytest.mark.parametrize("name", ["interactions", "defended"])
def test_shipped_studies_build_with_verdicts_in_reach(name: str) -> None:
    audit = api.load_spec(study=name, defences=name == "defended")
    assert audit.spec.seeds == 12
    assert len(audit.conditions) >= 3
    assert set(audit.targets) == {"digits", "breast_cancer"}
