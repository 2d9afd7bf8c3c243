"""pyproject.toml, setup.cfg, setup.py and Pipfile: what they ask for, where, and what is broken in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests import read, reasons, shown
from threatloop.supply_chain.dependencies.poetry_tables import pep440

PYPROJECT = """\
[build-system]
requires = ["setuptools>=61"]
[project]
name = "x"
dependencies = [
  "torch>=2",
  "numpy==1.26.4; python_version >= '3.9'",
]
optional-dependencies.gpu = ["cupy==12"]
[dependency-groups]
dev = ["pytest==8", {include-group = "lint"}, {include-group = "none"}]
lint = ["ruff"]
[tool.uv]
dev-dependencies = ["uvloop==0.19"]
[tool.pdm.dev-dependencies]
doc = ["sphinx"]
[tool.hatch.envs.test]
dependencies = ["coverage"]
"""


def test_every_table_of_a_pyproject(tmp_path: Path) -> None:
    found = read(tmp_path, {"pyproject.toml": PYPROJECT})
    assert [(one.shown, one.group, one.place.line) for one in found.dependencies] == [
        ("torch>=2", "", 6),
        ("numpy==1.26.4", "", 7),
        ("cupy==12", "gpu", 9),
        ("setuptools>=61", "build-system", 2),
        ("pytest==8", "dev", 11),
        ("ruff", "lint", 12),
        ("uvloop==0.19", "dev", 14),
        ("sphinx", "doc", 16),
        ("coverage", "test", 18),
    ]
    assert len(found.errors) == 1
    assert "'include-group': 'none'" in found.errors[0].reason


def test_poetrys_tables(tmp_path: Path) -> None:
    text = """\
[tool.poetry.dependencies]
python = "^3.9"
torch = "^2.1.3"
numpy = {version = "1.26.4", optional = true}
windows-only = {version = "*", markers = "sys_platform == 'win32'"}
mine = {git = "https://me:pw@example.org/mine.git", branch = "main"}
broken = "^x"
either = "1.2 || ^2"
[tool.poetry.group.dev.dependencies]
pytest = ">=7,<9"
"""
    found = read(tmp_path, {"pyproject.toml": text})
    assert [(one.shown, one.group, one.place.line) for one in found.dependencies] == [
        ("torch<3,>=2.1.3", "", 3),
        ("numpy==1.26.4", "", 4),
        ("mine", "", 6),
        ("either==1.2", "", 8),
        ("either<3,>=2", "", 8),
        ("pytest<9,>=7", "dev", 10),
    ]
    assert reasons(found)[0] == "7: broken: no version constraint: 'x'"
    assert not any("pw" in reason for reason in reasons(found))


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^1.2.3", "<2,>=1.2.3"),
        ("^0.2.3", "<0.3,>=0.2.3"),
        ("^0.0.3", "<0.0.4,>=0.0.3"),
        ("^0.0", "<0.1,>=0.0"),
        ("^0", "<1,>=0"),
        ("~1.2.3", "<1.3,>=1.2.3"),
        ("~1", "<2,>=1"),
        ("~=1.4", "~=1.4"),
        ("1.*", "==1.*"),
        (">=1.0 <2.0", "<2.0,>=1.0"),
        ("*", ""),
        ("=1.0", "1.0"),
        ("1.0", "1.0"),
    ],
)
def test_poetrys_constraints(constraint: str, specifier: str) -> None:
    [(version, wish)] = pep440(constraint)
    assert (version or wish) == specifier


def test_dynamic_dependencies_come_from_their_files_or_are_skipped(tmp_path: Path) -> None:
    dynamic = '[project]\nname = "x"\ndynamic = ["dependencies"]\n'
    setuptools = '[tool.setuptools.dynamic]\ndependencies = {file = ["deps.in", "../../out.txt"]}\n'
    found = read(tmp_path / "a", {"pyproject.toml": dynamic + setuptools, "deps.in": "torch==1\n"})
    assert shown(found) == ["torch==1"]
    assert "leads out of what is scanned" in found.skipped[0].reason
    other = read(tmp_path / "b", {"pyproject.toml": dynamic})
    assert "never done here" in other.skipped[0].reason


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("pyproject.toml", "[project]\ndependencies = [\n", "not TOML"),
        ("pyproject.toml", '[project]\ndependencies = "torch"\n', "project.dependencies is no list of texts"),
        ("pyproject.toml", "[project]\ndependencies = [1]\n", "which is no text"),
        ("pyproject.toml", "project = 3\n", "project is no table"),
        ("pyproject.toml", "a = " + "[" * 5000, "nested too deeply"),
        ("setup.cfg", "oops\n[options]\n", "before the first section"),
        ("setup.cfg", "[options]\nnonsense\n", "no configuration file"),
        ("setup.cfg", "[options]\ninstall_requires =\n  a ==\n", "no requirement"),
        ("setup.py", "def (", "not Python"),
        ("setup.py", "\x00", "not Python"),
        ("setup.py", "(" * 3000 + ")" * 3000, "not Python"),
        ("setup.py", "print(1)", "no call of setup()"),
        ("Pipfile", "[packages]\na = 3\n", "neither a version nor a table"),
        ("Pipfile", '[packages]\na = "one"\n', "no version specifier"),
    ],
)
def test_broken_files_are_reported(tmp_path: Path, name: str, text: str, reason: str) -> None:
    found = read(tmp_path, {name: text})
    assert any(reason in one for one in reasons(found))
    assert not found.dependencies


def test_setup_cfg(tmp_path: Path) -> None:
    text = """\
