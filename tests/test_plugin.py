"""A third party's attack runs through an entry point, once the user enables it, without touching the package."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiny
from threatloop import api
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS
from threatloop.core.errors import Problems

SOURCE = Path(__file__).parent / "support" / "third_party.py"
ENTRY_POINTS = """[threatloop.attacks]
shuffled = shiny_attacks:Shuffled
absent = shiny_attacks:NoSuchClass
elsewhere = no_such_shiny_module:Attack
"""
SCENARIO = {"shuffled": {"attack": "shuffled"}}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution as pip would leave it: a module and its ``dist-info`` folder."""
    site = tmp_path / "site"
    about = site / "shiny_attacks-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "shiny_attacks.py").write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shiny-attacks\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    # Worker processes find it the way a user's shell would tell them.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    importlib.invalidate_caches()
    for catalogue in (ATTACKS, DEFENCES, METRICS):
        monkeypatch.setattr(catalogue, "enabled", {})
    yield site
    sys.modules.pop("shiny_attacks", None)


@pytest.mark.usefixtures("installed")
def test_an_installed_attack_that_is_not_enabled_is_unknown() -> None:
    with pytest.raises(Problems, match="unknown attack 'shuffled'"):
        api.load_spec(tiny.spec(scenarios=SCENARIO))
    assert "shiny_attacks" not in sys.modules


@pytest.mark.usefixtures("installed")
def test_an_enabled_attack_runs_and_stands_in_the_table(tmp_path: Path) -> None:
    finished = tiny.run(tiny.spec(scenarios=SCENARIO, plugins=["shiny-attacks"]), tmp_path)
    rows = tiny.table(finished.out)
    assert {(row["attack"], row["arm"], row["metric"]) for row in rows} == {
        ("shuffled", "attack", "clean_accuracy"),
        ("shuffled", "baseline", "clean_accuracy"),
    }
    assert finished.record.errors == ()
    assert finished.record.attacks["shuffled"]["paper"] == "Nobody 2024, In a test"


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_workers_enable_it_too(tmp_path: Path) -> None:
    finished = tiny.run(
        tiny.spec(scenarios=SCENARIO, plugins=["shiny-attacks"]), tmp_path, backend="processes", workers=1
    )
    assert finished.record.errors == ()
    assert {row["attack"] for row in tiny.table(finished.out)} == {"shuffled"}


def test_its_source_is_part_of_the_keys(installed: Path, tmp_path: Path) -> None:
    from threatloop.engine import sources

    written = tiny.spec(scenarios=SCENARIO, plugins=["shiny-attacks"])
    keys = []
    for addition in ("", "# edited\n"):
        for cached in (sources.source_digest, sources._source_file, sources._read):
            cached.cache_clear()
        with (installed / "shiny_attacks.py").open("a", encoding="utf-8") as file:
            file.write(addition)
        plan = tiny.plan(written, tmp_path / "store")
        keys.append({key for key, task in plan.tasks.items() if task.operation == "act"})
    assert len(keys[0]) == 1  # the baseline takes no task
    assert not keys[0] & keys[1]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ("absent", "shiny_attacks:NoSuchClass cannot be loaded"),
        ("elsewhere", "no_such_shiny_module:Attack cannot be loaded (No module named 'no_such_shiny_module')"),
    ],
)
def test_a_broken_plugin_is_one_problem_in_the_list(attack: str, expected: str) -> None:
    written = tiny.spec(scenarios={"a": {"attack": attack}, "b": {"attack": "badnet"}}, plugins=["shiny-attacks"])
    with pytest.raises(Problems) as caught:
        api.load_spec(written)
    assert expected in str(caught.value)
    assert "unknown attack 'badnet'" in str(caught.value)


def test_a_plugin_cannot_take_a_name_that_exists(installed: Path) -> None:
    path = installed / "shiny_attacks-1.0.dist-info" / "entry_points.txt"
    path.write_text("[threatloop.attacks]\nbadnets = shiny_attacks:Shuffled\n", encoding="utf-8")
    with pytest.raises(Problems, match="plugins: plugin shiny-attacks: the attack name 'badnets' is taken"):
        api.load_spec(tiny.spec(plugins=["shiny-attacks"]))
