"""Content digests: blake2b over canonical bytes, the same on every machine and in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DIGEST_BYTES = 20
DIGEST_CHUNK = 1 << 20
"""Array elements hashed at a time: a memory map is never copied whole."""


def digest_bytes(*parts: bytes) -> str:
    """Hex digest of the parts; each part's length is hashed too, so that moving a boundary changes the digest."""
    h = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces. NaN and infinities are refused: they have no canonical form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest_json(value: Any) -> str:
    """Digest of a JSON-able value."""
    return digest_bytes(canonical_json(value).encode())


def digest_array(array: npt.NDArray[Any]) -> str:
    """Digest of dtype, shape and contents (little-endian, C order)."""
    contiguous = np.ascontiguousarray(array)
    little = contiguous.astype(contiguous.dtype.newbyteorder("<"), copy=False)
    header = f"{little.dtype.str}{little.shape}".encode()
    h = hashlib.blake2b(digest_size=DIGEST_BYTES)
    h.update(len(header).to_bytes(8, "little") + header)
    rows = little.reshape(-1)
    for start in range(0, rows.size, DIGEST_CHUNK):
        h.update(rows[start : start + DIGEST_CHUNK].tobytes())
    return h.hexdigest()


def digest_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Digest of named arrays, whatever their order."""
    return digest_json({name: digest_array(array) for name, array in arrays.items()})


def digest_file(path: Path, chunk: int = 1 << 20) -> str:
    """Digest of a file's bytes, read in chunks."""
    h = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as file:
        while block := file.read(chunk):
            h.update(block)
    return h.hexdigest()
