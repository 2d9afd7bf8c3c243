"""What goes wrong in one place stays there: failing tasks, corrupt artefacts, a disk that fills up."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import tiny
from threatloop.core.catalogue import ATTACKS
from threatloop.engine.storage.files import LocalFiles
from threatloop.engine.storage.store import Store
from tiny import Reference


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"exploding": "third_party:Exploding", "greedy": "third_party:Greedy", "peeking": "third_party:Peeking"}
    monkeypatch.setattr(ATTACKS, "enabled", rows)


@pytest.mark.usefixtures("third_party")
def test_a_failing_attack_keeps_the_others_going(reference: Reference, tmp_path: Path) -> None:
    scenarios = {**tiny.SCENARIOS, "broken": {"chain": ["exploding", tiny.THEFT]}}
    finished = tiny.run(tiny.spec(scenarios=scenarios), tmp_path)
    rows = tiny.table(finished.out)
    # Whatever does not need the broken step is as if it had never been asked for: baselines of the chain included.
    assert [row for row in rows if row["scenario"] != "broken"] == reference.rows
    assert {row["arm"] for row in rows if row["scenario"] == "broken"} == {"without:1"}
    failed, *lost = finished.record.errors
    assert failed.what == "digits seed 0: exploding"
    assert "RuntimeError: broke on 359 records and seed-0 (at third_party.py:" in failed.why
    assert len(failed.why.splitlines()) == 1
    assert {(notice.target, notice.scenario, notice.seed) for notice in lost} == {("digits", "broken", 0)}
    # The arms without the theft, and at the broken step's accuracy, rest on the broken step too.
    assert sorted(notice.what for notice in lost) == [
        "exploding (step 1, attack)",
        "knockoff (step 2, attack)",
        "knockoff (step 2, matched:1)",
        "knockoff (step 2, without:2)",
    ]
    assert {notice.why for notice in lost} == {"no figure: digits seed 0: exploding"}
    assert finished.record.tasks["failed"] == 1
    assert finished.record.tasks["skipped"] > 3


def test_every_figure_that_is_lost_is_an_error_of_its_scenario_and_seed(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threatloop.attacks.model_to_model.knockoff import Knockoff

    def steal(self: Knockoff, service: Any, bench: Any) -> Any:
        if "seed-1" in bench.streams.path:
            raise RuntimeError("unlucky")
        return honest(self, service, bench)

    honest = Knockoff.steal
    monkeypatch.setattr(Knockoff, "steal", steal)
    scenarios = {**tiny.SCENARIOS, "alone": {"attack": tiny.THEFT}}
    finished = tiny.run(tiny.spec(scenarios=scenarios, seeds=2), tmp_path)
    lost = [notice for notice in finished.record.errors if notice.why.startswith("no figure: ")]
    # The honest victim's clone is one task for both scenarios, and each of them is told.
    told = sorted((notice.scenario, notice.seed, notice.what) for notice in lost)
    # Whether a victim so small can be matched is luck.
    assert [one for one in told if "matched" not in one[2]] == [
        ("alone", 1, "knockoff (step 1, attack)"),
        ("theft", 1, "knockoff (step 2, attack)"),
        ("theft", 1, "knockoff (step 2, without:1)"),
    ]
    assert all("knockoff" in notice.why for notice in lost)
    assert finished.record.tasks["failed"] == len(finished.record.errors) - len(lost) == len(lost) - 1
    rows = tiny.table(finished.out)
    assert [row for row in rows if row["seed"] == 0 and row["scenario"] != "alone"] == reference.rows
    assert {
        (row["scenario"], row["arm"])
        for row in rows
        if row["seed"] == 1 and row["attack"] == "knockoff" and row["value"] is not None
    } == {
        ("alone", "baseline"),
        ("theft", "without:2"),
    }


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(
    ("attack", "why"),
    [("greedy", "used the resource shadows without declaring it"), ("peeking", "used weights without having declared")],
)
def test_undeclared_use_is_not_assessed_and_never_a_finding(tmp_path: Path, attack: str, why: str) -> None:
    finished = tiny.run(tiny.spec(scenarios={"cheat": {"attack": attack}}), tmp_path)
    assert [row["arm"] for row in tiny.table(finished.out) if row["arm"] == "attack"] == []
    assert [notice.what for notice in finished.record.not_assessed] == [f"{attack} (step 1, attack)"]
    assert why in finished.record.not_assessed[0].why


def artefacts(store: Store, operation: str) -> list[str]:
    """Keys of the artefacts of an operation that have a payload."""
    found = [store.manifest(key) for key in sorted(store.keys())]
    return [one.key for one in found if one.task["operation"] == operation and one.files]


def flip_a_byte(store: Store, key: str) -> None:
    name = store.manifest(key).files[0].file
    path = next(Path(store.url).rglob(name))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(bytes(raw))


@pytest.fixture
def copied(reference: Reference, tmp_path: Path) -> Store:
    shutil.copytree(reference.folder / "store", tmp_path / "store")
    return Store(str(tmp_path / "store"))


@pytest.mark.parametrize("operation", ["grade", "load"])
def test_a_corrupt_artefact_is_recomputed_and_reported(
    operation: str, copied: Store, reference: Reference, tmp_path: Path
) -> None:
    key = artefacts(copied, operation)[0]
    flip_a_byte(copied, key)
    finished = tiny.run(tiny.spec(), tmp_path)
    assert tiny.table(finished.out) == reference.rows
    assert len(finished.record.notes) == 1
    assert finished.record.notes[0].startswith("recomputed: ")
    assert key in finished.record.notes[0]
    assert finished.tally.executed == 1
    assert copied.get(key).meta["kind"] in ("Graded", "Loaded")
    assert tiny.run(tiny.spec(), tmp_path).record.notes == ()


@pytest.mark.parametrize("operation", ["train", "shadows", "split"])
def test_a_corrupt_artefact_in_the_middle_is_recomputed_for_what_needs_it(
    operation: str, copied: Store, reference: Reference, tmp_path: Path
) -> None:
    for key in list(copied.keys()):
        if copied.manifest(key).task["operation"] in ("grade", "act"):
            copied.delete(key)
    corrupt = artefacts(copied, operation)
    for key in corrupt:
        flip_a_byte(copied, key)
    finished = tiny.run(tiny.spec(), tmp_path)
    assert tiny.table(finished.out) == reference.rows
    assert finished.record.errors == ()
    assert 1 <= len(finished.record.notes) <= len(corrupt)
    assert finished.tally.retried >= len(finished.record.notes)


def test_a_store_that_damages_everything_is_not_taken_for_a_run_without_findings(
    copied: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = artefacts(copied, "grade")[0]
    flip_a_byte(copied, key)
    honest = Store.put

    def put(self: Store, key: str, artefact: Any, task: Any) -> str:
        digest = honest(self, key, artefact, task)
        if task["operation"] == "grade":
            flip_a_byte(self, key)
        return digest

    monkeypatch.setattr(Store, "put", put)
    monkeypatch.chdir(tmp_path)
    spec = tiny.save(tiny.spec(), tmp_path)
    assert tiny.command_line(monkeypatch, "audit", spec, "--backend", "inline", "--store", "store") == 2
    assert "damages what is written to it" in capsys.readouterr().err
    assert not (tmp_path / "threatloop-run").exists()


@pytest.mark.parametrize("after", [0, 3, 25])
def test_a_disk_that_fills_up_ends_the_run_in_one_line(
    after: int,
    reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left, honest = after, LocalFiles.write

    def write(self: LocalFiles, path: str, chunks: Iterable[Any]) -> None:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= 1
        honest(self, path, chunks)

    spec = tiny.save(tiny.spec(), tmp_path)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(LocalFiles, "write", write)
        status = tiny.command_line(monkeypatch, "audit", spec, "--backend", "inline", "--store", "store")
    said = capsys.readouterr().err
    assert status == 2
    assert "no space left: free some, run `threatloop store gc`, or choose another place" in said
    assert said.count("threatloop: ") == 1
    assert not (tmp_path / "threatloop-run").exists()
    # With space again, the same command goes on where it stopped.
    finished = tiny.run(tiny.spec(), tmp_path)
    assert tiny.table(finished.out) == reference.rows


IN_A_SMALL_DISK = 'mount -t tmpfs -o size=300k tmpfs "$1" && shift && exec "$@"'


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    small = ["unshare", "-rm", "sh", "-c", IN_A_SMALL_DISK, "sh", str(place)]
    if subprocess.run([*small, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    spec = tiny.save(tiny.spec(), tmp_path)
    arguments = ["audit", str(spec), "--store", str(place / "store"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*small, *tiny.COMMAND, *arguments], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=200
    )
    assert done.returncode == 2, done.stderr
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert sys.platform == "linux"
