"""Lock files: versions, hashes, ways in, and what is broken in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from manifests import read, reasons, shown

HASH = "sha256:" + "ab" * 32
INDEX = "https://index.example/all"

POETRY = f"""\
[[package]]
name = "torch"
version = "2.0.0"
groups = ["main"]
files = [{{file = "torch.whl", hash = "{HASH}"}}]

[package.dependencies]
Jinja2 = ">=3"

[[package]]
name = "jinja2"
version = "3.1.0"
category = "dev"

[package.dependencies]
markupsafe = "*"

[[package]]
name = "markupsafe"
version = "2.1.1"
markers = "python_version < '3'"

[[package]]
name = "nameless"

[[package]]
name = "mine"
version = "1"
[package.source]
type = "git"
url = "https://u:p@example.org/mine.git"

[metadata.files]
jinja2 = [{{file = "j.whl", hash = "{HASH}"}}]
"""


def test_poetry_lock(tmp_path: Path) -> None:
    project = '[tool.poetry.dependencies]\ntorch = "*"\nmine = {git = "x"}\n'
    found = read(tmp_path, {"poetry.lock": POETRY, "pyproject.toml": project})
    assert [(one.shown, one.place.line, one.group, one.path, one.hashes) for one in found.dependencies] == [
        ("torch==2.0.0", 1, "", ("torch",), (HASH,)),
        ("jinja2==3.1.0", 10, "dev", ("torch", "jinja2"), (HASH,)),
        ("mine==1", 26, "", ("mine",), ()),
    ]
    assert reasons(found)[0] == "23: nameless has no version"
    assert "u:p" not in str(found)


UV = f"""\
version = 1
[[package]]
name = "project"
version = "0.1"
source = {{ editable = "." }}
dependencies = [{{ name = "Torch" }}]
[package.dev-dependencies]
dev = [{{ name = "pytest" }}]

[[package]]
name = "torch"
version = "2.0.0"
source = {{ registry = "{INDEX}" }}
dependencies = [
  {{ name = "jinja2", marker = "python_version > '3'" }},
  {{ name = "old", marker = "python_version < '3'" }},
]
sdist = {{ url = "https://x/t.tar.gz", hash = "{HASH}", upload-time = "2023-03-02T00:00:00Z" }}
wheels = [{{ url = "https://x/t.whl", hash = "{HASH}", upload-time = 2023-03-01T00:00:00Z }}]

[[package]]
name = "jinja2"
version = "3.1.0"
source = {{ git = "https://u:p@example.org/jinja2" }}

[[package]]
name = "pytest"
version = "8.0.0"
source = {{ registry = "{INDEX}" }}

[[package]]
name = "old"
version = "1"
source = {{ registry = "{INDEX}" }}
"""


def test_uv_lock(tmp_path: Path) -> None:
    found = read(tmp_path, {"uv.lock": UV})
    assert [(one.shown, one.place.line, one.path, one.direct) for one in found.dependencies] == [
        ("torch==2.0.0", 10, ("torch",), True),
        ("jinja2==3.1.0", 21, ("torch", "jinja2"), False),
        ("pytest==8.0.0", 26, ("pytest",), True),
    ]
    assert found.dependencies[0].released == datetime(2023, 3, 1, tzinfo=UTC)
    assert "comes from https://example.org/jinja2" in reasons(found)[0]
    assert reasons(found)[1].startswith("31: old: not for Python 3.11 on linux")


def test_pdm_lock(tmp_path: Path) -> None:
    text = f"""\
[metadata]
groups = ["default", "test"]
[[package]]
name = "torch"
version = "2.0.0"
groups = ["default"]
dependencies = ["jinja2>=3; python_version > '3'", "broken =="]
files = [{{file = "t.whl", hash = "{HASH}"}}]
[[package]]
name = "jinja2"
version = "3.1.0"
groups = ["test"]
[[package]]
name = "old"
version = "1"
marker = "python_version < '3'"
"""
    found = read(tmp_path, {"pdm.lock": text})
    assert [(one.shown, one.group, one.path) for one in found.dependencies] == [
        ("torch==2.0.0", "", ("torch",)),
        ("jinja2==3.1.0", "test", ("torch", "jinja2")),
    ]
    assert "which is no requirement" in reasons(found)[0]


def test_pylock(tmp_path: Path) -> None:
    text = f"""\
lock-version = "1.0"
created-by = "me"
[[packages]]
name = "torch"
version = "2.0.0"
dependencies = [{{name = "jinja2"}}]
[[packages.wheels]]
url = "https://x/t.whl"
upload-time = 2023-03-01T00:00:00Z
hashes = {{sha256 = "{"ab" * 32}"}}
[[packages]]
name = "jinja2"
vcs = {{type = "git", url = "https://example.org/j.git", commit-id = "abc"}}
"""
    found = read(tmp_path, {"pylock.gpu.toml": text})
    assert [(one.shown, one.place.line, one.hashes) for one in found.dependencies] == [
        ("torch==2.0.0", 3, (HASH,)),
        ("jinja2", 11, ()),
    ]
    assert found.dependencies[0].released == datetime(2023, 3, 1, tzinfo=UTC)
    assert "its version is not known" in reasons(found)[0]


def test_pipfile_lock(tmp_path: Path) -> None:
    lock = {
        "_meta": {"hash": {}},
        "default": {"torch": {"hashes": [HASH], "version": "==2.0.0"}, "mine": {"git": "https://example.org/x"}},
        "develop": {"pytest": {"version": "==8.0", "markers": "python_version < '3'"}, "bad": 3},
    }
    found = read(tmp_path, {"Pipfile.lock": json.dumps(lock, indent=1)})
    assert [(one.shown, one.place.line, one.hashes) for one in found.dependencies] == [
        ("torch==2.0.0", 6, (HASH,)),
        ("mine", 12, ()),
    ]
    assert [reason.split(": ", 1)[1][:20] for reason in reasons(found)] == [
        "bad: neither a versi",
        "mine from https://ex",
        "pytest: not for Pyth",
    ]


def test_conda_environment(tmp_path: Path) -> None:
    text = """\
