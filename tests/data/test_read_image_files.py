"""Folders and zips of images: layouts, sizes, bounded and damaged input."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from threatloop.core.errors import InputError
from threatloop.data import archive, spool
from threatloop.data.sources import parse_source


def encoded(level: int, size: tuple[int, int] = (6, 5), mode: str = "RGB", form: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new(mode, size, level if mode in ("L", "I;16") else (level, level // 2, 0)).save(file, form)
    return file.getvalue()


def tree(prefix: str = "") -> dict[str, bytes]:
    """Two classes, train and test; every image has another grey level."""
    names = [f"{prefix}{part}/{c}/{i}.png" for part in ("train", "test") for c in ("cat", "dog") for i in range(3)]
    return {name: encoded(10 * i) for i, name in enumerate(names)}


def folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def zipped(root: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(root / "set.zip", "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return root


def refusal(root: Path, images: str = "set", **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_source({"images": images, **options}).read(root)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("prefix", ["", "downloads/pets/"])
def test_folder_and_zip_read_alike(tmp_path: Path, prefix: str) -> None:
    files = tree(prefix)
    loaded = parse_source({"images": "set"}).read(folder(tmp_path, files))
    data = loaded.dataset
    assert data.schema.classes == ("cat", "dog")
    assert loaded.partition is not None
    names = sorted(files)
    np.testing.assert_array_equal(data.y, ["dog" in name for name in names])
    np.testing.assert_array_equal(loaded.partition, [2 if "test" in name else 0 for name in names])
    for row, name in zip(data.x, names, strict=True):
        np.testing.assert_array_equal(row, np.asarray(Image.open(BytesIO(files[name]))).transpose(2, 0, 1))
    from_zip = parse_source({"images": "set.zip"}).read(zipped(tmp_path, files))
    assert from_zip.dataset.digest == data.digest


def test_classes_without_partitions_in_numeric_order(tmp_path: Path) -> None:
    files = {f"{c}/{i}.png": encoded(c, mode="L") for c in (10, 9, 2) for i in range(2)}
    loaded = parse_source({"images": "set"}).read(folder(tmp_path, {**files, "9/notes.txt": b"", "9/.x.png": b""}))
    assert loaded.dataset.schema.classes == ("2", "9", "10")
    assert loaded.partition is None
    np.testing.assert_array_equal(loaded.dataset.x[:, 0, 0, 0], np.array([2, 9, 10])[loaded.dataset.y])


def test_limit_decodes_only_what_it_needs(tmp_path: Path) -> None:
    files = tree()
    for name in files:
        if name.endswith("2.png"):
            files[name] = b"damaged"
    folder(tmp_path, files)
    loaded = parse_source({"images": "set", "limit": 8}).read(tmp_path)
    assert loaded.partition is not None
    np.testing.assert_array_equal(np.bincount(2 * loaded.dataset.y + loaded.partition // 2), [2, 2, 2, 2])
    assert "4 of 12 images do not decode" in refusal(tmp_path)


def test_mixed_sizes_need_a_size(tmp_path: Path) -> None:
    files = {"a/0.png": encoded(10), "b/0.png": encoded(200, (12, 9))}
    folder(tmp_path, files)
    assert "mixed sizes (6x5 first, but b/0.png is 12x9); set size, for example size: 5" in refusal(tmp_path)
    data = parse_source({"images": "set", "size": 4}).read(tmp_path).dataset
    assert data.x.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(data.x[:, :, 0, 0], [[10, 5, 0], [200, 100, 0]])


def test_grey_and_colour_together_need_channels(tmp_path: Path) -> None:
    folder(tmp_path, {"a/0.png": encoded(10, mode="L"), "b/0.png": encoded(200)})
    assert "set channels: 1 or channels: 3" in refusal(tmp_path)
    assert parse_source({"images": "set", "channels": 3}).read(tmp_path).dataset.x.shape == (2, 3, 5, 6)
    assert parse_source({"images": "set", "channels": 1}).read(tmp_path).dataset.x.shape == (2, 1, 5, 6)


def test_large_sets_are_streamed_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = parse_source({"images": "set.zip"})
    plain = source.read(zipped(tmp_path, tree())).dataset
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 10)
    mapped = source.read(tmp_path, tmp_path / "cache").dataset
    assert isinstance(mapped.x, np.memmap)
    assert mapped.digest == plain.digest


def test_images_that_do_not_decode_are_named_and_counted(tmp_path: Path) -> None:
    good = encoded(1)
    files = {**{f"a/{i}.png": good for i in range(3)}, "b/0.png": b"nonsense", "b/1.png": good[:40], "b/2.jpg": b""}
    message = refusal(folder(tmp_path, files))
    assert "3 of 6 images do not decode: b/0.png (not an image), b/1.png (" in message
    assert "none of the 1 images decodes (first: b/0.png)" in refusal(zipped(tmp_path, {"b/0.png": b""}), "set.zip")


def test_deep_images_are_refused(tmp_path: Path) -> None:
    deep = encoded(1000, mode="I;16")
    assert "8 bits per channel" in refusal(folder(tmp_path, {"a/0.png": encoded(1), "b/0.png": deep}))


def test_a_decompression_bomb_in_one_image_is_refused_unread(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    assert "pixels" in refusal(folder(tmp_path, {"a/0.png": encoded(1), "b/0.png": bomb}))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a/../../x.png": b""}, "leaves the archive"),
        ({"/etc/a/x.png": b""}, "leaves the archive"),
        ({"..\\a\\x.png": b""}, "leaves the archive"),
        ({"readme.txt": b"hello"}, "no images found"),
        ({"x.png": b""}, "1 images are in no class folder (first: x.png)"),
        ({"a/0.png": encoded(1), "a/1.png": encoded(2)}, "single class 'a'"),
        ({"a/0.png": bytes(90 << 20)}, "expands"),
    ],
)
def test_archives_that_cannot_be_used(tmp_path: Path, files: dict[str, bytes], expected: str) -> None:
    assert expected in refusal(zipped(tmp_path, files, zipfile.ZIP_DEFLATED), "set.zip")


@pytest.mark.parametrize(("bound", "value"), [("MAX_ENTRIES", 3), ("MAX_TOTAL_BYTES", 50)])
def test_archives_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    monkeypatch.setattr(archive, bound, value)
    assert "archive too large" in refusal(zipped(tmp_path, tree()), "set.zip")


def test_a_corrupt_entry_is_named(tmp_path: Path) -> None:
    content = zipped(tmp_path, tree()).joinpath("set.zip").read_bytes()
    target = content.index(b"IDAT") + 8
    (tmp_path / "set.zip").write_bytes(content[:target] + b"\xff\xff" + content[target + 2 :])
    assert "1 of 12 images do not decode: train/cat/0.png (Bad CRC-32" in refusal(tmp_path, "set.zip")


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path)
    (tmp_path / "set").write_bytes(b"text")
    assert "not a folder and not a zip archive" in refusal(tmp_path)


def test_cifar_zip(shared_data: Path) -> None:
    loaded = parse_source({"images": "cifar10_jpeg.zip", "limit": 120}).read(shared_data)
    assert loaded.partition is not None
    assert loaded.dataset.x.shape == (120, 3, 32, 32)
    np.testing.assert_array_equal(np.bincount(loaded.dataset.y), [12] * 10)
    np.testing.assert_array_equal(np.bincount(loaded.partition), [100, 0, 20])
