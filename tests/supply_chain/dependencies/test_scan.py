"""The way in: discovery, single files, environments, bills of materials; and broken or hostile trees."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests import LINUX, advisories, advisory, shown, tree
from threatloop.core.errors import InputError
from threatloop.supply_chain.dependencies import text
from threatloop.supply_chain.dependencies.components import components
from threatloop.supply_chain.dependencies.formats import is_manifest, read_manifest
from threatloop.supply_chain.dependencies.model import Reading
from threatloop.supply_chain.dependencies.scan import read_dependencies, read_manifests
from threatloop.supply_chain.dependencies.session import Session
from threatloop.supply_chain.dependencies.target import target
from threatloop.supply_chain.matching import Matcher
from threatloop.supply_chain.result import Place
from threatloop.supply_chain.scanners import NOT_COMPARED, scan_manifests

KNOWN = advisories(advisory("A", "torch", ("0", "2.0")))


def test_a_repository_is_read_and_compared(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "torch==1.0\n",
        "docs/requirements-docs.txt": "sphinx\n",
        "requirements/dev.in": "pytest\n",
        "env/pyvenv.cfg": "",
        "env/requirements.txt": "hidden==1\n",
        "node_modules/x/requirements.txt": "hidden==1\n",
        ".git/requirements.txt": "hidden==1\n",
        "web/package.json": "{}",
        "notes.txt": "no manifest",
    }
    found = read_dependencies([tree(tmp_path, files)], LINUX)
    places = [str(one.place) for one in Matcher(KNOWN).match(found.dependencies).findings]
    assert places == [f"{tmp_path}/requirements.txt:1"]
    assert {os.path.relpath(one.path, tmp_path) for one in found.read} == {
        "requirements.txt",
        "docs/requirements-docs.txt",
        "requirements/dev.in",
    }
    assert {os.path.relpath(one.place.path, tmp_path) for one in found.skipped} == {
        ".git",
        "env",
        "node_modules",
        "web/package.json",
    }


def test_without_advisories_it_says_so(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"requirements.txt": "torch==1.0\n"})
    found = scan_manifests([folder / "requirements.txt"], [folder], None, online=False, environment=False)
    assert found.result.skipped[-1].reason == NOT_COMPARED


def test_a_single_file_may_include_others_of_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"pyproject.toml": "", "reqs/dev.txt": "-r ../base.txt\n", "base.txt": "torch==1.0\n"}
    monkeypatch.chdir(tree(tmp_path, files))
    found = read_dependencies(["reqs/dev.txt"], LINUX)
    assert [str(one.place) for one in found.dependencies] == ["base.txt:1"]
    odd = tree(
        tmp_path,
        {"deps.list": "torch==1.0\n", "some.json": '{"bomFormat": "CycloneDX"}', "some.yml": "dependencies: [a]\n"},
    )
    assert shown(read_dependencies([odd / "deps.list"], LINUX)) == ["torch==1.0"]
    assert read_dependencies([odd / "some.json"], LINUX).read == [Place("some.json")]
    assert shown(read_dependencies([odd / "some.yml"], LINUX)) == ["a"]


def test_manifests_that_were_found_already_keep_their_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(tmp_path, {"a/requirements.txt": "-r ../b/more.txt\nx==1\n", "b/more.txt": "y==1\n"}))
    inside = read_manifests([Path("a/requirements.txt")], [Path("a")], LINUX)
    assert (shown(inside), len(inside.skipped)) == (["x==1"], 1)
    assert shown(read_manifests([Path("a/requirements.txt")], [Path(".")], LINUX)) == ["y==1", "x==1"]
    assert [one.place.path for one in inside.dependencies] == ["a/requirements.txt"]


def test_links_and_loops(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("out==1\n", encoding="utf-8")
    folder = tree(tmp_path / "tree", {"a/requirements.txt": "a==1\n", "deps.list": "b==1\n"})
    os.symlink(folder, folder / "a" / "loop")
    os.symlink(tmp_path / "out.txt", folder / "requirements-out.txt")
    os.symlink(folder / "a" / "requirements.txt", folder / "requirements-again.txt")
    os.symlink(folder / "deps.list", folder / "requirements.txt")
    os.symlink(folder / "nothing", folder / "requirements-nothing.txt")
    found = read_dependencies([folder], LINUX)
    assert sorted(shown(found)) == ["a==1", "b==1"]
    assert len(found.skipped) == 3
    assert not found.errors


def test_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_BYTES", 1000)
    folder = tree(tmp_path, {"requirements.txt": "a==1\n" * 500, "uv.lock": "\x00"})
    os.mkfifo(folder / "poetry.lock")
    (folder / "setup.cfg").write_bytes(b"\xff\xfe\x00\xd8")
    (folder / "Pipfile").mkdir()
    found = read_dependencies([folder], LINUX)
    assert not found.dependencies
    assert {os.path.basename(one.place.path) for one in found.errors} == {
        "requirements.txt",
        "uv.lock",
        "setup.cfg",
    }
    assert [(os.path.basename(one.place.path), one.reason) for one in found.skipped] == [
        ("poetry.lock", "no regular file")
    ]


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_dependencies([tmp_path / "nothing"], LINUX)


def test_installed_packages(tmp_path: Path) -> None:
    folder = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    files = {
        "app-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: App\nVersion: 1.0\nRequires-Dist: torch>=1\n"
        "Requires-Dist: extra; extra == 'x'\nRequires-Dist: broken =\n",
        "torch-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n",
        "broken-1.0.dist-info/METADATA": "",
    }
    tree(folder, files)
    (tmp_path / "env" / "pyvenv.cfg").write_text("", encoding="utf-8")
    for path in (tmp_path / "env", folder):
        found = read_dependencies([path], LINUX)
        assert {(one.shown, one.path) for one in found.dependencies} == {
            ("App==1.0", ("app",)),
            ("torch==1.0", ("app", "torch")),
        }
        assert len(found.errors) == 2
    everything = read_dependencies([], LINUX, environment=True)
    assert "pytest" in {one.name for one in everything.dependencies}


def test_components_of_a_bill(tmp_path: Path) -> None:
    lock = """\
