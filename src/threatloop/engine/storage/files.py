"""Where a store's files live: what it asks of a file system, and the local directory."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from threatloop.core.errors import InputError
from threatloop.engine.storage.payload import Buffer

OBJECTS: Final = "objects"
TEMPORARY: Final = ".tmp-"
_CHUNK: Final = 1 << 20
_LOCAL_SCHEMES: Final = ("file://", "local://")


@dataclass(frozen=True)
class Entry:
    """One file: path below the root with forward slashes, bytes, seconds since the epoch (None: unknown)."""

    path: str
    size: int
    modified: float | None


class Files(Protocol):
    """The few things a store asks of a file system. Paths are relative to the root; only OSError is raised."""

    @property
    def url(self) -> str: ...
    @property
    def is_local(self) -> bool: ...
    def read(self, path: str) -> bytearray: ...
    def hashed_map(self, path: str) -> tuple[Any, str]:
        """A buffer over the file (memory-mapped where possible) and its blake2b-256."""
        ...

    def write(self, path: str, chunks: Iterable[Buffer]) -> None:
        """Writes a file that nobody looks for yet; parents are made as needed."""
        ...

    def commit(self, path: str, data: bytes) -> None:
        """Puts a whole file in place at once: readers see the old one, none, or all of the new one."""
        ...

    def exists(self, path: str) -> bool: ...
    def remove(self, path: str) -> None:
        """Removes a file; no error if it isn't there."""
        ...

    def names(self) -> list[str]:
        """What lies directly in the root; empty if the root doesn't exist."""
        ...

    def walk(self, path: str) -> Iterator[Entry]:
        """Every file below a folder; nothing if it doesn't exist."""
        ...


def open_files(url: str) -> Files:
    """The file system of a directory path, a ``file://`` URL, or any URL that fsspec knows (``s3://bucket/prefix``).

    Raises:
        InputError: empty, or a scheme that fsspec doesn't know.
        StoreError: the package that serves the scheme isn't installed, or it can't be set up.
    """
    if not url.strip():
        raise InputError("the store needs a place: give a directory or a URL such as s3://bucket/prefix")
    for scheme in _LOCAL_SCHEMES:
        if url.startswith(scheme):
            return LocalFiles(url.removeprefix(scheme))
    if "://" not in url:
        return LocalFiles(url)
    from threatloop.engine.storage.remote import RemoteFiles  # loads fsspec, which a local store does without

    return RemoteFiles(url)


class LocalFiles:
    """A directory. Nothing is forced to the disk: after a power cut the checksums tell what was lost."""

    is_local = True

    def __init__(self, root: str) -> None:
        self.url = os.path.abspath(os.path.expanduser(root))

    def read(self, path: str) -> bytearray:
        with open(self._full(path), "rb", buffering=0) as file:
            data = bytearray(os.fstat(file.fileno()).st_size)
            view, got = memoryview(data), 0
            while got < len(data) and (count := file.readinto(view[got:])):
                got += count
        return data if got == len(data) else data[:got]

    def hashed_map(self, path: str) -> tuple[Any, str]:
        """Hashes through a small buffer first: hashing the mapping would make all of it resident."""
        state, piece = hashlib.blake2b(digest_size=32), memoryview(bytearray(_CHUNK))
        with open(self._full(path), "rb", buffering=0) as file:
            while count := file.readinto(piece):
                state.update(piece[:count])
            if not os.fstat(file.fileno()).st_size:
                return b"", state.hexdigest()
            # Read-only: the kernel refuses private writable mappings larger than memory.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), state.hexdigest()

    def write(self, path: str, chunks: Iterable[Buffer]) -> None:
        full = self._full(path)
        try:
            file = open(full, "xb")  # noqa: SIM115
        except FileNotFoundError:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            file = open(full, "xb")  # noqa: SIM115
        with file:
            for chunk in chunks:
                file.write(chunk)

    def commit(self, path: str, data: bytes) -> None:
        folder, _, name = path.rpartition("/")
        temporary = f"{folder or OBJECTS}/{TEMPORARY}{os.urandom(6).hex()}-{name}"
        try:
            self.write(temporary, [data])
            os.replace(self._full(temporary), self._full(path))
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def exists(self, path: str) -> bool:
        return os.path.exists(self._full(path))

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.remove(self._full(path))

    def names(self) -> list[str]:
        try:
            return os.listdir(self.url)
        except FileNotFoundError:
            return []

    def walk(self, path: str) -> Iterator[Entry]:
        try:
            found = list(os.scandir(self._full(path)))
        except FileNotFoundError:
            return
        for item in found:
            if item.is_dir(follow_symlinks=False):
                yield from self.walk(f"{path}/{item.name}")
                continue
            with suppress(FileNotFoundError):
                stat = item.stat(follow_symlinks=False)
                yield Entry(f"{path}/{item.name}", stat.st_size, stat.st_mtime)

    def _full(self, path: str) -> str:
        return f"{self.url}/{path}"
