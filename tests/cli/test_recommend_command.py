"""``threatloop recommend``: what it prints, the spec that it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

import tiny
from defended import DIRECTIONS
from planted import Planted, design
from threatloop import api
from threatloop.cli.recommend import cost
from threatloop.core.errors import InputError
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, write_run_folder
from threatloop.scenario.build import build, parse_spec

NAMES = ("label_smoothing", "rounding")
SCENARIOS = {"evade": {"attack": "pgd"}, "infer": {"attack": "lira"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    planted = Planted({(one, attack): -1.0 for one in NAMES for attack in DIRECTIONS})
    record, rows = planted.run(design(NAMES, (1, 2)), adaptive=("evade", "poison", "infer"))
    named = record.model_copy(update={"spec": {**record.spec, "scenarios": SCENARIOS}})
    path = tmp_path_factory.mktemp("runs") / "run"
    write_run_folder(path, named, rows, CURVES_SCHEMA.empty_table(), RECORDS_SCHEMA.empty_table())
    return path


def test_the_front_the_set_and_its_spec(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "next.yaml"
    assert tiny.command_line(monkeypatch, "recommend", run, "--min-accuracy", "0.9", "--out", out) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    for words in (
        "recommended: label_smoothing + rounding (measured; better than no defence in 100% of the draws)",
        "risk D→D 0.18 [0.1",
        "unresolved: no attacker who knows the defences was measured",
        "usable from accuracy 0.900",
        "held-out combinations: not validated, because of 4 combinations",
    ):
        assert words in flat, words
    audit = build(parse_spec(yaml.safe_load(out.read_text(encoding="utf-8")), "next.yaml"), tmp_path)
    assert [one.name for one in audit.conditions] == ["", "recommended"]
    assert audit.spec.seed == 1


def test_the_spec_is_printed_without_a_file_and_everything_as_json(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command_line(monkeypatch, "recommend", run) == 0
    printed = capsys.readouterr().out
    spec = yaml.safe_load(printed.partition("saves it):\n")[2])
    assert spec["defences"] == {"recommended": ["label_smoothing", "rounding"]}
    assert tiny.command_line(monkeypatch, "recommend", run, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chosen"]["spec"] == ["label_smoothing", "rounding"]
    assert found["chosen"]["unresolved"] == ["M→M"]
    assert found["validations"][0]["model"]["balanced"]["not_computed"].startswith("of 4")
    assert api.recommend(run).advice.chosen.label == "label_smoothing + rounding"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--min-accuracy", "0.999"), "no set of defences has accuracy of at least 0.999; the nearest is"),
        (("--max-train-cost", "cheap"), "needs a multiple of the training time"),
        (("--target", "digit"), "target 'digit': not in"),
        (("--min-accuracy", "90"), "needs a share from 0 to 1"),
    ],
)
def test_what_it_refuses(
    run: Path, options: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command_line(monkeypatch, "recommend", run, *options) == 2
    assert said in capsys.readouterr().err


def test_what_is_no_recommended_spec_is_not_replaced(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("seeds: 3\n", encoding="utf-8")
    for out, said in (
        (mine, "exists and is no recommended spec, so it is left alone; choose another --out"),
        (tmp_path, "is a folder, and the spec needs a file"),
        (mine / "next.yaml", "mine.yaml is a file, not a folder"),
    ):
        assert tiny.command_line(monkeypatch, "recommend", run, "--out", out) == 2
        assert said in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "seeds: 3\n"
    for _ in range(2):
        assert tiny.command_line(monkeypatch, "recommend", run, "--out", tmp_path / "next.yaml") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml", "next.yaml"]


def test_few_seeds_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record, rows = Planted({(NAMES[1], "evade"): -1.0}).run(design(NAMES, (1, 2)), seeds=3)
    named = record.model_copy(update={"spec": {**record.spec, "scenarios": SCENARIOS}})
    write_run_folder(tmp_path / "run", named, rows, CURVES_SCHEMA.empty_table(), RECORDS_SCHEMA.empty_table())
    assert tiny.command_line(monkeypatch, "recommend", tmp_path / "run") == 0
    assert "a first look: 3 seeds, a verdict needs 12" in " ".join(capsys.readouterr().out.split())


def test_the_specs_of_a_run_find_their_data_from_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    lines = [f"{i},{i % 7},{'xy'[i % 2]}" for i in range(120)]
    (tmp_path / "in" / "table.csv").write_text("\n".join(["a,b,y", *lines]), encoding="utf-8")
    target = {**tiny.TABLE, "data": {"csv": "table.csv", "target": "y"}}
    written = tiny.spec({"table": target}, {"theft": {"attack": tiny.THEFT}}, 2, defences={"round": ["rounding"]})
    store, run = ("--store", tmp_path / "store"), tmp_path / "out" / "run"
    spec = tiny.save(written, tmp_path / "in")
    assert tiny.command_line(monkeypatch, "audit", spec, *store, "--out", run, "--backend", "inline") == 0
    assert tiny.command_line(monkeypatch, "plan", run / "spec.yaml", *store, "--json") == 0
    out = tmp_path / "else" / "next.yaml"
    assert tiny.command_line(monkeypatch, "recommend", run, "--out", out) == 0
    assert yaml.safe_load(out.read_text(encoding="utf-8"))["targets"]["table"]["data"]["csv"] == "../in/table.csv"
    assert tiny.command_line(monkeypatch, "plan", out, *store, "--json") == 0


def test_a_spec_that_names_code_must_stay_beside_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command_line(monkeypatch, "recommend", run, "--out", tmp_path / "next.yaml") == 0
    assert "names code" not in capsys.readouterr().out
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    written = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    written["spec"]["targets"] = {"digits": {"data": "digits", "train": "mine:fit", "model": {"name": "mlp"}}}
    (copy / "run.json").write_text(json.dumps(written), encoding="utf-8")
    assert tiny.command_line(monkeypatch, "recommend", copy, "--out", tmp_path / "next.yaml") == 0
    assert "the spec names code (mine:fit): save it in the folder that this lies in" in capsys.readouterr().out


def test_costs_are_multiples() -> None:
    assert [cost(text) for text in ("3x", "2.5", "4×", None)] == [3.0, 2.5, 4.0, None]
    with pytest.raises(InputError):
        cost("-3x")
