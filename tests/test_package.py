"""The frame of the package: light imports, help with examples, constraints, the wheel, nothing of one machine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand
from typer.main import get_command

from threatloop.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "threatloop"
RUN = """
import sys
from threatloop.cli.main import run
try:
    run()
finally:
    print("heavy:", *sorted({"torch", "ray"} & set(sys.modules)), file=sys.stderr)
"""
LOAD_ALL = """
import sys
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS
for catalogue in (ATTACKS, DEFENCES, METRICS):
    for name in catalogue.names():
        print(catalogue.load(name).info.title)
print("heavy:", *sorted({"torch", "ray"} & set(sys.modules)), file=sys.stderr)
"""
FOREIGN = re.compile(
    "|".join(["pypi[.]" + "org", "python" + "hosted", "index" + "-url", "find" + "-links", "download[.]" + "pytorch"])
    + "|(?<![\\w.])/(?:" + "|".join(["tmp", "root", "home", "opt", "work", "Users"]) + ")/"
)  # fmt: skip


def python(code: str, *arguments: str) -> tuple[str, str]:
    """Standard output and the last line of standard error of code run in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(("--help",), "audit"), (("catalogue",), "lira"), (("schema",), '"watermark_removal"')],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_commands_that_must_not_wait_for_torch(arguments: tuple[str, ...], shown: str) -> None:
    out, heavy = python(RUN, *arguments)
    assert shown in out
    assert heavy == "heavy:"


def test_every_catalogue_row_loads_without_torch() -> None:
    titles, heavy = python(LOAD_ALL)
    assert len(titles.splitlines()) >= 24
    assert heavy == "heavy:"


def test_importing_the_package_imports_no_library() -> None:
    code = "import sys, threatloop; print(*{'numpy', 'pydantic', 'torch', 'yaml'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def commands() -> Iterator[tuple[str, TyperCommand]]:
    """Every command of the command line with its full name."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {below}", one) for below, one in inner.items())


def parsed(line: str) -> str:
    """The command that a line of the documentation calls; it is parsed with all its options and not run."""
    words = shlex.split(line, comments=True)
    words = words[: words.index(">")] if ">" in words else words
    assert words[0] == "threatloop"
    names = sorted(dict(commands()), key=len, reverse=True)
    name = next(name for name in names if words[1 : 1 + len(name.split())] == name.split())
    dict(commands())[name].make_context(name, words[1 + len(name.split()) :])
    return name


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_has_help_and_an_example_that_parses(name: str) -> None:
    command = dict(commands())[name]
    assert command.help
    assert command.epilog, f"`threatloop {name}` has no example"
    examples = re.sub(r"^Examples?:", "", command.epilog).split("   |   ")
    assert [parsed(example.strip()) for example in examples] == [name] * len(examples)


def test_readme_names_every_command_and_only_options_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `threatloop (\w+)`", text, re.MULTILINE))
    assert named == {name.split()[0] for name, _ in commands()}
    options = re.findall(r"`(--fail-on '[^']+'|--allow-code|--show-records)`", text)
    assert len(set(options)) == 3
    assert {parsed(f"threatloop audit {option}") for option in options} == {"audit"}


def test_constraints_pin_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {
        re.split(r"[<>=!~\[; ]", line)[0].lower()
        for line in (*project["dependencies"], *extras["ray"], *extras["test"])
    }
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))
    assert wanted - set(pins) == set()
    assert pins["torch"] == "2.13.0"
    assert [pin for pin in pins.values() if not re.fullmatch(r"\d[\w.]*", pin)] == []
    assert not [name for name in pins if re.match(r"nvidia|triton|cuda", name)]


def own_files() -> list[Path]:
    """Text files of the repository: what git tracks, or what it would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout, so what belongs to the project is not known")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    files = own_files()
    assert ROOT / "pyproject.toml" in files
    found = []
    for path in files:
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), start=1):
            if FOREIGN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_the_pattern_for_foreign_places_finds_them() -> None:
    assert FOREIGN.search("see /" + "home/someone/data")
    assert not FOREIGN.search("src/home/page.py and a/tmp/b")


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("the build backend cannot be fetched here")
    assert built.returncode == 0, built.stderr
    held = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    wanted = {
        f"threatloop/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"threatloop/report/templates/report.html.j2", "threatloop/scenario/studies/embedded.yaml"} <= wanted
    assert wanted - held == set()
    assert not [name for name in held - wanted if ".dist-info/" not in name]
