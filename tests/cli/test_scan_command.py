"""``threatloop scan``: what it prints and writes, its exit status, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scan_world
import tiny


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = scan_world.repository(tmp_path)
    monkeypatch.chdir(root)
    return root


here = pytest.mark.usefixtures("repository")


@here
def test_a_scan_prints_and_succeeds_without_a_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command_line(monkeypatch, "scan", ".") == 0
    out = capsys.readouterr().out
    assert "Findings (2)" in out
    assert "Errors (1)" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--fail-on", "high"], 3), (["--fail-on", "critical"], 0), (["--strict"], 3),
        (["--fail-on", "high", "--no-code"], 0),
        (["--no-models", "--no-code", "--no-dependencies"], 2), (["--fail-on", "severe"], 2), (["--format", "xml"], 2),
        (["--baseline", "none.yaml"], 2), (["--advisories", "none.zip"], 2), (["no-such-folder"], 2),
        (["--corpus", "list.txt"], 2), (["--out", "."], 2), (["--reason", "known"], 2),
        (["--write-baseline", "requirements.txt"], 2),
    ],
)  # fmt: skip
@here
def test_the_exit_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
) -> None:
    assert tiny.command_line(monkeypatch, "scan", ".", *options) == status
    assert (capsys.readouterr().err.count("threatloop:") == 1) is (status == 2)


def test_nothing_to_scan_is_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.command_line(monkeypatch, "scan") == 2
    assert "threatloop scan ." in capsys.readouterr().err


@here
def test_a_baseline_is_written_filled_in_and_accepted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command_line(monkeypatch, "scan", ".", "--write-baseline", "b.yaml") == 0
    assert tiny.command_line(monkeypatch, "scan", ".", "--baseline", "b.yaml") == 2
    text = Path("b.yaml").read_text(encoding="utf-8")
    Path("b.yaml").write_text(text.replace("reason: ''", "reason: known"), encoding="utf-8")
    for path in (".", str(Path.cwd())):
        assert tiny.command_line(monkeypatch, "scan", path, "--baseline", "b.yaml", "--fail-on", "low") == 0
    capsys.readouterr()


@pytest.mark.parametrize("form", ["json", "sarif", "cyclonedx"])
@here
def test_machine_formats_go_to_output_or_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    pytest.importorskip("cyclonedx")
    assert tiny.command_line(monkeypatch, "scan", ".", "--format", form) == 0
    json.loads(capsys.readouterr().out)
    assert tiny.command_line(monkeypatch, "scan", ".", "--format", form, "--out", "new/scan.out") == 0
    assert capsys.readouterr().out == ""
    json.loads(Path("new/scan.out").read_text(encoding="utf-8"))


@here
def test_what_is_turned_off_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.command_line(monkeypatch, "scan", ".", "--no-code", "--no-models", "--format", "json") == 0
    reasons = [one["reason"] for one in json.loads(capsys.readouterr().out)["skipped"]]
    assert sum("--no-code" in reason for reason in reasons) == 3
    assert sum("--no-models" in reason for reason in reasons) == 2


def test_torch_of_the_manifest_decides_about_torch_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("import torch\ntorch.load('m.pt')\n")
    Path("service").mkdir()
    for requirement, other, expected in (
        ("torch==2.6.0", "", []), ("torch>=2.0", "", ["high"]), ("numpy", "", ["medium"]),
        ("torch==2.6.0", "torch", ["medium"]),
    ):  # fmt: skip
        Path("requirements.txt").write_text(requirement + "\n")
        Path("service/requirements.txt").write_text(other + "\n")
        assert tiny.command_line(monkeypatch, "scan", ".", "--format", "json") == 0
        found = json.loads(capsys.readouterr().out)["findings"]
        assert [one["severity"] for one in found] == expected


def test_a_corpus_is_scanned_to_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / "corpus" / name).mkdir(parents=True)
        (tmp_path / "corpus" / name / "requirements.txt").write_text("pyyaml==5.3\n")
    advisories = shared_data / "pypa_advisories_2024-10.zip"
    monkeypatch.chdir(tmp_path)
    options = ("--corpus", "corpus", "--advisories", str(advisories))
    assert tiny.command_line(monkeypatch, "scan", *options) == 2
    assert tiny.command_line(monkeypatch, "scan", *options, "--out", "corpus.jsonl", "--fail-on", "high") == 3
    lines = Path("corpus.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["repository"] for line in lines] == ["a", "b"]
    assert "4 findings" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--online"], ["--baseline", "b.yaml"], ["--no-code"], ["--format", "json"]])
def test_a_corpus_takes_no_options_that_it_would_ignore(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert tiny.command_line(monkeypatch, "scan", "--corpus", "list.txt", *option) == 2
    assert f"drop {option[0]};" in " ".join(capsys.readouterr().err.split())


def test_broken_advisories_are_errors_of_a_corpus_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"corpus/a/requirements.txt": "torch==1.0\n", "osv/a.json": "{"}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    options = ("--corpus", "corpus", "--advisories", "osv", "--out", "corpus.jsonl", "--strict")
    assert tiny.command_line(monkeypatch, "scan", *options) == 3
    out = capsys.readouterr().out
    assert "Errors (1)" in out
    assert "compared with nothing" in out


def test_a_virtual_environment_that_is_named_has_its_packages_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    info = Path("env/lib/python3.11/site-packages/torch-1.0.dist-info")
    info.mkdir(parents=True)
    Path("env/pyvenv.cfg").touch()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n", encoding="utf-8")
    assert tiny.command_line(monkeypatch, "scan", "env", "--format", "json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["dependencies"]] == ["torch"]


def test_the_folder_of_version_control_is_named_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".git").mkdir()
    Path("a.py").touch()
    assert tiny.command_line(monkeypatch, "scan", ".", "--strict") == 0
    assert ".git" in capsys.readouterr().out
    Path("node_modules").mkdir()
    assert tiny.command_line(monkeypatch, "scan", ".", "--strict") == 3


@pytest.mark.slow
def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom threatloop.cli.main import run\nsys.argv = ['threatloop', 'scan', '--help']\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'networkx', 'cyclonedx', 'jinja2', 'yaml'} & set(sys.modules)))"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 5
    assert done.stdout.strip().splitlines()[-1] == "[]"
