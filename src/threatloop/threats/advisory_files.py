"""The files of an advisory database, from a zip, a folder or alone: read into memory within bounds, never unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from threatloop.core.errors import InputError
from threatloop.threats.advisories import AdvisoryProblem

MAX_FILES: Final = 500_000
MAX_FILE_BYTES: Final = 16 << 20
MAX_TOTAL_BYTES: Final = 2 << 30
_SUFFIXES: Final = (".yaml", ".yml", ".json")

Contents = tuple[list[tuple[str, bytes]], list[AdvisoryProblem]]


def contents(path: Path) -> Contents:
    """Name and bytes of every YAML and JSON file, in the order of their names, and what was refused.

    Raises:
        InputError: no such path, another kind of file, a damaged zip, or more than MAX_FILES or MAX_TOTAL_BYTES.
    """
    try:
        if path.is_dir():
            return _gathered(str(path), _in_folder(path))
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                return _gathered(str(path), _in_zip(archive))
        if path.suffix.lower() in _SUFFIXES:
            with path.open("rb") as file:
                return _gathered(str(path), iter([(path.name, _limited(file))]))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path}: not a zip that can be read ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not path.exists():
        raise InputError(f"{path}: no such file; advisories come as an OSV zip, a folder, or a YAML or JSON file")
    raise InputError(f"{path}: advisories come as an OSV zip, a folder, or a file {', '.join(_SUFFIXES)}")


def _gathered(where: str, found: Iterator[tuple[str, bytes | str]]) -> Contents:
    files: list[tuple[str, bytes]] = []
    problems: list[AdvisoryProblem] = []
    total = 0
    for count, (name, data) in enumerate(found, 1):
        if isinstance(data, str):
            problems.append(AdvisoryProblem(name, data))
            continue
        total += len(data)
        if count > MAX_FILES or total > MAX_TOTAL_BYTES:
            raise InputError(f"{where}: more than {MAX_FILES:,} files or {MAX_TOTAL_BYTES >> 20:,} MiB of advisories")
        files.append((name, data))
    if not files and not problems:
        raise InputError(f"{where}: holds no file {', '.join(_SUFFIXES)}")
    return sorted(files), sorted(problems, key=str)


def _limited(file: IO[bytes]) -> bytes | str:
    data = file.read(MAX_FILE_BYTES + 1)
    return data if len(data) <= MAX_FILE_BYTES else f"larger than {MAX_FILE_BYTES >> 20} MiB; not read"


def _in_zip(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes | str]]:
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if member.is_dir() or not _wanted(name):
            continue
        if name.is_absolute() or ".." in name.parts:
            yield member.filename, "its name leads out of the archive; not read"
            continue
        try:
            with archive.open(member) as file:
                yield member.filename, _limited(file)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
            yield member.filename, f"cannot be unpacked ({error})"
        except Exception as error:
            if type(error).__module__ not in ("zlib", "lzma", "bz2"):
                raise
            yield member.filename, f"damaged ({error})"


def _in_folder(root: Path) -> Iterator[tuple[str, bytes | str]]:
    for folder, below, names in os.walk(root):
        for name in [name for name in below if os.path.islink(os.path.join(folder, name))]:
            yield str((Path(folder) / name).relative_to(root)), "a symbolic link; not followed"
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in names:
            file = Path(folder) / name
            short = file.relative_to(root).as_posix()
            if not _wanted(PurePosixPath(short)):
                continue
            if file.is_symlink():
                yield short, "a symbolic link; not followed"
                continue
            try:
                with file.open("rb") as opened:
                    yield short, _limited(opened)
            except OSError as error:
                yield short, f"cannot be read ({error.strerror or error})"


def _wanted(name: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") and part != ".." for part in name.parts)
    return name.suffix.lower() in _SUFFIXES and not hidden
