"""MedMNIST-layout ``.npz`` files, streamed array by array: nothing is unpickled and large images go to disk."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError
from threatloop.core.schema import ImageSchema
from threatloop.data.archive import bounded
from threatloop.data.source import PARTITIONS, Raw, Source, found
from threatloop.data.spool import spool

BLOCK_BYTES = 8 << 20
MAX_CLASSES = 10_000
MAX_LABELS = 100_000_000
MAX_RATIO = 1100
"""Above what deflate can reach: blank images compress without limit, and large arrays stream to disk anyway."""
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
LAYOUT = "keys {train,val,test}_images and _labels; images (n, h, w) or (n, h, w, 3)"


class Npz(Source):
    """An ``.npz`` file with ``{train,val,test}_images`` and ``_labels``; partitions that it lacks are left out.

    Images are uint8, or floats in [0, 1], of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3); labels are whole numbers
    of shape (n,) or (n, 1). Yang et al. 2023, "MedMNIST v2", arXiv 2110.14795.

    Attributes:
        npz: path of the file.
        classes: class names, label 0 first; None takes the numbers themselves.
    """

    key: ClassVar[str] = "npz"

    npz: str
    classes: tuple[str, ...] | None = None

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:
        return read_npz(found(base, self.npz), self.npz, self.classes, cache, digest)


def read_npz(path: Path, where: str, classes: tuple[str, ...] | None, cache: Path | None, name: str) -> Raw:
    """Read a file in MedMNIST layout.

    Args:
        path: an existing file.
        where: how messages name it.
        classes: class names, or None.
        cache: folder for images that are too large for memory.
        name: digest of the file and options.

    Raises:
        InputError: not such a file; one line says what is wrong and what is expected.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bounded(path, archive, MAX_RATIO)
            return _read(archive, where, classes, cache, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        kind = "a pickle" if path.open("rb").read(1) == b"\x80" else "damaged, or not an npz (zip) file"
        raise InputError(f"{where}: {kind}; expected an .npz with {LAYOUT} ({error})") from None


def _read(archive: zipfile.ZipFile, where: str, classes: tuple[str, ...] | None, cache: Path | None, name: str) -> Raw:
    present = _present(archive, where)
    labels = [_labels(archive, part, where) for part in present]
    y = np.concatenate(labels)
    names = _class_names(y, classes, where)
    headers = [_image_header(archive, part, where) for part in present]
    for part, label, header in zip(present, labels, headers, strict=True):
        if len(label) != header[0][0]:
            raise InputError(f"{where}: {header[0][0]} {part}_images but {len(label)} {part}_labels")
    if len({(shape[1:], dtype) for shape, dtype in headers}) > 1:
        kinds = ", ".join(f"{p} {s[1:]} {d}" for p, (s, d) in zip(present, headers, strict=True))
        raise InputError(f"{where}: partitions hold different kinds of images: {kinds}")
    channels, height, width = _image_shape(headers[0][0], where)
    dtype = np.uint8 if headers[0][1] == np.uint8 else np.float32
    blocks = _all_blocks(archive, present, (channels, height, width))
    x = spool((len(y), channels, height, width), dtype, blocks, cache, name)
    codes = np.array([PARTITIONS.index(part) for part in present], dtype=np.int8)
    partition = np.repeat(codes, [len(label) for label in labels])
    schema = ImageSchema(classes=names, channels=channels, height=height, width=width)
    return Raw(x, y, schema, partition if len(present) > 1 else None)


def _present(archive: zipfile.ZipFile, where: str) -> list[str]:
    keys = {name.removesuffix(".npy") for name in archive.namelist()}
    parts = [p for p in PARTITIONS if {f"{p}_images", f"{p}_labels"} & keys]
    missing = [f"{p}_{what}" for p in parts for what in ("images", "labels") if f"{p}_{what}" not in keys]
    if not parts or missing:
        lacks = ", ".join(missing) or "any images"
        raise InputError(f"{where}: lacks {lacks}; found {', '.join(sorted(keys)[:12])}; expected {LAYOUT}")
    return parts


def _header(file: IO[bytes], key: str, where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array in the file, which is then at its first value."""
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError):
        raise InputError(f"{where}: {key} is not a NumPy array") from None
    if min(shape, default=0) < 0:
        raise InputError(f"{where}: {key} has the impossible shape {shape}")
    if dtype.hasobject:
        raise InputError(f"{where}: {key} is pickled (dtype object); pickles are never loaded, save plain numbers")
    if fortran and len(shape) > 1:
        raise InputError(f"{where}: {key} is in Fortran order; save np.ascontiguousarray of it")
    return shape, dtype


def _image_header(archive: zipfile.ZipFile, part: str, where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    key = f"{part}_images"
    with archive.open(f"{key}.npy") as file:
        shape, dtype = _header(file, key, where)
    if dtype != np.uint8 and dtype.kind != "f":
        raise InputError(f"{where}: {key} are {dtype}; allowed are uint8 0-255 and floats in [0, 1]")
    return shape, dtype


def _labels(archive: zipfile.ZipFile, part: str, where: str) -> npt.NDArray[np.int64]:
    key = f"{part}_labels"
    with archive.open(f"{key}.npy") as file:
        shape, dtype = _header(file, key, where)
        if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
            raise InputError(f"{where}: {key} have shape {shape}; one label per image is needed, (n,) or (n, 1)")
        if dtype.kind not in "iuf":
            raise InputError(f"{where}: {key} are {dtype}; whole numbers are needed")
        if shape[0] > MAX_LABELS:
            raise InputError(f"{where}: {shape[0]} {key}; at most {MAX_LABELS} are read")
        values = np.frombuffer(file.read(shape[0] * dtype.itemsize), dtype=dtype)
    if len(values) != shape[0]:
        raise InputError(f"{where}: {key} are cut off: {len(values)} of {shape[0]} values")
    if dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise InputError(f"{where}: {key} hold values that are not whole numbers")
    return values.astype(np.int64)


def _class_names(y: npt.NDArray[np.int64], classes: tuple[str, ...] | None, where: str) -> tuple[str, ...]:
    if len(y) == 0:
        raise InputError(f"{where}: there are no records")
    top = (len(classes) if classes else MAX_CLASSES) - 1
    bad = np.unique(y[(y < 0) | (y > top)])
    if len(bad):
        raise InputError(f"{where}: labels out of range: {', '.join(map(str, bad[:5]))}; allowed are 0 to {top}")
    if classes:
        return classes
    absent = np.setdiff1d(np.arange(y.max() + 1), y)
    if len(absent):
        shown = ", ".join(map(str, absent[:5]))
        raise InputError(f"{where}: no record has label {shown}; number labels from 0 without gaps, or set classes")
    return tuple(str(label) for label in range(int(y.max()) + 1))


def _image_shape(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    if len(shape) == 4 and shape[3] in (1, 3):
        return shape[3], shape[1], shape[2]
    raise InputError(f"{where}: images have shape {shape}; expected (n, h, w), (n, h, w, 1) or (n, h, w, 3)")


def _all_blocks(archive: zipfile.ZipFile, parts: list[str], shape: tuple[int, int, int]) -> Iterator[npt.NDArray[Any]]:
    channels, height, width = shape
    for part in parts:
        with archive.open(f"{part}_images.npy") as file:
            (n, *_), dtype = _header(file, f"{part}_images", archive.filename or part)
            each = channels * height * width * dtype.itemsize
            step = max(1, BLOCK_BYTES // max(1, each))
            for at in range(0, n, step):
                count = min(step, n - at)
                content = file.read(count * each)
                if len(content) != count * each:
                    raise EOFError(f"{part}_images are cut off")
                images = np.frombuffer(content, dtype=dtype).reshape(count, height, width, channels)
                yield images.transpose(0, 3, 1, 2)
