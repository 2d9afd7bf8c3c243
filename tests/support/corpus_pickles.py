"""Pickles written opcode by opcode, each with an inert payload."""

from __future__ import annotations

import os
import pickle
import struct
from typing import Any

from model_corpus import Case

SYSTEM = b"cos\nsystem\n(Vtrue\ntR."
"""Would run ``true``."""


def reduce(module: str, name: str, *arguments: str) -> bytes:
    """Protocol 0: a call of a global with texts."""
    texts = "".join(f"V{text}\n" for text in arguments)
    return f"c{module}\n{name}\n({texts}tR.".encode()


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def binary(data: bytes) -> bytes:
    """BINBYTES."""
    return b"B" + struct.pack("<I", len(data)) + data


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


_CALLS: tuple[tuple[str, ...], ...] = (
    ("posix", "system", "true"),
    ("nt", "system", "true"),
    ("subprocess", "check_output", "true"),
    ("subprocess", "Popen", "true"),
    ("builtins", "eval", "1"),
    ("builtins", "exec", "pass"),
    ("builtins", "compile", "pass", "x", "exec"),
    ("builtins", "__import__", "os"),
    ("builtins", "getattr", "x", "upper"),
    ("builtins", "open", "/dev/null"),
    ("__builtin__", "eval", "1"),
    ("operator", "attrgetter", "system"),
    ("operator", "methodcaller", "upper"),
    ("_operator", "methodcaller", "upper"),
    ("functools", "partial", "x"),
    ("importlib", "import_module", "this"),
    ("runpy", "run_path", "/dev/null"),
    ("runpy", "_run_code", "pass"),
    ("pip", "main", "--version"),
    ("pip._internal.cli.main", "main", "--version"),
    ("ensurepip", "_run_pip", "--version"),
    ("code", "InteractiveInterpreter"),
    ("pty", "spawn", "true"),
    ("webbrowser", "open", "about:blank"),
    ("timeit", "timeit", "pass"),
    ("cProfile", "run", "pass"),
    ("pdb", "run", "pass"),
    ("bdb", "Bdb"),
    ("doctest", "debug_script", "pass"),
    ("socket", "create_connection", "localhost"),
    ("shutil", "which", "true"),
    ("urllib.request", "urlopen", "about:blank"),
    ("ctypes", "CDLL", "none.so"),
    ("multiprocessing.util", "spawnv_passfds", "true"),
    ("_posixsubprocess", "fork_exec", "true"),
    ("site", "execsitecustomize"),
    ("atexit", "_run_exitfuncs"),
    ("pickle", "loads", "N."),
    ("marshal", "loads", "N"),
    ("types", "FunctionType", "x"),
    ("idlelib.pyshell", "ModifiedInterpreter"),
    ("lib2to3.pgen2.grammar", "Grammar.loads", "N."),
    ("logging.config", "fileConfig", "/dev/null"),
    ("torch", "load", "none.pt"),
    ("torch.hub", "load", "none"),
    ("torch.jit.unsupported_tensor_ops", "execWrapper", "pass"),
    ("torch.utils.collect_env", "run", "true"),
    ("torch.serialization", "load", "none.pt"),
    ("numpy.testing._private.utils", "runstring", "pass"),
    ("numpy.f2py.crackfortran", "getlincoef", "1"),
    ("numpy", "load", "none.npy"),
    ("pandas", "read_pickle", "none.pkl"),
    ("joblib", "load", "none.joblib"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start", "true"),
    ("unheard_of_package", "run", "true"),
    ("__main__", "run", "true"),
)


def _tricks() -> dict[str, bytes]:
    two = b"\x80\x02"
    four = b"\x80\x04"
    call = b"(Vtrue\ntR"
    inner = binary(pickle.dumps(_Payload(), 2))
    return {
        "inst": b"(Vtrue\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nVtrue\no.",
        "newobj": four + stack_global("os", "system") + text("true") + b"\x85\x81.",
        "newobj-ex": four + stack_global("os", "system") + text("true") + b"\x85}\x92.",
        "setstate": b"c__main__\nModel\n)\x81}V__setstate__\ncos\nsystem\nsbVtrue\nb.",
        "setstate-known-class": b"ccollections\nOrderedDict\n)R}V__setstate__\ncos\nsystem\nsbVtrue\nb.",
        "extension-1": two + b"\x82\x01" + text("true") + b"\x85R.",
        "extension-2": two + b"\x83\x01\x01" + text("true") + b"\x85R.",
        "extension-4": two + b"\x84\x01\x01\x00\x00" + text("true") + b"\x85R.",
        "memo": four + text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93" + text("true") + b"\x85R.",
        "memo-overwritten": b"Vjson\np0\n0Vos\np0\n0g0\nVsystem\n\x93" + call + b".",
        "memo-text-keys": b"Vos\np007\n0g7\nVsystem\n\x93" + call + b".",
        "dup": four + text("os") + b"20" + text("system") + b"\x93" + text("true") + b"\x85R.",
        "binstring": two + b"U\x02osU\x06system\x93U\x04true\x85R.",
        "computed-name": four
        + text("os")
        + stack_global("builtins", "str")
        + text("system")
        + b"\x85R\x93"
        + text("true")
        + b"\x85R.",
        "computed-module": four + b"c_codecs\nencode\n" + text("os") + b"\x85R" + text("system") + b"\x93)R.",
        "dotted-name": four + stack_global("json", "codecs.sys.modules") + b".",
        "dotted-torch": four + stack_global("torch", "serialization.os.system") + text("true") + b"\x85R.",
        "dotted-allowed-class": four + stack_global("collections", "OrderedDict.__init__.__globals__") + b".",
        "popped": b"cos\nsystem\n" + call + b"0N.",
        "pop-mark": b"(cos\nsystem\n" + call + b"1N.",
        "after-stop": pickle.dumps({"weights": [1, 2]}) + SYSTEM,
        "after-stop-and-padding": pickle.dumps([1]) + b"\x00" * 64 + pickle.dumps(_Payload(), 4),
        "in-a-list": four + b"]" + stack_global("os", "system") + text("true") + b"\x85Ra.",
        "as-a-key": b"}cos\nsystem\n" + call + b"Vx\ns.",
        "whitespace": b"cos \nsystem\n" + call + b".",
        "full-width": four + stack_global("ｏｓ", "system") + text("true") + b"\x85R.",
        "zero-width": four + stack_global("os\u200b", "system") + text("true") + b"\x85R.",
        "second-proto": two + b"\x80\x04cos\nsystem\n" + call + b".",
        "frame-lies": b"\x80\x04\x95" + struct.pack("<Q", 1) + stack_global("os", "system") + text("true") + b"\x85R.",
        "persistent-id": b"Ptrue\ncos\nsystem\n" + call + b".",
        "nested-bytes": b"\x80\x03cpickle\nloads\n" + binary(SYSTEM) + b"\x85R.",
        "nested-torch-load": b"\x80\x03ctorch.storage\n_load_from_bytes\n" + inner + b"\x85R.",
        "nested-quiet": b"\x80\x03" + inner + b".",
        "rebuild-from-type": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\ncos\nsystem\n(Vtrue\nt}tR.",
        "reconstructor": b"ccopyreg\n_reconstructor\n(csubprocess\nPopen\ncbuiltins\nobject\nNtR.",
        "hooks": b"ccollections\nOrderedDict\n)R}V_backward_hooks\ncos\nsystem\nsb.",
        "large-integer": b"L" + b"9" * 3000 + b"L\n0cos\nsystem\n" + call + b".",
        "hex-integer": b"I0x10\n0cos\nsystem\n" + call + b".",
        "many-before": four + b"N0" * 3000 + stack_global("os", "system") + text("true") + b"\x85R.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 4) + b"true0" + stack_global("os", "system") + b"N\x85R.",
    }


def _broken() -> dict[str, bytes]:
    call = b"cos\nsystem\n(Vtrue\ntR"
    return {
        "unknown-opcode-behind": call + b"\xff\xfe.",
        "underflow-behind": call + b"00000.",
        "no-stop": call,
        "bad-protocol-behind": call + b"\x80\xc8.",
        "missing-memo-behind": call + b"h\x63.",
        "cut-argument-behind": call + b"\x8c\xffab",
    }


def cases() -> list[Case]:
    """Calls of each dangerous global, tricks with each opcode, and payloads in front of what breaks the pickle."""
    made = [Case(f"call-{m}.{n}", "global", {"model.pkl": reduce(m, n, *rest)}) for m, n, *rest in _CALLS]
    made += [
        Case(f"protocol-{number}", "opcode", {"model.pkl": pickle.dumps(_Payload(), number)}) for number in range(6)
    ]
    made += [Case(f"opcode-{name}", "opcode", {"model.pkl": data}) for name, data in _tricks().items()]
    made += [Case(f"broken-{name}", "broken", {"model.pkl": data}) for name, data in _broken().items()]
    return made
