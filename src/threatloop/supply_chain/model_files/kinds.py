"""What a file is: by its bytes first, by its name second."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from threatloop.supply_chain.model_files.formats.protobuf import (
    looks_like_graph,
    looks_like_onnx,
    looks_like_saved_model,
)
from threatloop.supply_chain.model_files.limits import Limits
from threatloop.supply_chain.model_files.pickles.follow import follow
from threatloop.supply_chain.model_files.source import Source


class Kind(StrEnum):
    """The formats that are told apart."""

    PICKLE = "pickle"
    ZIP = "zip archive"
    TAR = "tar archive"
    COMPRESSED = "compressed stream"
    NUMPY = "NumPy array"
    SAFETENSORS = "safetensors"
    GGUF = "GGUF"
    HDF5 = "HDF5"
    ONNX = "ONNX"
    SAVED_MODEL = "TensorFlow SavedModel"
    GRAPH = "TensorFlow graph"
    JSON = "JSON"
    TEMPLATE = "chat template"
    CODE = "Python code"
    TEXT = "text"
    FOREIGN = "a format that is not scanned here"
    EMPTY = "an empty file"
    UNKNOWN = "an unknown format"


_P, _Z, _T, _C = Kind.PICKLE, Kind.ZIP, Kind.TAR, Kind.COMPRESSED
_PICKLED = (_P, _Z, _C)
_EXPECTED: Mapping[str, tuple[Kind, ...]] = {
    **dict.fromkeys((".pkl", ".pickle", ".dill", ".cloudpickle", ".joblib", ".p", ".pk"), _PICKLED),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".mar", ".pt2"), (_P, _Z, _T)),
    ".npy": (Kind.NUMPY,),
    **dict.fromkeys((".npz", ".zip", ".keras", ".whl", ".egg"), (_Z,)),
    **dict.fromkeys((".tar",), (_T,)),
    **dict.fromkeys((".gz", ".tgz", ".bz2", ".xz", ".lzma", ".z"), (_C,)),
    ".safetensors": (Kind.SAFETENSORS,),
    ".gguf": (Kind.GGUF,),
    **dict.fromkeys((".h5", ".hdf5"), (Kind.HDF5,)),
    ".onnx": (Kind.ONNX,),
    ".json": (Kind.JSON,),
    ".jinja": (Kind.TEMPLATE, Kind.TEXT),
    ".py": (Kind.CODE, Kind.TEXT),
    **dict.fromkeys((".txt", ".md", ".yaml", ".yml", ".csv", ".toml", ".cfg", ".ini"), (Kind.TEXT, Kind.JSON)),
}
SUFFIXES = frozenset(_EXPECTED) - {".txt", ".md", ".yaml", ".yml", ".csv", ".toml", ".cfg", ".ini", ".py"} | {
    ".bin",
    ".pb",
    ".model",
    ".weights",
    ".tflite",
    ".7z",
}
"""Extensions of what may be a model file."""
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"PK\x03\x04", Kind.ZIP),
    (0, b"PK\x05\x06", Kind.ZIP),
    (0, b"\x1f\x8b", Kind.COMPRESSED),
    (0, b"\xfd7zXZ\x00", Kind.COMPRESSED),
    (0, b"\x93NUMPY", Kind.NUMPY),
    (0, b"GGUF", Kind.GGUF),
    (0, b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (257, b"ustar", Kind.TAR),
    (0, b"7z\xbc\xaf\x27\x1c", Kind.FOREIGN),
    (0, b"Rar!\x1a\x07", Kind.FOREIGN),
    (0, b"\x28\xb5\x2f\xfd", Kind.FOREIGN),
    (0, b"\x04\x22\x4d\x18", Kind.FOREIGN),
    (4, b"TFL3", Kind.FOREIGN),
    (0, b"\x7fELF", Kind.FOREIGN),
    (0, b"MZ", Kind.FOREIGN),
)
_FOREIGN_NAMES = {
    b"7z": "7z archive",
    b"Ra": "RAR archive",
    b"\x28\xb5": "Zstandard stream",
    b"\x04\x22": "LZ4 stream",
    b"\x7fE": "native library or program (ELF)",
    b"MZ": "native library or program (PE)",
}


def foreign_name(source: Source) -> str:
    """Of `Kind.FOREIGN`, what it is."""
    return _FOREIGN_NAMES.get(source.read(0, 2), "TensorFlow Lite model")


def expected(source: Source) -> tuple[Kind, ...]:
    """The kinds that the extension allows; none where it says nothing."""
    return _EXPECTED.get(source.suffix, ())


def kind_of(source: Source, limits: Limits) -> Kind:
    """What the bytes are."""
    if source.size == 0:
        return Kind.EMPTY
    head = source.read(0, 1024)
    for at, magic, kind in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return kind
    if _is_bzip2(head) or _is_zlib(head) or _is_lzma(head):
        return Kind.COMPRESSED
    if _is_safetensors(head, source.size):
        return Kind.SAFETENSORS
    if _is_old_tar(source, head):
        return Kind.TAR
    if _is_pickle(source, head, limits):
        return Kind.PICKLE
    if _text(source, head):
        return _kind_of_text(source, head)
    return _kind_of_binary(source)


def _kind_of_text(source: Source, head: bytes) -> Kind:
    if source.suffix == ".jinja" or source.name == "chat_template":
        return Kind.TEMPLATE
    if source.suffix == ".py":
        return Kind.CODE
    if source.suffix == ".json":
        return Kind.JSON
    return Kind.JSON if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else Kind.TEXT


def _kind_of_binary(source: Source) -> Kind:
    for check, kind in (
        (looks_like_onnx, Kind.ONNX),
        (looks_like_saved_model, Kind.SAVED_MODEL),
        (looks_like_graph, Kind.GRAPH),
    ):
        if check(source):
            return kind
    at = 512
    while at + 8 <= min(source.size, 1 << 20):
        if source.read(at, 8) == b"\x89HDF\r\n\x1a\n":
            return Kind.HDF5
        at *= 2
    return Kind.UNKNOWN


def _is_bzip2(head: bytes) -> bool:
    return head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")


def _is_zlib(head: bytes) -> bool:
    if len(head) < 2 or head[0] != 0x78 or int.from_bytes(head[:2], "big") % 31:
        return False
    try:
        return bool(zlib.decompressobj().decompress(head, 64))
    except zlib.error:
        return False


def _is_lzma(head: bytes) -> bool:
    """LZMA without a container has no magic: its usual properties, a dictionary size and a size that can be."""
    size = int.from_bytes(head[5:13], "little")
    dictionary = int.from_bytes(head[1:5], "little")
    return len(head) > 13 and head[0] == 0x5D and dictionary >= 4096 and (size == (1 << 64) - 1 or size < 1 << 40)


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 9 and 2 <= length <= size - 8 and head[8:9] == b"{" and head[9:10] in b'"} \t\r\n'


def _is_old_tar(source: Source, head: bytes) -> bool:
    if source.size < 1024 or len(head) < 512 or not head[0]:
        return False
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


_OLD_START = re.compile(rb"[()\]}lditcISVNFKJMLGUTXBP\x8c\x8a\x88\x89\x80\x95]")


def _is_pickle(source: Source, head: bytes, limits: Limits) -> bool:
    """By following it: to its STOP, or to a call of a global; what merely begins like one is none.

    Where the extension says so, the sign of a protocol is enough, so that a broken pickle is known as one.
    """
    begins = head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5
    if begins and Kind.PICKLE in _EXPECTED.get(source.suffix, ()):
        return True
    return bool(_OLD_START.match(head)) and _followed(source, limits)


def is_pickle(path: Path, head: bytes) -> bool:
    """Whether a file is a pickle, found by following it, picture or text though it may be; ``head`` is its start."""
    if not _OLD_START.match(head):
        return False
    try:
        with open(path, "rb") as file:
            return _followed(Source(str(path), path.name, file, 0, path.stat().st_size), Limits())
    except OSError:
        return False


def _followed(source: Source, limits: Limits) -> bool:
    walk = follow(source, 0, limits)
    calls = any(use.call for use in walk.uses)
    return calls or bool(walk.computed or walk.extensions) or (not walk.broken and walk.end > walk.start + 1)


def _text(source: Source, head: bytes) -> bool:
    """UTF-8 without control characters, as far as a few places show."""
    for at in (0, source.size // 2, max(0, source.size - 1024)):
        piece = head if at == 0 else source.read(at, 1024)
        plain = piece.decode("utf-8", "replace")
        if "\0" in plain or sum(letter == "�" for letter in plain) > 6:
            return False
        if sum(ord(letter) < 32 and letter not in "\t\r\n\f\x1b" for letter in plain) > 0:
            return False
    return True
