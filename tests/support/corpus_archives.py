"""Archives, compressed streams, renamed and truncated files around an inert payload."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np

from corpus_pickles import SYSTEM
from model_corpus import Case

_INFO = zipfile.ZipInfo


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def torch_zip(payload: bytes = SYSTEM) -> bytes:
    """The layout that ``torch.save`` writes."""
    return zipped({"m/data.pkl": payload, "m/byteorder": b"little", "m/data/0": b"\0" * 64, "m/version": b"3\n"})


def tarred(members: dict[str, bytes], link: str = "") -> bytes:
    """A tar archive, with a symbolic link where one is named."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo("weights")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return out.getvalue()


def object_array(payload: bytes = SYSTEM) -> bytes:
    """An .npy file of objects, whose pickle is the payload."""
    out = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue() + payload


def _legacy() -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = (0x1950A86A20F9469CFC6C, 1001, system)
    return b"".join(pickle.dumps(part, 2) for part in head) + SYSTEM + pickle.dumps([], 2)


def _patched(archive: bytes, signature: bytes, at: int, value: bytes) -> bytes:
    """The archive with bytes of the first record of a kind replaced."""
    place = archive.index(signature) + at
    return archive[:place] + value + archive[place + len(value) :]


def _renamed_local() -> bytes:
    return torch_zip().replace(b"m/data.pkl", b"m/xata.pkl", 1)


def _encrypted_mark() -> bytes:
    marked = _patched(torch_zip(), b"PK\x03\x04", 6, b"\x01\x00")
    return _patched(marked, b"PK\x01\x02", 8, b"\x01\x00")


def _duplicate() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps([1]))
        archive.writestr("m/xata.pkl", SYSTEM)
    return out.getvalue().replace(b"m/xata.pkl", b"m/data.pkl")


def _linked() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = _INFO("weights")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/hostname")
    return out.getvalue()


def _overlapping() -> bytes:
    """Two directory entries that point at one member, as overlapping bombs do."""
    archive = zipped({"a": b"x" * 100, "b": b"x" * 100})
    second = archive.rindex(b"PK\x01\x02")
    return archive[: second + 42] + struct.pack("<L", 0) + archive[second + 46 :]


def _nested(depth: int, data: bytes) -> bytes:
    for _ in range(depth):
        data = zipped({"inner.zip" if data[:2] == b"PK" else "model.pkl": data}, zipfile.ZIP_DEFLATED)
    return data


def _bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.bin", "w") as member:
        for _ in range(72):
            member.write(b"\0" * (1 << 20))
    return out.getvalue()


def cases() -> list[Case]:
    """Containers first, then renamed extensions, then what is cut off."""
    return [*_containers(), *_tricks(), *_renamed(), *_truncated()]


def _containers() -> list[Case]:
    told = {
        "torch-zip": ("model.pt", torch_zip()),
        "torch-zip-bin": ("pytorch_model.bin", torch_zip()),
        "torch-zip-storage": ("model.pt", zipped({"m/data.pkl": pickle.dumps([1]), "m/data/0": SYSTEM})),
        "torch-legacy": ("model.pth", _legacy()),
        "torch-tar": ("model.pt", tarred({"sys_info": pickle.dumps({}), "pickle": SYSTEM, "tensors": b""})),
        "joblib-zlib": ("model.joblib", zlib.compress(SYSTEM)),
        "joblib-gzip": ("model.joblib", gzip.compress(SYSTEM)),
        "joblib-bz2": ("model.joblib", bz2.compress(SYSTEM)),
        "joblib-xz": ("model.joblib", lzma.compress(SYSTEM)),
        "joblib-lzma": ("model.joblib", lzma.compress(SYSTEM, lzma.FORMAT_ALONE)),
        "gzip-twice": ("model.pkl", gzip.compress(gzip.compress(SYSTEM))),
        "gzip-two-members": ("model.pkl", gzip.compress(pickle.dumps([1])) + gzip.compress(SYSTEM)),
        "npy-objects": ("array.npy", object_array()),
        "npz-objects": ("arrays.npz", zipped({"a.npy": object_array()}, zipfile.ZIP_DEFLATED)),
        "zip-deflate": ("model.zip", zipped({"model.pkl": SYSTEM}, zipfile.ZIP_DEFLATED)),
        "zip-bzip2": ("model.zip", zipped({"model.pkl": SYSTEM}, zipfile.ZIP_BZIP2)),
        "zip-lzma": ("model.zip", zipped({"model.pkl": SYSTEM}, zipfile.ZIP_LZMA)),
        "zip-three-deep": ("model.zip", _nested(3, SYSTEM)),
        "tar-gz": ("model.tar.gz", gzip.compress(tarred({"model/weights.pkl": SYSTEM}))),
        "zip-member-without-name": ("model.zip", zipped({"weights": pickle.dumps([1], 4)[:-1] + SYSTEM[:-1] + b"."})),
    }
    return [Case(f"in-{name}", "container", {file: data}) for name, (file, data) in told.items()]


