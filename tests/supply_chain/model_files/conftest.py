"""The two corpora, written and scanned once for all tests of this folder."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_corpus import Case, benign, malicious
from threatloop.supply_chain.model_files import scan_model_files
from threatloop.supply_chain.result import Failure, Finding, Result, Severity, Skipped


@dataclass(frozen=True)
class Scanned:
    """A corpus on disk and what the scan of all of it found."""

    cases: list[Case]
    paths: dict[str, Path]
    result: Result

    def findings(self, case: Case, at_least: Severity = Severity.MEDIUM) -> list[Finding]:
        """Those at the case's file or inside it."""
        return [f for f in self.result.findings if self._of(case, f.place.path) and f.severity.reaches(at_least)]

    def open_points(self, case: Case) -> list[Failure | Skipped]:
        """What was broken, or not looked at or not understood."""
        return [x for x in (*self.result.errors, *self.result.skipped) if self._of(case, x.place.path)]

    def _of(self, case: Case, place: str) -> bool:
        path = str(self.paths[case.name])
        return place == path or place.startswith(f"{path}!/")


def _scanned(cases: list[Case], folder: Path) -> Scanned:
    paths = {case.name: case.write(folder) for case in cases}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load", "loads", "Unpickler"):
            patch.setattr(pickle, name, _refuse)
        return Scanned(cases, paths, scan_model_files(list(paths.values())))


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("a pickle was loaded")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return _scanned(malicious(), tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return _scanned(benign(), tmp_path_factory.mktemp("harmless"))
