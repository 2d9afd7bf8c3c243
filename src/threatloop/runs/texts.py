"""Texts that a model or an attacker wrote: what a run folder keeps of them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from threatloop.core.text_item import Passage

MOST_CHARACTERS: Final = 2000
"""Kept of one text."""
ECHO: Final = 12
"""Characters in a row that a reply has in common with an attacker's prompt, from which on they count as repeated."""
LEFT_OUT: Final = "[…]"


def digest(text: str) -> str:
    """Twelve hexadecimal digits of a text."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()


def passage(text: str, whole: str | None = None) -> Passage:
    """The beginning of a text, with length and digest of the whole (of ``whole`` where it is another)."""
    of = text if whole is None else whole
    return Passage(text=text[:MOST_CHARACTERS], length=len(of), digest=digest(of))


def withheld(text: str) -> Passage:
    """Length and digest alone."""
    return Passage(text="", length=len(text), digest=digest(text), withheld=True)


def without_echo(reply: str, prompt: str, question: str) -> str:
    """The beginning of a reply without what it repeats of an attacker's prompt, but for the question in it."""
    reply, said = reply[:MOST_CHARACTERS], _lower(reply[:MOST_CHARACTERS])
    known, made = _lower(question), _lower(prompt)
    secret = {made[i : i + ECHO] for i in range(max(1, len(made) - ECHO + 1))} - {""}
    repeated = bytearray(len(reply))
    for i in range(len(said)):
        part = said[i : i + ECHO]
        if part in secret and part not in known:
            repeated[i : i + len(part)] = b"x" * len(part)
    kept, at = list[str](), 0
    for run in re.finditer(b"x+", bytes(repeated)):
        kept += [reply[at : run.start()], LEFT_OUT]
        at = run.end()
    return "".join([*kept, reply[at:]])


def _lower(text: str) -> str:
    """In lower case, character by character, so that places stay."""
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)
