"""A large model reads the candidates once; every task that asks about them is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop.models.language.responder import LanguageResponder

pytest.importorskip("transformers", reason="the llm extra is not installed")
pytest.importorskip("peft", reason="the llm extra is not installed")

from tiny_hub import save_tiny

SCENARIOS = {"loss": {"attack": "loss_threshold"}, "reference": {"attack": "reference_membership"}}


def spec(folder: Path) -> dict[str, Any]:
    model = {"name": "causal_lm", "parameters": {"base": str(save_tiny(folder / "base")), "context": 128}}
    data = {"text": "stdlib", "length": 48, "limit": 80}
    target = {"data": data, "model": model, "recipe": tiny.RECIPE, "shadows": 2, "access": ["scores"]}
    return {"version": 1, "seed": 1, "seeds": 1, "targets": {"chat": target}, "scenarios": SCENARIOS}


def figures(written: dict[str, Any], folder: Path) -> dict[tuple[str, ...], float]:
    tiny.run(written, folder)
    rows = [row for row in tiny.table(folder / "out") if row["value"] is not None]
    return {tuple(str(row[name]) for name in ("scenario", "arm", "metric")): row["value"] for row in rows}


def test_victim_and_base_read_the_candidates_once_each(tmp_path: Path) -> None:
    planned = tiny.plan(spec(tmp_path), tmp_path / "store")
    assert Counter(task.operation for task in planned.tasks.values())["answers"] == 2


def test_small_models_are_asked_each_time(tmp_path: Path) -> None:
    small = spec(tmp_path)
    small["targets"]["chat"]["model"] = {"name": "gpt", "parameters": {"width": 16, "layers": 1}}
    planned = tiny.plan(small, tmp_path / "store")
    assert not any(task.operation == "answers" for task in planned.tasks.values())


def test_what_is_measured_is_what_asking_again_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    ask = LanguageResponder.log_probs

    def counted(self: LanguageResponder, x: Any) -> Any:
        read.append(sum(record.tobytes() not in self.told for record in x))
        return ask(self, x)

    monkeypatch.setattr(LanguageResponder, "log_probs", counted)
    written = spec(tmp_path)
    shared = figures(written, tmp_path / "shared")
    once, read[:] = sum(read), []
    for user in ("act", "checks"):
        monkeypatch.setattr(f"threatloop.engine.operations.{user}.told", lambda responder, *_: responder)
    again = figures(written, tmp_path / "again")
    assert once < sum(read)
    assert shared.keys() == again.keys()
    assert list(shared.values()) == pytest.approx(list(again.values()), abs=1e-4)
