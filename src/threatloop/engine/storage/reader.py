"""From a manifest back to an artefact. Every payload byte is checked against the manifest before it is decoded."""

from __future__ import annotations

from typing import Any

from threatloop.engine.storage.files import Files
from threatloop.engine.storage.head import io_errors
from threatloop.engine.storage.manifest import FileRef, Manifest, corrupt
from threatloop.engine.storage.payload import Array, Artefact, blake2b, decode_arrays, decode_table
from threatloop.engine.storage.sweep import folder


def load(files: Files, manifest: Manifest, mmap: bool) -> Artefact:
    """The artefact; its arrays memory-mapped if asked and the place allows it.

    Raises:
        CorruptArtefact: a payload file is missing, changed or can't be decoded.
        StoreError: it can't be read.
    """
    arrays: dict[str, Array] = {}
    tables: dict[str, Any] = {}
    for ref in manifest.files:
        buffer = _payload(files, manifest.key, ref, mmap and ref.kind == "arrays")
        try:
            if ref.kind == "arrays":
                arrays |= decode_arrays(buffer)
            else:
                tables[ref.name] = decode_table(buffer)
        except (ValueError, OSError) as error:
            raise corrupt(manifest.key, ref.file, f"cannot be decoded ({error})") from error
    return Artefact(arrays, manifest.meta, tables)


def verify(files: Files, manifest: Manifest) -> None:
    """Checks every payload file without keeping it in memory (on a local store).

    Raises:
        CorruptArtefact, StoreError: as `load`.
    """
    for ref in manifest.files:
        _payload(files, manifest.key, ref, mapped=True)


def _payload(files: Files, key: str, ref: FileRef, mapped: bool) -> Any:
    path = folder(key) + ref.file
    with io_errors(files.url, "be read"):
        try:
            buffer, digest = files.hashed_map(path) if mapped else (files.read(path), "")
        except FileNotFoundError as error:
            raise corrupt(key, ref.file, "the file is missing") from error
    if len(buffer) != ref.size:
        raise corrupt(key, ref.file, f"it has {len(buffer)} bytes, the manifest says {ref.size}")
    if (digest or blake2b(buffer)) != ref.blake2b:
        raise corrupt(key, ref.file, "its bytes do not match the checksum in the manifest")
    return buffer
