"""Unpacking block by block, so that a bomb is noticed while it is still small."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from threatloop.supply_chain.model_files.source import CHUNK, Source, Unreadable

_BLOCK = 1 << 20


def inflate(source: Source) -> Iterator[bytes]:
    """Raw deflate, as zip archives hold it."""
    return _zlib_blocks(source, -zlib.MAX_WBITS)


def stored(source: Source) -> Iterator[bytes]:
    at = 0
    while piece := source.read(at, CHUNK):
        yield piece
        at += len(piece)


def bunzip2(source: Source) -> Iterator[bytes]:
    return _members(source, bz2.BZ2Decompressor)


def unxz(source: Source) -> Iterator[bytes]:
    return _members(source, lzma.LZMADecompressor)


def zip_lzma(source: Source) -> Iterator[bytes]:
    """LZMA as zip archives hold it: a header of its own before the stream."""
    head = source.exactly(0, 4)
    length = int.from_bytes(head[2:4], "little")
    properties = lzma._decode_filter_properties(lzma.FILTER_LZMA1, source.exactly(4, length))  # type: ignore[attr-defined]
    rest = source.part(4 + length, source.size)
    return _members(rest, lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[properties]))


def gunzip(source: Source) -> Iterator[bytes]:
    return _zlib_blocks(source, 16 + zlib.MAX_WBITS, b"\x1f\x8b")


def unzlib(source: Source) -> Iterator[bytes]:
    return _zlib_blocks(source, zlib.MAX_WBITS)


class Trailing(Unreadable):
    """Bytes follow the end of a compressed stream."""


def _zlib_blocks(source: Source, window: int, again: bytes = b"") -> Iterator[bytes]:
    """Streams of zlib, one behind the other where the next one starts with ``again``.

    Raises:
        Unreadable: broken or cut off.
        Trailing: what follows is no stream.
    """
    decoder, at = zlib.decompressobj(window), 0
    while at < source.size:
        piece = source.read(at, CHUNK)
        at += len(piece)
        while piece:
            try:
                block = decoder.decompress(piece, _BLOCK)
            except zlib.error as error:
                raise Unreadable(f"broken compressed stream: {error}") from error
            if block:
                yield block
            if not decoder.eof:
                piece = decoder.unconsumed_tail
                continue
            piece = decoder.unused_data
            if piece and not (again and piece.startswith(again)):
                if not any(piece):
                    return
                raise Trailing(f"{len(piece) + source.size - at} bytes follow the compressed stream")
            if piece:
                decoder = zlib.decompressobj(window)
    if not decoder.eof:
        raise Unreadable("truncated compressed stream")


def _members(source: Source, decoder: Callable[[], Any]) -> Iterator[bytes]:
    """Streams of bz2 or lzma, one behind the other.

    Raises:
        Unreadable: broken or cut off.
    """
    current, at = decoder(), 0
    piece = b""
    while True:
        if not piece and getattr(current, "needs_input", True):
            piece = source.read(at, CHUNK)
            at += len(piece)
            if not piece:
                break
        try:
            block = current.decompress(piece, _BLOCK)
        except (OSError, lzma.LZMAError, EOFError) as error:
            raise Unreadable(f"broken compressed stream: {error}") from error
        piece = b""
        if block:
            yield block
        if current.eof:
            piece = current.unused_data.lstrip(b"\0") or b""
            if not piece and at >= source.size:
                return
            current = decoder()
    if not current.eof:
        raise Unreadable("truncated compressed stream")