[options]
install_requires =
    torch==2.0
    # comment
    numpy ; python_version < "3"
    broken ==
setup_requires = wheel
[options.extras_require]
doc = sphinx
test = file: test.txt
"""
    found = read(tmp_path, {"setup.cfg": text, "test.txt": "pytest==8\n"})
    assert [(one.shown, one.group, one.place.line) for one in found.dependencies] == [
        ("torch==2.0", "", 3),
        ("wheel", "build-system", 7),
        ("sphinx", "doc", 9),
        ("pytest==8", "", 1),
    ]
    assert [reason.split(":")[0] for reason in reasons(found)] == ["6", "5"]


def test_setup_py_is_read_and_never_run(tmp_path: Path) -> None:
    text = """\
import os, setuptools
open("ran", "w")
base = ["torch==2.0"]
grown = ["a"]
grown.append("b")
if os.environ.get("X"):
    base2 = ["x"]
setuptools.setup(
    install_requires=base + ["numpy>=1", *("scipy",)],
    setup_requires=grown,
    tests_require=[line for line in open("requirements.txt")],
    extras_require={"doc": ["sphinx"], **{}},
    **options,
)
"""
    found = read(tmp_path, {"setup.py": text})
    assert [(one.shown, one.place.line) for one in found.dependencies] == [
        ("torch==2.0", 3),
        ("numpy>=1", 9),
        ("scipy", 9),
        ("sphinx", 12),
    ]
    assert [one.place.line for one in found.skipped] == [10, 11, 12, 13]
    assert not (tmp_path / "ran").exists()


def test_values_that_would_take_forever_are_skipped(tmp_path: Path) -> None:
    lines = ["a0 = []", *(f"a{n + 1} = a{n} + a{n}" for n in range(60)), "loop = loop", "from setuptools import setup"]
    lines.append("setup(install_requires=a60, tests_require=loop, extras_require=loop)")
    found = read(tmp_path, {"setup.py": "\n".join(lines)})
    assert len(found.skipped) == 3


def test_pipfile(tmp_path: Path) -> None:
    text = """\
[[source]]
url = "https://index.example/all"
[packages]
torch = "==2.0"
numpy = "*"
mine = {git = "https://example.org/mine.git"}
[dev-packages]
pytest = {version = ">=7", extras = ["x"]}
"""
    found = read(tmp_path, {"Pipfile": text})
    assert [(one.shown, one.group, one.place.line) for one in found.dependencies] == [
        ("torch==2.0", "", 4),
        ("numpy", "", 5),
        ("mine", "", 6),
        ("pytest>=7", "dev", 8),
    ]
