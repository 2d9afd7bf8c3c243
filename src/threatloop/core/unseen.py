"""Characters that are not seen, or do something: spelled out, so that no text commands a terminal or misleads a reader.

What a model says is untrusted: it may hold escapes for terminals, characters that turn the reading direction, or some
without width. Whoever writes HTML escapes the rest.
"""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Controls but tab and line feed, what turns the direction of text, what has no width, halves of characters, tags."""


def visible(text: str) -> str:
    """The text with every character that is not seen, or does something, spelled out, such as ``⟨U+202E⟩``."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))
