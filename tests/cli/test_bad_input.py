"""Bad input gets one clear line (or one list), exit status 2, no traceback, and nothing half-written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny

MEMBERS = "\n".join(map(str, range(0, 1797, 2)))
FLIP = {"flip": {"attack": "label_flip"}}
Written = dict[str, Any] | str


def csv(folder: Path, rows: list[str]) -> dict[str, Any]:
    (folder / "table.csv").write_text("\n".join(["a,b,y", *rows]), encoding="utf-8")
    return tiny.spec({"table": {**tiny.TABLE, "data": {"csv": "table.csv", "target": "y"}}}, FLIP)


def npz(folder: Path, labels: np.ndarray[Any, Any], **options: Any) -> dict[str, Any]:
    images = np.zeros((len(labels), 8, 8), np.uint8)
    np.savez(folder / "images.npz", train_images=images, train_labels=labels)
    return tiny.spec({"images": {**tiny.DIGITS, "data": {"npz": "images.npz", **options}}}, FLIP)


def weights(folder: Path, content: Any, name: str = "model.pt", members: str = MEMBERS) -> dict[str, Any]:
    (folder / "members.txt").write_text(members, encoding="utf-8")
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        torch.save(content, folder / name)
    return tiny.spec({"digits": {**tiny.DIGITS, "weights": name, "members": "members.txt"}}, FLIP)


def brought_with(written: dict[str, Any], defence: str) -> dict[str, Any]:
    written["targets"]["digits"]["defences"] = [defence]
    return written


def without(path: Path, written: dict[str, Any]) -> dict[str, Any]:
    path.unlink()
    return written


def fitting(outputs: int = 10) -> dict[str, torch.Tensor]:
    return {
        "layers.0.weight": torch.zeros(8, 64),
        "layers.0.bias": torch.zeros(8),
        "layers.1.weight": torch.zeros(outputs, 8),
        "layers.1.bias": torch.zeros(outputs),
    }


def factory(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> dict[str, Any]:
    (folder / "their_network.py").write_text(f"import torch\ndef build(**_):\n    {body}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    return tiny.spec({"digits": {**tiny.DIGITS, "model": {"name": "their_network:build"}}}, FLIP)


GOOD_ROWS = [f"{i},{i % 7},{'xy'[i % 2]}" for i in range(100)]
CASES: dict[str, tuple[Callable[[Path], Written], str]] = {
    "unknown data set": (lambda _: tiny.spec({"d": {"data": "digit"}}, FLIP), "did you mean 'digits'"),
    "missing data file": (lambda _: tiny.spec({"d": {"data": {"npz": "no.npz"}}}, FLIP), "no.npz"),
    "not the file it claims": (
        lambda f: ((f / "x.npz").write_bytes(b"text"), tiny.spec({"d": {"data": {"npz": "x.npz"}}}, FLIP))[1],
        "x.npz",
    ),
    "a single class": (lambda f: csv(f, [f"{i},{i},x" for i in range(100)]), "class"),
    "NaN feature": (lambda f: csv(f, [*GOOD_ROWS, "nan,1,x"]), "missing cells in 'a'"),
    "infinite feature": (lambda f: csv(f, [*GOOD_ROWS, "inf,1,x"]), "infinite"),
    "too few records": (lambda f: csv(f, GOOD_ROWS[:24]), "bring more data"),
    "labels below range": (lambda f: npz(f, np.arange(100) % 5 - 1), "labels out of range: -1"),
    "labels above range": (
        lambda f: npz(f, np.arange(100) % 5, classes=["a", "b", "c"]),
        "labels out of range: 3, 4; allowed are 0 to 2",
    ),
    "pickle as weights": (lambda f: weights(f, pickle.dumps({"a": Path("x")})), "is a pickle where weights are"),
    "whole module as weights": (lambda f: weights(f, torch.nn.Linear(2, 2)), "is a pickle where weights are"),
    "weights of other shapes": (lambda f: weights(f, fitting(outputs=3)), "needs (10, 8)"),
    "weights with NaN": (
        lambda f: weights(f, {**fitting(), "layers.0.bias": torch.full((8,), torch.nan)}),
        "layers.0.bias has NaN or infinite numbers",
    ),
    "weights of another kind": (lambda f: weights(f, b"text", "model.h5"), "is neither .safetensors nor .pt"),
    "damaged safetensors": (lambda f: weights(f, b"text", "model.safetensors"), "is not a readable safetensors file"),
    "missing weights": (
        lambda f: without(f / "model.pt", weights(f, fitting())),
        "model.pt",
    ),
    "members out of range": (lambda f: weights(f, fitting(), members="0\n99999\n"), "between 0 and 1796"),
    "members that are no numbers": (
        lambda f: weights(f, fitting(), members="first\n"),
        "record numbers cannot be read",
    ),
    "missing members": (
        lambda f: without(f / "members.txt", weights(f, fitting())),
        "members.txt",
    ),
    "unknown architecture": (
        lambda _: tiny.spec({"digits": {**tiny.DIGITS, "model": {"name": "mlpp"}}}, FLIP),
        "did you mean mlp?",
    ),
    "unknown parameter of an architecture": (
        lambda _: tiny.spec({"digits": {**tiny.DIGITS, "model": {"name": "mlp", "parameters": {"hiden": [3]}}}}, FLIP),
        "hiden",
    ),
    "architecture for another modality": (
        lambda _: tiny.spec({"table": {**tiny.TABLE, "model": {"name": "cnn"}}}, FLIP),
        "cnn",
    ),
    "more access than granted": (
        lambda _: tiny.spec({"digits": {**tiny.DIGITS, "access": ["labels"]}}, {"m": {"attack": "lira"}}),
        "lira needs scores; targets.digits.access grants labels",
    ),
    "a training defence on weights that were brought": (
        lambda f: brought_with(weights(f, fitting()), "mixup"),
        "mixup acts before a model is served, and this one was brought; leave `weights` out and it is trained here",
    ),
    "BatchNorm with DP-SGD": (
        lambda _: tiny.spec({"digits": {**tiny.DIGITS, "model": {"name": "resnet18"}, "defences": ["dp_sgd"]}}, FLIP),
        "set `group_norm: true` here, or `norm: group` in the model's parameters",
    ),
    "top-k of two classes": (
        lambda _: tiny.spec({"table": tiny.TABLE}, FLIP, defences={"k": ["top_k"]}),
        "  - defences.k: top_k: 3 of 2 probabilities leave nothing out, since all sum to 1; use labels_only or",
    ),
    "code that was not allowed": (
        lambda _: tiny.spec({"digits": {**tiny.DIGITS, "train": "mine:fit"}}, FLIP),
        "allow it with --allow-code",
    ),
    "unknown key": (lambda _: {**tiny.spec(), "sedes": 3}, "did you mean 'seeds'"),
    "zero seeds": (lambda _: tiny.spec(seeds=0), "seeds: input should be greater"),
    "misordered chain": (
        lambda _: tiny.spec(scenarios={"c": {"chain": ["knockoff", "badnets"]}}),
        "yields a model, but step 2",
    ),
    "not YAML": (lambda _: "targets: [", "not YAML at line 1"),
}


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path
) -> str:
    """Run `audit`, and check everything that holds for any bad input; returns what was said."""
    before = {path for path in folder.rglob("*") if "store" not in path.parts}
    defaults: list[str | Path] = ["--store", folder / "store", "--out", folder / "out", "--backend", "inline"]
    status = tiny.command_line(monkeypatch, "audit", *defaults, *arguments)
    said = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in said.err
    assert said.err.count("threatloop: ") == 1
    assert said.out == ""
    assert {path for path in folder.rglob("*") if "store" not in path.parts} == before
    trained = [path for path in (folder / "store").rglob("*.json") if '"operation":"train"' in path.read_text()]
    assert trained == []
    first, *more = said.err[said.err.index("threatloop: ") :].strip().splitlines()
    assert all(line.startswith("  - ") for line in more), said.err
    assert len(first) < 400
    return said.err


@pytest.mark.parametrize("name", list(CASES))
def test_bad_input_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = CASES[name]
    spec = tiny.save(make(tmp_path), tmp_path)
    assert expected in refused(monkeypatch, capsys, tmp_path, spec)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))", "that need (10,)"),
        ("return torch.nn.Linear(7, 10)", "cannot read records (1, 8, 8)"),
        ("return 'a network'", "their_network:build"),
        ("raise RuntimeError('no such file')", "their_network:build"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(
    body: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "their_network", raising=False)
    spec = tiny.save(factory(tmp_path, monkeypatch, body), tmp_path)
    try:
        assert expected in refused(monkeypatch, capsys, tmp_path, spec, "--allow-code")
    finally:
        sys.modules.pop("their_network", None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.yaml"], "missing.yaml: cannot be read (No such file or directory)"),
        (["."], "cannot be read (Is a directory)"),
        (["SPEC", "--seeds", "0"], "needs at least 1"),
        (["SPEC", "--backend", "proceses"], "unknown backend 'proceses'; allowed: inline, processes"),
        (["SPEC", "--backend", "ray://example:10001"], "workers on other machines cannot see a local directory"),
        (["SPEC", "--fail-on", "risk(M→D) >"], "risk(M→D)"),
        (["SPEC", "--fail-on", "membershp > 0.5"], "did you mean 'membership'"),
        (["SPEC", "--fail-on", "__import__('os').system('true') > 0"], "__import__"),
        (["SPEC", "--store", "nothing://x"], "nothing"),
        (["SPEC", "--out", "/proc/nowhere/out"], "choose another"),
        (["SPEC", "--out", "SPEC"], "is a file, and a run needs a folder; choose another --out"),
        (["SPEC", "--out", "SPEC/out"], "choose another"),
        (["SPEC", "--out", "."], "is not empty and not a run folder, so it is left alone; choose another --out"),
    ],
)
def test_bad_options_are_refused(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = tiny.save(tiny.spec(), tmp_path)
    monkeypatch.chdir(tmp_path)
    said = refused(monkeypatch, capsys, tmp_path, *(word.replace("SPEC", str(spec)) for word in arguments))
    assert expected in said
    assert not [path for path in (tmp_path / "store").rglob("*") if path.suffix in (".safetensors", ".parquet")]


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--no-such-option"], ["--seeds", "many"]])
def test_misused_options_are_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tiny.command_line(monkeypatch, "audit", *arguments) == 2
    said = capsys.readouterr().err
    assert arguments[0] in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head = tmp_path / "store" / "store.json"
    head.parent.mkdir()
    head.write_text(json.dumps({"format": "threatloop-store", "version": 99}), encoding="utf-8")
    said = refused(monkeypatch, capsys, tmp_path, tiny.save(tiny.spec(), tmp_path))
    assert "has format version 99, this threatloop knows versions up to 1: upgrade threatloop" in said
    assert [path.name for path in head.parent.iterdir()] == ["store.json"]


def test_a_store_that_holds_something_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.txt").write_text("mine", encoding="utf-8")
    said = refused(monkeypatch, capsys, tmp_path, tiny.save(tiny.spec(), tmp_path))
    assert "is not a threatloop store and not empty (it holds 'thesis.txt')" in said
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("command", ["plan", "audit"])
def test_the_dry_run_refuses_what_the_run_refuses(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tiny.save(weights(tmp_path, fitting(outputs=3)), tmp_path)
    assert tiny.command_line(monkeypatch, command, spec, "--store", tmp_path / "store") == 2
    assert "needs (10, 8)" in capsys.readouterr().err
