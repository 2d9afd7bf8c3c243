"""A store's files on any fsspec file system: object stores, network shares, memory."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fsspec.core import url_to_fs

from threatloop.core.errors import InputError, StoreError
from threatloop.engine.storage.files import Entry
from threatloop.engine.storage.payload import Buffer


class RemoteFiles:
    """Any fsspec file system. A single upload is the commit: object stores have no rename."""

    is_local = False

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") if not url.endswith("://") else url
        try:
            self._fs, root = url_to_fs(url)
        except ImportError as error:
            raise StoreError(f"store {url}: {str(error).splitlines()[0]}") from error
        except ValueError as error:
            raise InputError(f"store {url}: {error}; use a directory or a URL that fsspec knows") from error
        except Exception as error:
            raise StoreError(f"store {url} cannot be opened: {_line(error)}") from error
        self._root = root.rstrip("/")

    def read(self, path: str) -> bytearray:
        with _only_os_errors():
            return bytearray(self._fs.cat_file(self._full(path)))

    def hashed_map(self, path: str) -> tuple[Any, str]:
        data = self.read(path)
        return data, hashlib.blake2b(data, digest_size=32).hexdigest()

    def write(self, path: str, chunks: Iterable[Buffer]) -> None:
        full = self._full(path)
        with _only_os_errors(), self._with_parents(full, lambda: self._fs.open(full, "wb")) as file:
            for chunk in chunks:
                file.write(chunk)

    def commit(self, path: str, data: bytes) -> None:
        full = self._full(path)
        with _only_os_errors():
            self._with_parents(full, lambda: self._fs.pipe_file(full, data))

    def exists(self, path: str) -> bool:
        with _only_os_errors():
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._full(path)))

    def remove(self, path: str) -> None:
        with _only_os_errors(), suppress(FileNotFoundError):
            self._fs.rm_file(self._full(path))

    def names(self) -> list[str]:
        with _only_os_errors():
            self._fs.invalidate_cache()
            try:
                return [str(name).rstrip("/").rpartition("/")[2] for name in self._fs.ls(self._root, detail=False)]
            except FileNotFoundError:
                return []

    def walk(self, path: str) -> Iterator[Entry]:
        with _only_os_errors():
            self._fs.invalidate_cache()
            found = self._fs.find(self._full(path), detail=True)
        start = len(self._full(path))
        for name, info in found.items():
            yield Entry(path + name[start:], int(info.get("size") or 0), self._modified(name))

    def _modified(self, name: str) -> float | None:
        try:
            return float(self._fs.modified(name).timestamp())
        except (NotImplementedError, AttributeError, FileNotFoundError):
            return None

    def _with_parents(self, full: str, act: Callable[[], Any]) -> Any:
        """Object stores have no folders, so they are made only where the lack of one is reported."""
        try:
            return act()
        except FileNotFoundError:
            self._fs.makedirs(full.rpartition("/")[0], exist_ok=True)
            return act()

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"


@contextmanager
def _only_os_errors() -> Iterator[None]:
    """Clients of object stores raise errors of their own; callers handle OSError only."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(errno.EIO, _line(error)) from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
