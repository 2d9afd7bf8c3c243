"""What marks a place as a store: `store.json` with format and version, and the one-line errors of unusable places."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from threatloop.core.errors import StoreError
from threatloop.engine.storage.files import OBJECTS, Files

VERSION: Final = 1
FORMAT: Final = "threatloop-store"
HEAD: Final = "store.json"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def write(files: Files) -> None:
    """Makes an empty place a store; changes nothing where one is already.

    Raises:
        StoreError: as `check`.
        OSError: the place can't be written.
    """
    if not check(files):
        files.commit(HEAD, json.dumps({"format": FORMAT, "version": VERSION}).encode() + b"\n")


def check(files: Files) -> bool:
    """True where a store of a known version is; False where one may be made.

    Raises:
        StoreError: written by a newer version, damaged, or a place that holds something else.
        OSError: the place can't be read.
    """
    try:
        found = json.loads(bytes(files.read(HEAD)))
        name, version = found["format"], int(found["version"])
    except FileNotFoundError:
        _refuse_foreign(files)
        return False
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{files.url}/{HEAD} is damaged: restore it or choose another place") from error
    if name != FORMAT:
        raise StoreError(f"{files.url}/{HEAD} says {name!r}, not {FORMAT!r}: choose another place")
    if version > VERSION:
        raise StoreError(
            f"store {files.url} has format version {version}, this threatloop knows versions up to {VERSION}: "
            "upgrade threatloop or choose another place"
        )
    return True


@contextmanager
def io_errors(url: str, what: str) -> Iterator[None]:
    """Turns an OSError into one clear line: `store URL cannot WHAT: why, and what to do`.

    Raises:
        StoreError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            why = "no space left: free some, run `threatloop store gc`, or choose another place"
        else:
            why = f"{error.strerror or error}: check the path and its permissions, or choose another place"
        raise StoreError(f"store {url} cannot {what}: {why}") from error


def _refuse_foreign(files: Files) -> None:
    """A first writer may be at work, so its own names are welcome; hidden files are nobody's data."""
    ours = {OBJECTS, HEAD}
    foreign = sorted(name for name in files.names() if name not in ours and not name.startswith("."))
    if foreign:
        raise StoreError(
            f"{files.url} is not a threatloop store and not empty (it holds {foreign[0]!r}): "
            "choose a new or empty directory"
        )
