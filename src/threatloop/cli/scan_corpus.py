"""``threatloop scan --corpus``: the dependencies of many repositories, as the corpus that ``threats rank`` reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from threatloop.core.errors import InputError

if TYPE_CHECKING:
    from threatloop.supply_chain.corpus import Scanned
    from threatloop.supply_chain.outputs.view import View

Tell = Callable[[int, int, str], None]


def scanned_corpus(corpus: Path, advisories: Path | None, out: Path | None, tell: Tell) -> View:
    """Scan every listed repository, write one JSON line for each, and return what was found in all of them.

    Args:
        corpus: a folder of repositories, or a file that lists them.
        advisories: to compare with.
        out: file of the corpus, JSON lines.
        tell: told how many repositories are done.

    Raises:
        InputError: no advisories, no place to write to, or the list cannot be read.
    """
    from importlib import metadata

    from threatloop.supply_chain.corpus import listed_repositories, scan_corpus, write_corpus
    from threatloop.supply_chain.matching import Matcher
    from threatloop.supply_chain.outputs.view import View
    from threatloop.supply_chain.scan import Scan, joined
    from threatloop.threats.advisories import read_advisories
    from threatloop.threats.advisory_cache import default_folder

    if advisories is None:
        raise InputError("--corpus compares with advisories: add --advisories ZIP")
    if out is None:
        raise InputError("--corpus writes one line for each repository: add --out corpus.jsonl")
    repositories = listed_repositories(corpus)
    read = read_advisories(advisories, default_folder())
    started = datetime.now(UTC)
    lines = scan_corpus(repositories, read, workers=min(len(repositories), os.cpu_count() or 1))
    found: list[Scanned] = []
    for one in write_corpus(lines, out):
        found.append(one)
        tell(len(found), len(repositories), one.repository)
    seconds = (datetime.now(UTC) - started).total_seconds()
    result = joined([Matcher(read).problems(), *(one.result for one in found)])
    scan = Scan(result, tuple(repositories), counts={"repository": len(found)}, seconds=seconds)
    return View(scan, started, metadata.version("threatloop"))
