"""Paths in a spec follow it to another folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from threatloop.scenario.moved import moved


def test_relative_paths_start_from_the_new_folder(tmp_path: Path) -> None:
    targets: dict[str, Any] = {
        "a": {"data": {"npz": "scans.npz", "public": True}, "weights": "sub/w.pt", "members": "/data/m.npy"},
        "b": {"data": {"images": "~/photos"}},
        "c": {"data": {"embedded": "digits"}},
        "d": {"data": "medmnist:pneumoniamnist", "weights": None},
    }
    written = {"seed": 1, "targets": targets}
    found = moved(written, tmp_path / "in", tmp_path / "runs" / "one")
    assert found["targets"] == {
        "a": {
            "data": {"npz": "../../in/scans.npz", "public": True},
            "weights": "../../in/sub/w.pt",
            "members": "/data/m.npy",
        },
        "b": {"data": {"images": "~/photos"}},
        "c": {"data": {"embedded": "digits"}},
        "d": {"data": "medmnist:pneumoniamnist", "weights": None},
    }
    assert targets["a"]["weights"] == "sub/w.pt"
    assert moved(found, tmp_path / "runs" / "one", tmp_path / "in") == written
