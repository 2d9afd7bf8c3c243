"""Freed memory goes back to the system when told, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from pathlib import Path
from threatloop.core.memory import give_back, reuse_freed

def held():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

reuse_freed()
before = held()
pieces = [b"x" * (8 << 20) for _ in range(20)]
del pieces
kept = held() - before
give_back()
print(kept, held() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and needs glibc")
def test_what_is_freed_is_kept_until_it_is_given_back() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    kept, left = map(float, printed.split())
    assert kept > 100
    assert left < 20
