"""Untrusted text in foreign formats: what XML forbids, and what a spreadsheet would run."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any, Final

from threatloop.core.errors import InputError
from threatloop.core.unseen import visible

_NOT_XML: Final = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HALVES: Final = re.compile("[\ud800-\udfff]")
_FORMULA: Final = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\n]")


def for_xml(text: str) -> str:
    """The text with every character that XML 1.0 forbids spelled out, such as ``⟨U+0001⟩``; lines end with a line feed.

    A carriage return is allowed, but no reader gives it back.
    """
    return _NOT_XML.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n").replace("\r", "\n"))


def for_cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: OWASP, *CSV Injection*.

    A quote goes in front of what would be one; characters that are not seen are spelled out.
    """
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def as_json(value: object) -> str:
    """The value as indented JSON; halves of characters, which UTF-8 cannot hold, are spelled out."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return _HALVES.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text) + "\n"


def for_script(value: object) -> str:
    """The value as JSON that may stand in a ``script`` element of HTML: nothing in it ends the element or opens one.

    Characters that are not seen are spelled out.
    """
    text = json.dumps(_spelled(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _spelled(item) for key, item in value.items()}
    return [_spelled(item) for item in value] if isinstance(value, list | tuple) else value


def library(name: str, purpose: str) -> Any:
    """An optional library.

    Raises:
        InputError: it is not installed; says what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise InputError(f"{purpose} needs {name}; pip install 'threatloop[threats]'") from None
