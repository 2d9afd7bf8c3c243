"""Texts through the code pass."""

from __future__ import annotations

import textwrap

from threatloop.supply_chain.code.scan import scan_bytes
from threatloop.supply_chain.result import Result


def scan(text: str, safe_torch: bool | None = None) -> Result:
    """The text as the file ``m.py``."""
    return scan_bytes(textwrap.dedent(text).encode(), "m.py", safe_torch=safe_torch)
