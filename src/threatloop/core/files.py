"""Files that are there whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from threatloop.core.errors import InputError


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write texts by file name, in UTF-8: all of them are written before the first takes its place.

    Raises:
        InputError: the folder or a file cannot be written; one line.
    """
    token = uuid.uuid4().hex[:12]
    drafts = {folder / name: folder / f".{name}.{token}" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft, text in zip(drafts.values(), texts.values(), strict=True):
            draft.write_text(text, encoding="utf-8", newline="")
        for file, draft in drafts.items():
            draft.replace(file)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` that takes its place when the block ends without an error, else is removed.

    Raises:
        InputError: the place cannot be written, or is a folder.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
