"""`threatloop.audit`: specs in every form, errors before any compute, the same run as the command line's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import threatloop
from threatloop import api
from threatloop.core.errors import InputError, Problems
from threatloop.engine.backends.processes import without_main

SPEC: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "targets": {"cancer": {"data": "breast_cancer", "shadows": 2, "recipe": {"epochs": 2, "learning_rate": 1e-05}}},
    "scenarios": {"flip": {"attack": {"name": "label_flip", "rate": 0.3}}, "loss": {"attack": "loss_threshold"}},
}


def test_the_package_offers_the_api_and_nothing_else() -> None:
    assert threatloop.audit is api.audit
    assert threatloop.Result is api.Result
    with pytest.raises(AttributeError, match="no attribute 'audti'"):
        _ = threatloop.audti  # type: ignore[attr-defined]


def test_a_spec_may_be_a_mapping_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(SPEC), encoding="utf-8")
    from_mapping, from_path = api.load_spec(SPEC), api.load_spec(path)
    assert from_mapping.spec == from_path.spec
    recipe = from_mapping.spec.targets["cancer"].recipe
    assert recipe is not None
    assert recipe.learning_rate == 1e-05
    assert from_path.base == tmp_path


def test_without_a_spec_both_embedded_sets_and_the_seeds_asked_for() -> None:
    found = api.load_spec(seeds=3)
    assert set(found.targets) == {"digits", "breast_cancer"}
    assert found.spec.seeds == 3


@pytest.mark.parametrize("seeds", [0, -2])
def test_zero_seeds_are_refused(seeds: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        api.load_spec(SPEC, seeds=seeds)


def test_a_bad_mapping_lists_every_problem() -> None:
    with pytest.raises(Problems, match="label_flip") as caught:
        api.load_spec({**SPEC, "scenarios": {"a": {"attack": "label_flop"}, "b": {"attack": {"name": "lira", "x": 1}}}})
    assert len(caught.value.problems) == 2


def test_an_object_in_a_mapping_is_refused_in_one_line() -> None:
    with pytest.raises(Problems, match="none of text, number, list and mapping") as caught:
        api.load_spec({**SPEC, "name": object()})
    assert len(caught.value.problems) == 1


def test_parts_of_a_mapping_may_be_shared() -> None:
    recipe = {"epochs": 2}
    one = {"data": "digits", "recipe": recipe}
    found = api.load_spec({**SPEC, "targets": {"one": one, "same": one, "table": {**one, "data": "breast_cancer"}}})
    assert [target.spec.recipe.epochs for target in found.targets.values() if target.spec.recipe] == [2, 2, 2]


@pytest.mark.parametrize("expression", ["risk(M→D >", "no_such_metric > 0.5"])
def test_a_bad_threshold_is_refused_before_any_compute(tmp_path: Path, expression: str) -> None:
    with pytest.raises(InputError):
        threatloop.audit(SPEC, out=tmp_path / "run", store=str(tmp_path / "store"), fail_on=[expression])
    assert list(tmp_path.iterdir()) == []


def test_main_is_hidden_from_workers_and_comes_back() -> None:
    main = sys.modules["__main__"]
    before = dict(vars(main))
    stopped = KeyboardInterrupt()
    with contextlib.suppress(KeyboardInterrupt), without_main():
        assert vars(main).get("__file__") is None
        assert main.__spec__ is None
        raise stopped
    assert dict(vars(main)) == before


def test_an_audit_in_this_process(tmp_path: Path) -> None:
    result = threatloop.audit(
        SPEC, out=tmp_path / "run", store=str(tmp_path / "store"), backend="inline", fail_on=["errors > 0"]
    )
    assert {figure.metric for figure in result.summary.figures} >= {"flip_success", "membership"}
    assert result.record.errors == ()
    assert result.record.seeds == 2
    assert not result.crossed
    assert result.report.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert {path.name for path in result.out.iterdir()} >= {"run.json", "measurements.parquet", "report.json"}


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Worker processes are spawned: each would run the script again if it were not hidden from them."""
    script = tmp_path / "script.py"
    script.write_text(
        "import threatloop\n"
        "print('started')\n"
        f"result = threatloop.audit({SPEC!r}, workers=2)\n"
        "print(result.record.tasks['failed'], result.record.tasks['retried'], result.report.is_file())\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["started", "0 0 True"]
