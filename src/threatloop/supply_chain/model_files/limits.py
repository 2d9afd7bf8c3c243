"""What a scan of model files may cost, so that no file can exhaust the machine that looks at it."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of one scan. What lies beyond one is reported, never passed over.

    Attributes:
        depth: how deep archives, compressed streams and pickles inside pickles may be nested.
        members: files unpacked over the whole scan.
        expanded: bytes unpacked over the whole scan.
        ratio: unpacked over packed bytes, of what unpacks to more than ``ratio_from`` bytes.
        ratio_from: bytes from which the ratio is looked at.
        header: bytes of a header of JSON; the safetensors format itself allows 100 MB.
        entries: metadata entries, array elements and tensors of a header, each.
        opcodes: opcodes of one pickle.
        argument: bytes of an opcode's argument that are kept; longer ones are stepped over.
        pickles: pickles of one file.
        text: bytes of a chat template, a configuration or a text.
        opinion_bytes: size of a pickle up to which the other scanners are asked about it.
        opinion_seconds: time that they may take for one pickle.
        opinion_memory: bytes of address space of the process in which they run.
    """

    depth: int = 6
    members: int = 20_000
    expanded: int = 8192 * MIB
    ratio: int = 200
    ratio_from: int = 64 * MIB
    header: int = 100_000_000
    entries: int = 2_000_000
    opcodes: int = 2_000_000
    argument: int = MIB
    pickles: int = 1_000
    text: int = 4 * MIB
    opinion_bytes: int = 32 * MIB
    opinion_seconds: float = 20.0
    opinion_memory: int = 4096 * MIB
