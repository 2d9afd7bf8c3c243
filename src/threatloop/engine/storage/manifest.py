"""The manifest: the one small file whose presence says that an artefact is complete.

It holds the meta data, names every payload file with its size and checksum, and carries a checksum of itself, so
that a flipped byte anywhere is noticed. The file is plain JSON, ``{"blake2b":"<64 hex>","manifest":{...}}``, and its
checksum is over the exact bytes of the manifest object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from threatloop.core.errors import CorruptArtefact, InputError, StoreError
from threatloop.engine.storage.payload import SUFFIXES, Kind, blake2b

KEY: Final = re.compile(r"[0-9a-f]{16,64}")
PAYLOAD: Final = re.compile(r"([0-9a-f]{16,64})\.[0-9a-f]{16}-[0-9a-f]{12}\.(safetensors|parquet)")
_HEAD, _MIDDLE, _TAIL = b'{"blake2b":"', b'","manifest":', b"}\n"
_BODY_AT = len(_HEAD) + 64 + len(_MIDDLE)


class MissingArtefact(StoreError):
    """The store holds no artefact of this key."""


@dataclass(frozen=True)
class FileRef:
    """One payload file: what it holds (name is the table's, or "" for arrays), where, bytes, blake2b-256."""

    kind: Kind
    name: str
    file: str
    size: int
    blake2b: str


@dataclass(frozen=True)
class Manifest:
    """What the store knows about one artefact.

    Attributes:
        key: the key it was put under.
        digest: blake2b-256 of the content (payload checksums and meta), 64 hex characters. It doesn't depend on
            key, task, time or file names.
        task: the task that made it, as JSON.
        meta: the artefact's meta data.
        files: its payload files.
        created: seconds since the epoch.
    """

    key: str
    digest: str
    task: Mapping[str, Any]
    meta: Mapping[str, Any]
    files: tuple[FileRef, ...]
    created: float

    @property
    def size(self) -> int:
        """Bytes of all payload files."""
        return sum(ref.size for ref in self.files)


def check_key(key: str) -> str:
    """The key itself if it is 16 to 64 lower-case hex characters (so it can never name another path).

    Raises:
        InputError: it isn't.
    """
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise InputError(f"store key {str(key)[:80]!r} is not valid: use 16 to 64 characters of 0-9 and a-f")
    return key


def json_text(what: str, value: Any) -> bytes:
    """Canonical JSON (sorted keys, no spaces, ASCII).

    Raises:
        StoreError: not an object, keys that aren't strings, numbers that aren't finite, values JSON lacks.
    """
    try:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{what} cannot be stored as JSON: {error}; use strings, finite Python numbers, lists and objects"
        ) from error


def content_digest(files: tuple[FileRef, ...], meta: Mapping[str, Any]) -> str:
    """blake2b-256 of what an artefact holds: equal content, equal digest, whoever wrote it and when."""
    parts = [[ref.kind, ref.name, ref.blake2b] for ref in files]
    return blake2b(json_text("meta", {"files": parts, "meta": meta}))


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest file.

    Raises:
        StoreError: task or meta isn't JSON.
    """
    json_text("the artefact's meta", manifest.meta)
    json_text("the artefact's task", manifest.task)
    fields = {name: getattr(manifest, name) for name in ("key", "digest", "task", "meta", "created")}
    body = json_text("manifest", fields | {"files": [asdict(ref) for ref in manifest.files]})
    return _HEAD + blake2b(body).encode() + _MIDDLE + body + _TAIL


def from_bytes(key: str, file: str, raw: bytes) -> Manifest:
    """Reads and verifies a manifest file.

    Raises:
        CorruptArtefact: any byte differs from what `to_bytes` wrote, or it belongs to another key.
    """
    body = raw[_BODY_AT : -len(_TAIL)]
    intact = _HEAD + blake2b(body).encode() + _MIDDLE + body + _TAIL == raw
    if not intact:
        raise corrupt(key, file, "the manifest does not match its own checksum")
    try:
        fields = json.loads(body)
        refs = tuple(FileRef(**ref) for ref in fields.pop("files"))
        manifest = Manifest(files=refs, **fields)
        sound = manifest.key == key and all(_belongs(ref, key) for ref in refs)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise corrupt(key, file, f"the manifest lacks its fields ({type(error).__name__})") from error
    if not sound:
        raise corrupt(key, file, "the manifest names another key or foreign files")
    return manifest


def corrupt(key: str, file: str, why: str) -> CorruptArtefact:
    """The error for a damaged artefact, naming key and file."""
    return CorruptArtefact(f"artefact {key} is corrupt: {file}: {why}; delete it or let it be recomputed", key)


def payload_file(key: str, ref_digest: str, kind: Kind, nonce: str) -> str:
    """Name of a payload file. The digest tells contents apart; the nonce makes every write's file its own."""
    return f"{key}.{ref_digest[:16]}-{nonce}.{SUFFIXES[kind]}"


def _belongs(ref: FileRef, key: str) -> bool:
    match = PAYLOAD.fullmatch(ref.file)
    return match is not None and match[1] == key and match[2] == SUFFIXES[ref.kind]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        wrong = [name for name in value if not isinstance(name, str)]
        if wrong:
            raise TypeError(f"object key {wrong[0]!r} is not a string")
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
