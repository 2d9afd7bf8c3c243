"""Folders and zip archives of images: bounded listings, never unpacked to disk."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threatloop.core.digests import digest_file, digest_json
from threatloop.core.errors import InputError

MAX_ENTRIES = 2_000_000
MAX_ENTRY_BYTES = 256 << 20
MAX_TOTAL_BYTES = 256 << 30
MAX_RATIO = 200
"""Image files barely compress: an archive that expands more than this is a decompression bomb."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class Entries:
    """Image files under one root.

    Attributes:
        names: paths below the root with forward slashes, sorted.
        read: the bytes of one of them; raises OSError or ValueError where it is damaged.
    """

    names: tuple[str, ...]
    read: Callable[[str], bytes]


@contextmanager
def opened(path: Path) -> Iterator[Entries]:
    """The image files in a folder or zip archive.

    Raises:
        InputError: missing, neither folder nor zip, too many or too large entries, or paths that leave the root.
    """
    if path.is_dir():
        names = _folder_names(path)
        yield Entries(names, lambda name: (path / name).read_bytes())
        return
    with _zip(path) as archive:
        members = {info.filename: info for info in bounded(path, archive)}
        names = tuple(sorted(filter(_is_image, members)))

        def read(name: str) -> bytes:
            try:
                return archive.read(members[name])
            except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
                raise ValueError(str(error)) from None

        yield Entries(names, read)


def content_digest(path: Path) -> str:
    """Digest of an archive's bytes, or of the names and bytes of a folder's images."""
    if path.is_file():
        return digest_file(path)
    return digest_json([[name, digest_file(path / name)] for name in _folder_names(path)])


@contextmanager
def _zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except zipfile.BadZipFile:
        raise InputError(f"{path}: not a folder and not a zip archive") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    with archive:
        yield archive


def bounded(path: Path, archive: zipfile.ZipFile, max_ratio: int = MAX_RATIO) -> Sequence[zipfile.ZipInfo]:
    """The archive's files, when their number, sizes and paths are within bounds.

    Args:
        path: for messages.
        archive: the open archive.
        max_ratio: the most that all files together may expand (beyond the first 64 MiB).

    Raises:
        InputError: they are not. Sizes are what the archive declares; reading stops at the declared size.
    """
    files = [info for info in archive.infolist() if not info.is_dir()]
    total, packed = sum(i.file_size for i in files), sum(i.compress_size for i in files)
    largest = max(files, key=lambda info: info.file_size, default=None)
    if len(files) > MAX_ENTRIES:
        raise InputError(f"{path}: archive too large: {len(files)} files; at most {MAX_ENTRIES} are read")
    if total > MAX_TOTAL_BYTES:
        raise InputError(f"{path}: archive too large: expands to {total} bytes; at most {MAX_TOTAL_BYTES}")
    if total > max_ratio * packed + (64 << 20):
        raise InputError(f"{path}: archive expands {total // max(1, packed)} times; at most {max_ratio} is accepted")
    for info in files:
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
            raise InputError(f"{path}: entry {info.filename!r} leaves the archive; such archives are refused")
        if info.flag_bits & 1:
            raise InputError(f"{path}: entry {info.filename!r} is encrypted; remove the password")
    if largest is not None and largest.file_size > MAX_ENTRY_BYTES and _is_image(largest.filename):
        raise InputError(f"{path}: {largest.filename!r} has {largest.file_size} bytes; at most {MAX_ENTRY_BYTES}")
    return files


def _folder_names(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for folder, _, files in os.walk(path):
        below = Path(folder).relative_to(path).as_posix()
        names += [file if below == "." else f"{below}/{file}" for file in files]
        if len(names) > MAX_ENTRIES:
            raise InputError(f"{path}: more than {MAX_ENTRIES} files; point to a smaller folder")
    return tuple(sorted(filter(_is_image, names)))


def _is_image(name: str) -> bool:
    hidden = name.startswith((".", "__MACOSX")) or "/." in name or "/__MACOSX" in name
    return not hidden and name[name.rfind(".") :].lower() in SUFFIXES
