"""The run folder is written whole or not at all, and says in one line what is wrong with it."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from synthetic import default_run
from synthetic_facts import HOSTILE

from threatloop.core.errors import InputError
from threatloop.runs.folder import gallery_file, read_run_folder
from threatloop.runs.images import blurred, png_grid


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    run = default_run()
    folder = read_run_folder(run.write(tmp_path / "new" / "run"))
    assert folder.record == run.record
    assert folder.rows == run.rows
    assert folder.curves.equals(run.curves)
    assert folder.records.equals(run.records)
    assert yaml.safe_load((folder.path / "spec.yaml").read_text()) == run.record.spec
    assert [p.name for p in tmp_path.rglob(".*")] == []


def test_an_older_run_is_replaced_whole(tmp_path: Path) -> None:
    path = default_run().write(tmp_path / "run")
    (path / "report.html").write_text("of the older run")
    default_run().write(path)
    assert not (path / "report.html").exists()
    assert len(read_run_folder(path).rows) == len(default_run().rows)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_run_folder_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious"
    if kind == "folder":
        path.mkdir()
    kept = path / "thesis.tex" if kind == "folder" else path
    kept.write_text("years of work")
    with pytest.raises(InputError, match="choose another --out"):
        default_run().write(path)
    assert kept.read_text() == "years of work"


def test_a_full_disk_leaves_the_older_run_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = default_run().write(tmp_path / "run")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("threatloop.runs.folder.pq.write_table", full)
    with pytest.raises(InputError, match="No space left on device"):
        default_run().write(path)
    monkeypatch.undo()
    assert read_run_folder(path).record == default_run().record
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def _newer(path: Path) -> None:
    raw = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(raw | {"version": 99}))


def _broken(path: Path) -> None:
    file = path / "measurements.parquet"
    file.write_bytes(file.read_bytes()[:500])


def _column_lost(path: Path) -> None:
    table = pq.read_table(path / "curves.parquet")
    pq.write_table(table.drop_columns(["metric"]), path / "curves.parquet")


def _null_seed(path: Path) -> None:
    table = pq.read_table(path / "measurements.parquet").slice(0, 1)
    at = table.column_names.index("seed")
    pq.write_table(table.set_column(at, "seed", pa.nulls(1, pa.int64())), path / "measurements.parquet")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_newer, "written in layout 99 by a newer version"),
        (_broken, "measurements.parquet: is damaged"),
        (_column_lost, "the column metric is missing"),
        (_null_seed, "seed: Input should be a valid integer"),
        (lambda p: (p / "records.parquet").unlink(), "records.parquet is missing"),
        (lambda p: (p / "run.json").unlink(), "is not a run folder"),
        (lambda p: (p / "run.json").write_text("[]"), "states no version"),
        (lambda p: (p / "run.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "run.json").write_text('{"version": 1}'), "run: Field required"),
    ],
)
def test_every_damage_gets_one_clear_line(tmp_path: Path, damage: Any, words: str) -> None:
    path = default_run().write(tmp_path / "run")
    damage(path)
    with pytest.raises(InputError, match=words) as caught:
        read_run_folder(path)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such run folder"):
        read_run_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../run.json", "/etc/passwd", "a/../../b.png", "", "a\\b.png"])
def test_gallery_names_cannot_leave_the_gallery(tmp_path: Path, name: str) -> None:
    path = default_run().write(tmp_path / "run")
    with pytest.raises(InputError, match="relative name"):
        gallery_file(path, name)


def test_a_grid_holds_every_image_where_it_belongs() -> None:
    images = np.linspace(0, 1, 10 * 3 * 4 * 5).reshape(10, 3, 4, 5)
    grid = np.asarray(Image.open(io.BytesIO(png_grid(images))))
    assert grid.shape == (2 * 5 - 1, 8 * 6 - 1, 3)
    np.testing.assert_array_equal(grid[5:9, 6:11], np.round(images[9] * 255).astype(np.uint8).transpose(1, 2, 0))
    assert (grid[4] == 255).all()


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 2, 8, 8), (8, 8)])
def test_what_is_no_batch_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected images of shape"):
        png_grid(np.zeros(shape))


def test_blurring_forgets_everything_but_twelve_colours() -> None:
    noise = np.random.default_rng(0).random((1, 1, 24, 32))
    means = noise.reshape(1, 1, 3, 8, 4, 8).mean(axis=(3, 5), keepdims=True)
    smooth = np.broadcast_to(means, (1, 1, 3, 8, 4, 8)).reshape(1, 1, 24, 32)
    shown, other = (np.asarray(Image.open(io.BytesIO(blurred(png_grid(x), HOSTILE)))) for x in (noise, smooth))
    assert np.abs(shown.astype(int) - other).max() <= 2
    assert shown.std() < 0.25 * 255 * noise.std()
