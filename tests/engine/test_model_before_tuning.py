"""An inspection of a tuned model is given the model that it was tuned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop.core.assets import Model
from threatloop.core.detection import Inspected
from threatloop.defences.verification.release_battery import ReleaseBattery
from threatloop.engine.operations.judge_defences import BEFORE

GPT = {"name": "gpt", "parameters": {"width": 16, "layers": 1}}


def spec(**more: Any) -> dict[str, Any]:
    target = {"data": "brief", "model": GPT, "recipe": tiny.RECIPE, "shadows": 2, **more}
    battery = {"name": "release_battery", "probes": 1, "questions": 2}
    return tiny.spec({"chat": target}, {"backdoor": {"attack": "trigger_tuning"}}, defences={"battery": [battery]})


def test_it_is_what_tuning_starts_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = tiny.plan(spec(tuning=tiny.RECIPE), tmp_path / "store")
    given = {task.inputs[BEFORE] for task in planned.tasks.values() if BEFORE in task.inputs}
    starts = {task.inputs["start"] for task in planned.tasks.values() if "start" in task.inputs}
    assert given == starts
    assert len(given) == 1
    seen: list[tuple[Model, Model | None]] = []

    def noted(_: ReleaseBattery, model: Model, *rest: Any) -> Inspected:
        seen.append((model, rest[-1]))
        return Inspected(flagged=False, score=0.0)

    monkeypatch.setattr(ReleaseBattery, "inspect_tuned", noted)
    tiny.run(spec(tuning=tiny.RECIPE), tmp_path)
    assert seen
    assert all(before is not None and before.digest != model.digest for model, before in seen)


def test_nothing_lies_before_a_model_that_is_trained_from_nothing(tmp_path: Path) -> None:
    planned = tiny.plan(spec(), tmp_path / "store")
    assert not any(BEFORE in task.inputs for task in planned.tasks.values())
