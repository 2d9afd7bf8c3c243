"""``threatloop store``."""

from __future__ import annotations

import json as json_module

from threatloop.cli.console import console
from threatloop.core.errors import InputError


def stats(url: str, json: bool) -> int:
    """Print the number and size of artefacts."""
    from threatloop.engine.storage.store import Store

    found = Store(url).stats()
    if json:
        print(json_module.dumps({"artefacts": found.artefacts, "files": found.files, "bytes": found.bytes}))
    else:
        console().print(f"{found.artefacts} artefacts in {found.files} files, {found.bytes / 2**20:.1f} MiB")
    return 0


def gc(url: str, older_than: float | None, everything: bool, dry_run: bool) -> int:
    """Remove artefacts by age, or all of them; always removes what killed runs left behind."""
    from threatloop.engine.storage.store import Store

    if everything and older_than is not None:
        raise InputError("store gc: --all and --older-than exclude each other; give one")
    keep: set[str] | None = set() if everything else None
    report = Store(url).gc(keep=keep, older_than_days=older_than, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    console().print(f"{verb} {report.count} artefacts and orphans, {report.bytes / 2**20:.1f} MiB")
    return 0
