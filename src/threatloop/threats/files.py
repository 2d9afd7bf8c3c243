"""Files of strangers, read within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from threatloop.core.errors import InputError

MIB: Final = 1 << 20


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        InputError: there is none, it is a folder or a device, cannot be read, or is larger.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'is no regular file' if path.exists() else 'there is no such file'}")
    try:
        with path.open("rb") as stream:
            found = stream.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(found) > most:
        raise InputError(f"{path}: is larger than {most // MIB} MiB, the most that is read of such a file")
    return found


def read_json(path: Path, most: int) -> Any:
    """A JSON document of at most ``most`` bytes; ``NaN`` and infinities are refused.

    Raises:
        InputError: as `read_bounded`, or it is no JSON.
    """
    raw = read_bounded(path, most)
    try:
        return json.loads(raw, parse_constant=_no_number)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{path}: is no JSON ({str(error).splitlines()[0]})") from None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")
