"""MedMNIST-layout files: layouts taken, bad files refused in one line, large ones kept on disk."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from threatloop.core.errors import InputError
from threatloop.data import spool
from threatloop.data.sources import parse_source


def arrays(shape: tuple[int, ...] = (6, 5), n: int = 12) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for part, count in (("train", n), ("val", n // 2), ("test", n // 2)):
        made[f"{part}_images"] = rng.integers(0, 256, size=(count, *shape), dtype=np.uint8)
        made[f"{part}_labels"] = (np.arange(count) % 3).astype(np.uint8)
    return made


def saved(folder: Path, content: dict[str, Any]) -> Path:
    np.savez_compressed(folder / "set.npz", **content)
    return folder


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_source({"npz": "set.npz", **options}).read(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "set.npz" in message
    return message


@pytest.mark.parametrize("two_dimensional", [False, True])
def test_grey_images_and_both_label_shapes(tmp_path: Path, two_dimensional: bool) -> None:
    content = arrays()
    if two_dimensional:
        content = {k: v[:, None] if k.endswith("labels") else v for k, v in content.items()}
    loaded = parse_source({"npz": "set.npz"}).read(saved(tmp_path, content))
    data = loaded.dataset
    assert data.x.shape == (24, 1, 6, 5)
    np.testing.assert_array_equal(data.x[12:18, 0], content["val_images"])
    np.testing.assert_array_equal(data.y, np.concatenate([np.arange(n) % 3 for n in (12, 6, 6)]))
    assert loaded.partition is not None
    np.testing.assert_array_equal(np.bincount(loaded.partition), [12, 6, 6])
    assert data.schema.classes == ("0", "1", "2")
    assert not loaded.public


def test_colour_images_become_channels_first(tmp_path: Path) -> None:
    content = arrays((6, 5, 3))
    data = parse_source({"npz": "set.npz", "classes": ["a", "b", "c"]}).read(saved(tmp_path, content)).dataset
    np.testing.assert_array_equal(data.x[:12], content["train_images"].transpose(0, 3, 1, 2))
    assert data.schema.classes == ("a", "b", "c")


def test_float_images_are_kept_as_float32_and_checked(tmp_path: Path) -> None:
    content = {k: v / 255 if k.endswith("images") else v for k, v in arrays().items()}
    data = parse_source({"npz": "set.npz"}).read(saved(tmp_path, content)).dataset
    assert data.x.dtype == np.float32
    np.testing.assert_allclose(data.x[:12, 0], content["train_images"], atol=1e-7)
    content["train_images"][3, 0, 0] = np.nan
    saved(tmp_path, content)
    assert "1 NaN or infinite pixels (first bad image: 3)" in refusal(tmp_path)


def test_large_images_are_memory_mapped_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = parse_source({"npz": "set.npz"})
    plain = source.read(saved(tmp_path, arrays())).dataset
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 100)
    temporary = source.read(tmp_path).dataset
    cached = source.read(tmp_path, tmp_path / "cache").dataset
    (kept,) = (tmp_path / "cache").iterdir()
    before = kept.stat().st_mtime_ns
    again = source.read(tmp_path, tmp_path / "cache").dataset
    assert kept.stat().st_mtime_ns == before
    for data in (temporary, cached, again):
        assert isinstance(data.x, np.memmap)
        assert data.digest == plain.digest
    kept.write_bytes(kept.read_bytes()[:200])
    assert source.read(tmp_path, tmp_path / "cache").dataset.digest == plain.digest


def test_a_failed_read_leaves_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 100)

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("threatloop.data.spool.os.fsync", full)
    saved(tmp_path, arrays())
    with pytest.raises(InputError, match="No space left on device"):
        parse_source({"npz": "set.npz"}).read(tmp_path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_limit_keeps_the_proportions(tmp_path: Path) -> None:
    loaded = parse_source({"npz": "set.npz", "limit": 12}).read(saved(tmp_path, arrays()))
    assert loaded.partition is not None
    np.testing.assert_array_equal(np.bincount(loaded.dataset.y), [4, 4, 4])
    np.testing.assert_array_equal(np.bincount(loaded.partition), [6, 3, 3])


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path)
    (tmp_path / "set.npz").mkdir()
    assert "is a folder" in refusal(tmp_path)


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(b"not a zip")
    assert "not an npz (zip) file" in refusal(tmp_path)
    (tmp_path / "set.npz").write_bytes(pickle.dumps([1, 2]))
    assert "a pickle" in refusal(tmp_path)
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("train_images.npy", b"no array")
        archive.writestr("train_labels.npy", b"no array")
    assert "is not a NumPy array" in refusal(tmp_path)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    content = arrays()
    content["train_labels"] = np.array([{"x": 1}] * 12, dtype=object)
    saved(tmp_path, content)
    assert "train_labels is pickled" in refusal(tmp_path)


@pytest.mark.parametrize("member", ["train_images", "train_labels"])
def test_cut_off_arrays_are_refused(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        for key, array in arrays().items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{key}.npy", file.getvalue()[: -3 if key == member else None])
    assert "cut off" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"train_labels": None}, "lacks train_labels"),
        ({"train_labels": np.arange(12) - 1}, "labels out of range: -1"),
        ({"train_labels": np.full(12, 5)}, "no record has label 3, 4"),
        ({"train_labels": np.zeros((12, 14))}, "one label per image"),
        ({"train_labels": np.full(12, 0.5)}, "not whole numbers"),
        ({"train_labels": np.array(["a"] * 12)}, "whole numbers are needed"),
        ({"train_labels": np.zeros(11, dtype=int)}, "12 train_images but 11 train_labels"),
        ({"train_images": np.zeros((12, 9, 9), np.uint8)}, "different kinds of images"),
        ({"train_images": np.zeros((12, 6, 5), np.int64)}, "int64"),
        ({key: np.zeros_like(value) for key, value in arrays().items()}, "single class '0'"),
        ({key: value[:0] for key, value in arrays().items()}, "no records"),
        ({k: np.zeros((len(v), 4, 4, 4), np.uint8) for k, v in arrays().items() if "images" in k}, "(12, 4, 4, 4)"),
    ],
)
def test_bad_content_is_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    content = {key: value for key, value in {**arrays(), **change}.items() if value is not None}
    saved(tmp_path, content)
    assert expected in refusal(tmp_path)


def test_labels_beyond_the_declared_classes(tmp_path: Path) -> None:
    saved(tmp_path, arrays())
    assert "labels out of range: 2; allowed are 0 to 1" in refusal(tmp_path, classes=["a", "b"])


def test_medmnist_takes_the_file_in_the_packages_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("threatloop.data.medmnist.importlib.util.find_spec", lambda _name: None)
    source = parse_source("medmnist:breastmnist")
    with pytest.raises(InputError, match="medmnist package, which downloads it, is not installed") as caught:
        source.read(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / ".medmnist").mkdir()
    saved(tmp_path / ".medmnist", arrays()).joinpath("set.npz").rename(tmp_path / ".medmnist" / "breastmnist.npz")
    loaded = source.read(tmp_path)
    assert (loaded.source, loaded.public, len(loaded.dataset)) == ("medmnist:breastmnist", True, 24)


@pytest.mark.parametrize("works", [True, False])
def test_medmnist_asks_the_package_to_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    def download(split: str, download: bool, root: str, size: int | None) -> None:
        if not works:
            raise RuntimeError("no network\nlong explanation")
        assert (split, download, size) == ("train", True, 64)
        np.savez(Path(root) / "breastmnist_64.npz", **arrays())

    package = SimpleNamespace(INFO={"breastmnist": {"python_class": "BreastMNIST"}}, BreastMNIST=download)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("threatloop.data.medmnist.importlib.util.find_spec", lambda _name: package)
    monkeypatch.setattr("threatloop.data.medmnist.importlib.import_module", lambda _name: package)
    source = parse_source("medmnist:breastmnist_64")
    if works:
        assert len(source.read(tmp_path).dataset) == 24
    else:
        with pytest.raises(InputError, match=r"^medmnist:breastmnist_64: download failed: no network$"):
            source.read(tmp_path)


@pytest.mark.parametrize(("name", "sizes"), [("pneumoniamnist", [4708, 524, 624]), ("breastmnist", [546, 78, 156])])
def test_real_medmnist_files(shared_data: Path, name: str, sizes: list[int]) -> None:
    loaded = parse_source({"npz": f"{name}.npz"}).read(shared_data)
    assert loaded.partition is not None
    np.testing.assert_array_equal(np.bincount(loaded.partition), sizes)
    assert loaded.dataset.x.shape[1:] == (1, 28, 28)
    with np.load(shared_data / f"{name}.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(loaded.dataset.x[-1, 0], file["test_images"][-1])