def _tricks() -> list[Case]:
    plain = zipped({"readme.txt": b"weights"})
    told = {
        "wrong-checksum": ("model.pt", _patched(torch_zip(), b"PK\x01\x02", 16, b"\1\2\3\4")),
        "other-local-name": ("model.pt", _renamed_local()),
        "marked-encrypted": ("model.pt", _encrypted_mark()),
        "duplicate-member": ("model.pt", _duplicate()),
        "directory-with-bytes": ("model.pt", zipped({"m/data.pkl": pickle.dumps([1]), "m/x.pkl/": SYSTEM})),
        "pickle-before-zip": ("model.pt", SYSTEM + plain),
        "pickle-behind-zip": ("model.pt", plain + SYSTEM),
        "traversal": ("model.zip", zipped({"../../outside.txt": b"x"})),
        "traversal-backslash": ("model.zip", zipped({"..\\..\\outside.txt": b"x"})),
        "absolute": ("model.zip", zipped({"/srv/outside.txt": b"x"})),
        "symbolic-link": ("model.zip", _linked()),
        "overlapping": ("model.zip", _overlapping()),
        "bomb": ("model.zip", _bomb()),
        "tar-traversal": ("model.tar", tarred({"../outside.txt": b"x"})),
        "tar-link": ("model.tar", tarred({}, link="/etc/hostname")),
        "tar-tail": ("model.tar", tarred({"a.txt": b"x"}) + SYSTEM),
    }
    made = [Case(f"zip-{name}", "archive trick", {file: data}) for name, (file, data) in told.items()]
    made.append(Case("zip-nine-deep", "archive trick", {"model.zip": _nested(9, SYSTEM)}, broken=True))
    return made


def _renamed() -> list[Case]:
    made = [
        Case(f"renamed-{suffix}", "renamed", {f"model.{suffix}": SYSTEM})
        for suffix in ("safetensors", "txt", "json", "onnx", "gguf", "h5", "npy", "csv", "bin", "dat", "keras", "md")
    ]
    made += [
        Case(f"renamed-binary-{suffix}", "renamed", {f"model.{suffix}": pickle.dumps(_Call(), 4)})
        for suffix in ("safetensors", "txt", "model", "png")
    ]
    made.append(Case("renamed-torch-safetensors", "renamed", {"model.safetensors": torch_zip()}))
    made.append(Case("renamed-gzip-pt", "renamed", {"model.pt": gzip.compress(SYSTEM)}))
    return made


class _Call:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, ("true",)


def _truncated() -> list[Case]:
    cut = gzip.compress(SYSTEM + b"\0" * 4096)
    told = {
        "torch-zip": ("model.pt", torch_zip()[:-30]),
        "gzip": ("model.joblib", cut[:-12]),
        "npy": ("array.npy", _array()[:-8]),
        "safetensors": ("model.safetensors", struct.pack("<Q", 1000) + b'{"a":'),
        "tar": ("model.tar", tarred({"a.pkl": b"x" * 3000})[:1024]),
        "pickle": ("model.pkl", pickle.dumps(list(range(1000)))[:-200]),
        "empty": ("model.pkl", b""),
        "noise": ("model.pt", bytes(range(255, 0, -1)) * 4),
    }
    return [Case(f"cut-{name}", "truncated", {file: data}, broken=True) for name, (file, data) in told.items()]


def _array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(100.0))
    return out.getvalue()
