"""Jupyter notebooks: the code cells as one module, with the way back to cell and line."""

from __future__ import annotations

import ast
import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final

from threatloop.supply_chain.code.text import NotLookedAt, Unreadable, tree_of

LARGEST: Final = 64 << 20
"""Bytes of a notebook; its outputs may hold pictures."""
_HARMLESS_MAGICS: Final = ("time", "timeit", "capture", "prun", "memit", "debug")
_MAGIC: Final = re.compile(r"^(\s*)(?:[%!?]|\w[\w, ]*=\s*[%!])|^(\s*)\w[\w.]*\?{1,2}\s*$")


@dataclass
class Notebook:
    """What a notebook holds for the code pass.

    Attributes:
        text: of all cells that were read, one after another.
        tree: of that text.
        starts: line of the text at which each cell that was read begins.
        cells: number of each of these, from 1, counting all cells.
        errors: cell, line in it, reason, of code cells that are no Python.
        skipped: cell and reason, of code cells that were left out.
    """

    text: str = ""
    tree: ast.Module = field(default_factory=lambda: ast.Module([], []))
    starts: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    errors: list[tuple[int, int | None, str]] = field(default_factory=list)
    skipped: list[tuple[int, str]] = field(default_factory=list)

    def place(self, line: int) -> tuple[int, int]:
        """Cell and line in it of a line of the text."""
        at = bisect_right(self.starts, line) - 1
        return self.cells[at], line - self.starts[at] + 1


def read_notebook(raw: bytes) -> Notebook:
    """The code cells of a notebook of format 3 or 4.

    Raises:
        NotLookedAt: too large, or of another language.
        Unreadable: no notebook.
    """
    if len(raw) > LARGEST:
        raise NotLookedAt(f"larger than {LARGEST >> 20} MiB")
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {str(error)[:80]}", getattr(error, "lineno", None)) from None
    cells = _cells(content)
    language = _language(content)
    if language and "python" not in language:
        raise NotLookedAt(f"a notebook in {language[:20]}")
    notebook = Notebook()
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            _add(notebook, number, _source(cell))
    return notebook


def _cells(content: Any) -> list[Any]:
    if isinstance(content, dict):
        cells = content.get("cells")
        if isinstance(cells, list):
            return cells
        sheets = content.get("worksheets")
        if isinstance(sheets, list):
            return [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]
    raise Unreadable("JSON, but no notebook: no list `cells`")


def _language(content: dict[str, Any]) -> str:
    metadata = content.get("metadata")
    for key, inner in (("language_info", "name"), ("kernelspec", "language")):
        part = metadata.get(key) if isinstance(metadata, dict) else None
        found = part.get(inner) if isinstance(part, dict) else None
        if isinstance(found, str):
            return found.lower()
    return ""


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def _add(notebook: Notebook, number: int, source: str) -> None:
    first = source.lstrip().partition("\n")[0]
    if first.startswith("%%") and not first[2:].startswith(_HARMLESS_MAGICS):
        notebook.skipped.append((number, f"a {first.split()[0][:20]} cell is no Python"))
        return
    text = "\n".join(_without_magic(line) for line in source.split("\n"))
    try:
        tree = tree_of(text)
    except Unreadable as error:
        notebook.errors.append((number, error.line, error.reason))
        return
    except NotLookedAt as reason:
        notebook.skipped.append((number, str(reason)))
        return
    start = notebook.text.count("\n") + 1
    ast.increment_lineno(tree, start - 1)
    notebook.tree.body += tree.body
    notebook.starts.append(start)
    notebook.cells.append(number)
    notebook.text += text + "\n"


def _without_magic(line: str) -> str:
    """A line of IPython's own becomes one that does nothing, so that line numbers stay."""
    found = _MAGIC.match(line)
    return (found[1] or found[2] or "") + "pass" if found else line
