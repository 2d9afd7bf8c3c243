"""The two corpora, written and scanned once for all tests of this folder."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from model_corpus import Case, Scanned, benign, malicious
from threatloop.supply_chain.model_files import scan_model_files


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
