"""The format that ``torch.save`` wrote before 1.6: five pickles, then the raw storages."""

from __future__ import annotations

from threatloop.supply_chain.model_files.pickles.values import Name
from threatloop.supply_chain.model_files.pickles.walk import Walk

_MAGIC = 0x1950A86A20F9469CFC6C
PICKLES = 5
_COUNT = 8
_WIDTHS = {
    "DoubleStorage": 8, "LongStorage": 8, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
    "FloatStorage": 4, "IntStorage": 4, "QInt32Storage": 4,
    "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2,
}  # fmt: skip


def is_legacy(walks: list[Walk]) -> bool:
    """Whether these are the pickles of such a file: magic number, protocol, system, object, storage keys."""
    return len(walks) == PICKLES and begins_legacy(walks)


def begins_legacy(walks: list[Walk]) -> bool:
    """Whether the first pickle is the magic number."""
    return bool(walks) and walks[0].top == _MAGIC


def tail_size(walks: list[Walk]) -> int:
    """Bytes that the storages take behind the last pickle: each its element count, then its elements."""
    sizes: dict[str, int] = {}
    for storage in walks[3].storages:
        if len(storage.items) < 5:
            continue
        kind, key, count = storage.items[1], storage.items[2], storage.items[4]
        if isinstance(kind, Name) and isinstance(count, int):
            sizes[str(key)] = count * _WIDTHS.get(kind.name, 1)
    return sum(sizes.values()) + _COUNT * len(sizes)