name: x
channels: [conda-forge]
dependencies:
  - python=3.10
  - conda-forge::pytorch=1.13.1=py310_0
  - numpy>=1.2,<2
  - scipy 1.9.*
  - lib2to3-x
  - pkg[version='>=1']
  - "not a package!"
  - pip:
    - torchvision==0.14
    - -r more.txt
    - broken ==
"""
    found = read(tmp_path, {"environment.yml": text, "more.txt": "flask==1.0\n"})
    assert [(one.ecosystem, one.shown, one.place.line) for one in found.dependencies] == [
        ("conda", "python==3.10.*", 4),
        ("conda", "pytorch==1.13.1", 5),
        ("conda", "numpy<2,>=1.2", 6),
        ("conda", "scipy==1.9.*", 7),
        ("conda", "lib2to3-x", 8),
        ("conda", "pkg>=1", 9),
        ("PyPI", "torchvision==0.14", 12),
        ("PyPI", "flask==1.0", 1),
    ]
    assert [one.place.line for one in found.errors] == [10, 14]


def test_conda_lock(tmp_path: Path) -> None:
    text = """\
version: 1
package:
- name: numpy
  version: 1.24.0
  manager: conda
  platform: linux-64
  dependencies: {python: '>=3.8', libblas: '*'}
  hash: {md5: aa, sha256: bb}
  category: main
- name: numpy
  version: 1.24.0
  manager: conda
  platform: osx-64
- name: libblas
  version: '3.9'
  manager: conda
- name: flask
  version: '1.10'
  manager: pip
"""
    found = read(tmp_path, {"conda-lock.yml": text})
    assert [(one.ecosystem, one.shown, one.place.line) for one in found.dependencies] == [
        ("conda", "numpy==1.24.0", 3),
        ("conda", "libblas==3.9", 14),
        ("PyPI", "flask==1.10", 17),
    ]
    assert found.dependencies[1].path == ("numpy", "libblas")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("poetry.lock", "[[package]]\nname = 3\n", "no proper name"),
        ("poetry.lock", "package = 3\n", "package is no list of tables"),
        ("poetry.lock", "[[package]\n", "not TOML"),
        ("uv.lock", 'version = 9\n[[package]]\nname = "a b"\nversion = "1"\n', "no proper name"),
        ("pdm.lock", "package = [3]\n", "is no table"),
        ("pylock.toml", 'lock-version = "7"\n', "lock-version 7 is not known"),
        ("Pipfile.lock", '{"default": {', "not JSON"),
        ("Pipfile.lock", "[]", "no JSON object"),
        ("Pipfile.lock", "[" * 100_000, "nested too deeply"),
        ("environment.yml", "dependencies: 3\n", "no list of dependencies"),
        ("environment.yml", "a: [", "not YAML"),
        ("environment.yml", "a: &x [1]\nb: *x\n", "uses an alias"),
        ("environment.yml", "- a\n", "holds no mapping"),
        ("conda-lock.yml", "package: [3]\n", "is no table"),
    ],
)
def test_broken_locks_are_reported(tmp_path: Path, name: str, text: str, reason: str) -> None:
    found = read(tmp_path, {name: text})
    assert any(reason in one for one in reasons(found))
    assert not shown(found)


def test_a_circle_in_a_lock_ends(tmp_path: Path) -> None:
    rows = ((one, other) for one, other in zip("abc", "bca", strict=True))
    text = "".join(
        f'[[package]]\nname = "{one}"\nversion = "1"\n[package.dependencies]\n{other} = "*"\n' for one, other in rows
    )
    assert shown(read(tmp_path, {"poetry.lock": text})) == ["a==1", "b==1", "c==1"]


def test_a_lock_without_a_graph_tells_no_ways(tmp_path: Path) -> None:
    text = '[[packages]]\nname = "a"\nversion = "1"\n[[packages]]\nname = "b"\nversion = "1"\n'
    found = read(tmp_path, {"pylock.toml": 'lock-version = "1.0"\n' + text})
    assert [(one.path, one.direct) for one in found.dependencies] == [((), None), ((), None)]


def test_a_very_long_way_is_shortened(tmp_path: Path) -> None:
    rows = [f'[[package]]\nname = "p{n}"\nversion = "1"\n[package.dependencies]\np{n + 1} = "*"\n' for n in range(500)]
    ways = {one.name: one.path for one in read(tmp_path, {"poetry.lock": "".join(rows)}).dependencies}
    assert ways["p2"] == ("p0", "p1", "p2")
    assert ways["p499"][:2] == ("p0", "…")
    assert ways["p499"][-2:] == ("p498", "p499")
    assert len(ways["p499"]) == 40