[[package]]
name = "Torch"
version = "1.0+cu1"
[package.dependencies]
jinja2 = "*"
[[package]]
name = "jinja2"
version = "3"
"""
    found = read_dependencies([tree(tmp_path, {"poetry.lock": lock, "requirements.txt": "torch>=1\nnumpy\n"})], LINUX)
    rows = {one.purl: (one.needs, one.direct) for one in components(found)}
    assert rows == {
        "pkg:pypi/jinja2@3": ((), False),
        "pkg:pypi/numpy": ((), None),
        "pkg:pypi/torch": (("pkg:pypi/jinja2@3",), None),
        "pkg:pypi/torch@1.0%2Bcu1": (("pkg:pypi/jinja2@3",), True),
    }


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        ("requirements.txt", True),
        ("requirements-dev.txt", True),
        ("dev-requirements.in", True),
        ("requirements/base.txt", True),
        ("pylock.dev.toml", True),
        ("environment-gpu.yaml", True),
        ("my.cdx.json", True),
        ("go.mod", True),
        ("notes.txt", False),
        ("config.yml", False),
        ("setup.pyc", False),
        ("requirements.md", False),
    ],
)
def test_names_of_manifests(name: str, manifest: bool) -> None:
    assert is_manifest(Path("x") / name) is manifest


def test_targets_are_checked() -> None:
    assert target("3.8", "macos").shown == "Python 3.8 on darwin"
    with pytest.raises(InputError, match="allowed are linux, macos, windows"):
        target(platform="amiga")
    with pytest.raises(InputError, match="give a version such as"):
        target("2")


_NAMES = [
    "requirements.txt",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "poetry.lock",
    "uv.lock",
    "pdm.lock",
    "Pipfile",
    "Pipfile.lock",
    "pylock.toml",
    "conda-lock.yml",
    "environment.yml",
    "bom.json",
    "bom.xml",
]
_WORDS = st.sampled_from(
    [
        *"[]{}()=:;,-#'\"\\\n\x00aé",
        *("[[package]]", "[project]", "dependencies", "name", "version", "1.0", "==", "-r ", "- "),
        *("install_requires", "setup(", "package", "null", "<bom/>"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.sampled_from(_NAMES), st.one_of(st.text(max_size=300), st.lists(_WORDS, max_size=40).map("".join)))
def test_no_text_ends_the_scan_or_is_passed_over_in_silence(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    found = Reading()
    read_manifest(Session(tmp_path, LINUX, found), path)
    assert found.read or found.errors or found.skipped
    assert not any("its reader failed" in one.reason for one in found.errors)


_WIDE = " " * 200_000
_ESCAPED = "".join(f'"\\u0061{n}", ' for n in range(20_000))
_CHAIN = (f'[[package]]\nname = "p{n}"\nversion = "1"\n[package.dependencies]\np{n + 1} = "*"\n' for n in range(10_000))
_SLOW = {
    "white space before a comment": ("requirements.txt", f"a{_WIDE}b\n{_WIDE}x{_WIDE}#\n"),
    "nested marker": ("requirements.txt", f"a; {'(' * 900}python_version > '3'{')' * 900}\n"),
    "many constraints": ("requirements.txt", "-c requirements.txt\n" * 3_000),
    "dotted key": ("uv.lock", f"{'a.' * 100_000}b = 1\n"),
    "wide constraint": ("pyproject.toml", f'[tool.poetry.dependencies]\na = "1{_WIDE}x"\n'),
    "names that are not found": ("pyproject.toml", f"[project]\ndependencies = [{_ESCAPED}]\n"),
    "wide line": ("setup.cfg", f"[options]\na{_WIDE}b\n"),
    "wide package": ("environment.yml", f'dependencies:\n- "a{_WIDE}=1"\n'),
    "long chain": ("poetry.lock", "".join(_CHAIN)),
}


@pytest.mark.parametrize("name", _SLOW)
def test_no_text_takes_long(tmp_path: Path, name: str) -> None:
    file, content = _SLOW[name]
    session = Session(tree(tmp_path, {file: content}), LINUX, Reading())
    begun = time.process_time()
    read_manifest(session, tmp_path / file)
    assert time.process_time() - begun < 10
    assert session.reading.errors or session.reading.dependencies
