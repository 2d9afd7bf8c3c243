"""An edit changes the digest of every module that can be affected by it, and of no other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from threatloop.engine import sources
from threatloop.engine.operations import OPERATIONS, module_of

FILES = {
    "__init__.py": "",
    "base.py": "VALUE = 1\n",
    "direct.py": "from shapes.base import VALUE\n",
    "relative.py": "from . import base\n",
    "late.py": "def read():\n    from .direct import VALUE\n    return VALUE\n",
    "alone.py": "import os\nimport elsewhere\n",
    "circle.py": "from shapes import square\n",
    "square.py": "from shapes import circle\n",
}


def forget() -> None:
    importlib.invalidate_caches()
    for cached in (sources.source_digest, sources._source_file, sources._read):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "shapes"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (tmp_path / "elsewhere.py").write_text("VALUE = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shapes", "elsewhere")]:
        del sys.modules[name]
    forget()


def digests() -> dict[str, str]:
    forget()
    names = [name.removesuffix(".py") for name in FILES if name != "__init__.py"]
    return {name: sources.source_digest(f"shapes.{name}") for name in names}


def changed(path: Path) -> set[str]:
    before = digests()
    path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    after = digests()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "affected"),
    [
        ("base.py", {"base", "direct", "relative", "late"}),
        ("direct.py", {"direct", "late"}),
        ("late.py", {"late"}),
        ("alone.py", {"alone"}),
        ("circle.py", {"circle", "square"}),
    ],
)
def test_an_edit_affects_what_imports_it(package: Path, file: str, affected: set[str]) -> None:
    assert changed(package / file) == affected


def test_other_libraries_are_left_to_the_profile(package: Path) -> None:
    assert changed(package.parent / "elsewhere.py") == set()


def test_plumbing_is_excluded(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PLUMBING", frozenset({"shapes.base"}))
    assert changed(package / "base.py") <= {"base"}
    assert changed(package / "direct.py") == {"direct", "late"}


def test_the_catalogue_is_plumbing_and_the_operations_are_not() -> None:
    assert {"threatloop.core.catalogue", "threatloop.core.errors"} <= sources.PLUMBING
    assert not {module_of(operation) for operation in OPERATIONS} & sources.PLUMBING


def test_a_module_without_source_is_refused() -> None:
    forget()
    with pytest.raises(ModuleNotFoundError, match="no source file for module 'no_such_module_here'"):
        sources.source_digest("no_such_module_here")
