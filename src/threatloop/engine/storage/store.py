"""The content-addressed store: one artefact per key, on a directory or any fsspec URL.

Layout below the root (two levels of folders, so that none grows large)::

    store.json                                              format and version
    objects/ab/cd/<key>.json                                manifest: the commit
    objects/ab/cd/<key>.<digest>-<nonce>.safetensors        all arrays
    objects/ab/cd/<key>.<digest>-<nonce>.parquet            one table

Payload files are written first, each under a name that only its writer knows; the manifest comes last and is put
in place at once. So whatever dies, and however many processes write the same key, a manifest never names a file
that is half-written or being changed. What a dead writer leaves is an orphan, which `Store.gc` removes after an hour.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from threatloop.core.errors import CorruptArtefact, InputError
from threatloop.engine.storage import head, reader, sweep
from threatloop.engine.storage.files import OBJECTS, TEMPORARY, open_files
from threatloop.engine.storage.head import io_errors
from threatloop.engine.storage.manifest import (
    FileRef,
    Manifest,
    MissingArtefact,
    check_key,
    content_digest,
    from_bytes,
    payload_file,
    to_bytes,
)
from threatloop.engine.storage.payload import Artefact, Payload, encode
from threatloop.engine.storage.sweep import GcReport, StoreStats, folder, manifest_path

_LISTING_PAYS: Final = 16


class Store:
    """Artefacts by key.

    Opening one writes nothing; the first `put` (or `prepare`) creates what is missing. It may be used from several
    threads, and any number of processes may share one place.

    Args:
        url: a directory, or any URL that fsspec knows.

    Raises:
        InputError: no place, or an unknown scheme.
        StoreError: written by a newer version, not a store, or not readable.
    """

    def __init__(self, url: str) -> None:
        self._files = open_files(url)
        self.url: str = self._files.url
        self.is_local: bool = self._files.is_local
        with io_errors(self.url, "be read"):
            self._ready = head.check(self._files)

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.url,)

    def prepare(self) -> None:
        """Creates the store if need be and proves that it can be written. Call it before spending compute.

        Raises:
            StoreError: full or not writable.
        """
        probe = f"{OBJECTS}/{TEMPORARY}{os.urandom(6).hex()}"
        with io_errors(self.url, "be written"):
            self._create()
            try:
                self._files.write(probe, [b"probe"])
            finally:
                self._files.remove(probe)

    def has(self, key: str) -> bool:
        """Whether an artefact is there. It may be corrupt: only `get` reads it.

        Raises:
            InputError: the key isn't valid.
        """
        with io_errors(self.url, "be read"):
            return self._files.exists(manifest_path(check_key(key)))

    def present(self, keys: Collection[str]) -> set[str]:
        """The keys among these that are there. On a remote store this is one listing, not many requests."""
        for key in keys:
            check_key(key)
        if self.is_local or len(keys) < _LISTING_PAYS:
            return {key for key in keys if self.has(key)}
        return set(keys) & set(self.keys())

    def put(self, key: str, artefact: Artefact, task: Mapping[str, Any]) -> str:
        """Stores an artefact with the task that made it.

        The first writer wins: an intact artefact that is there already is kept, and its digest returned; a corrupt
        one is replaced. Two writers at the same moment both succeed, and every later reader sees the same one.

        Args:
            key: 16 to 64 lower-case hex characters.
            artefact: what to store.
            task: JSON object, kept in the manifest.

        Returns:
            The content digest, 64 hex characters.

        Raises:
            InputError: the key isn't valid.
            StoreError: the disk is full, the store isn't writable, or a value can't be stored. Nothing is left.
        """
        if self.has(key):
            with suppress(CorruptArtefact, MissingArtefact):
                manifest = self.manifest(key)
                reader.verify(self._files, manifest)
                return manifest.digest
        payloads = encode(artefact)
        refs = tuple(_new_ref(key, payload) for payload in payloads)
        digest = content_digest(refs, artefact.meta)
        raw = to_bytes(Manifest(key, digest, task, artefact.meta, refs, time.time()))
        with io_errors(self.url, f"take artefact {key}"):
            self._create()
            self._write(key, refs, payloads, raw)
        return digest

    def get(self, key: str, mmap: bool = False) -> Artefact:
        """Reads an artefact and verifies every byte of it.

        Args:
            key: as given to `put`.
            mmap: map the arrays into memory instead of reading them, for sets larger than memory. Such arrays
                are read-only. Remote stores ignore this.

        Raises:
            InputError: the key isn't valid.
            MissingArtefact: the store has no such key.
            CorruptArtefact: a file is missing, cut short or changed; the message names key and file.
            StoreError: the store can't be read.
        """
        manifest = self.manifest(key)
        try:
            return reader.load(self._files, manifest, mmap)
        except CorruptArtefact:
            # Another process may have replaced the artefact, and swept the old one, since the manifest was read.
            again = self.manifest(key)
            if again == manifest:
                raise
            return reader.load(self._files, again, mmap)

    def manifest(self, key: str) -> Manifest:
        """Key, digest, task, meta and files of an artefact, without its payload.

        Raises:
            InputError, MissingArtefact, CorruptArtefact, StoreError: as `get`.
        """
        path = manifest_path(check_key(key))
        with io_errors(self.url, "be read"):
            try:
                raw = self._files.read(path)
            except FileNotFoundError as error:
                raise MissingArtefact(f"store {self.url} holds no artefact {key}") from error
        return from_bytes(key, path, bytes(raw))

    def delete(self, key: str) -> None:
        """Removes an artefact, manifest first. No error if it isn't there.

        Raises:
            InputError: the key isn't valid.
            StoreError: the store isn't writable.
        """
        files: tuple[FileRef, ...] = ()
        with suppress(CorruptArtefact, MissingArtefact):
            files = self.manifest(key).files
        with io_errors(self.url, "be written"):
            self._files.remove(manifest_path(key))
            for ref in files:
                self._files.remove(folder(key) + ref.file)

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""
        with io_errors(self.url, "be read"):
            return iter(sweep.keys(self._files))

    def stats(self) -> StoreStats:
        """Number of artefacts and files, and their bytes."""
        with io_errors(self.url, "be read"):
            return sweep.stats(self._files)

    def gc(self, keep: set[str] | None = None, older_than_days: float | None = None, dry_run: bool = False) -> GcReport:
        """Removes artefacts, and what dead writers left more than an hour ago. Safe beside running writers.

        Args:
            keep: artefacts with other keys go. None: keys don't matter.
            older_than_days: only artefacts written longer ago go. None: age doesn't matter. With both None no
                artefact goes, only orphans and temporary files.
            dry_run: report, but remove nothing.

        Raises:
            InputError: a negative age.
            StoreError: the store can't be read or written.
        """
        if older_than_days is not None and not older_than_days >= 0:
            raise InputError(f"older_than_days is {older_than_days}: give a number of days, 0 or more")
        with io_errors(self.url, "be written"):
            return sweep.collect(self._files, keep, older_than_days, dry_run)

    def _write(self, key: str, refs: tuple[FileRef, ...], payloads: tuple[Payload, ...], raw: bytes) -> None:
        paths = [folder(key) + ref.file for ref in refs]
        try:
            for path, payload in zip(paths, payloads, strict=True):
                self._files.write(path, payload.chunks)
            self._files.commit(manifest_path(key), raw)
        except BaseException:
            for path in paths:
                with suppress(OSError):
                    self._files.remove(path)
            raise

    def _create(self) -> None:
        if not self._ready:
            head.write(self._files)
        self._ready = True


def _new_ref(key: str, payload: Payload) -> FileRef:
    name = payload_file(key, payload.blake2b, payload.kind, os.urandom(6).hex())
    return FileRef(payload.kind, payload.name, name, payload.size, payload.blake2b)
