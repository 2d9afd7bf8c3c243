"""What in a text looks like somebody's secret: patterns, with check digits where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from threatloop.numerics.check_digits import iban_holds, luhn_holds

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b")
CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ .-]?|\(?0\d{1,4}\)?[ .-])(?:\(?\d{1,4}\)?[ .-]?){1,4}\d{2,4}(?!\w)|"
    r"(?<![\w.])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"
)
ADDRESS = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
DIGITS = re.compile(r"(?<!\d)\d(?:[ -]?\d){7,}(?!\d)")
KEY = re.compile(r"(?<![\w/+-])(?=[\w/+-]*[A-Za-z])(?=[\w/+-]*\d)[\w/+-]{20,}(?![\w/+-])")
FEWEST_DIGITS = 7
"""Of a telephone number."""


class Secret(NamedTuple):
    """A place in a text that looks like a secret."""

    kind: str
    start: int
    end: int


def secrets_in(text: str) -> list[Secret]:
    """Places that look like e-mail or network addresses, IBANs, card and telephone numbers, keys and long numbers.

    Card numbers must hold their check digit (Luhn), IBANs theirs (modulo 97). They do not overlap, and are in order.
    """
    found: list[Secret] = []
    for kind, pattern, holds in _KINDS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if holds(match.group()) and not any(one.start < end and start < one.end for one in found):
                found.append(Secret(kind, start, end))
    return sorted(found, key=lambda one: one.start)


def without_secrets(text: str, allowed: str = "") -> str:
    """The text with the kind of each secret in its place; secrets that occur in ``allowed`` stay."""
    return "".join(_pieces(text, allowed))


def _pieces(text: str, allowed: str) -> Iterator[str]:
    place = 0
    for kind, start, end in secrets_in(text):
        yield text[place:start]
        yield text[start:end] if text[start:end] in allowed else f"[{kind}]"
        place = end
    yield text[place:]


def _long_enough(found: str) -> bool:
    return sum(one.isdigit() for one in found) >= FEWEST_DIGITS


def _always(_: str) -> bool:
    return True


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("e-mail", EMAIL, _always),
    ("iban", IBAN, iban_holds),
    ("card", CARD, luhn_holds),
    ("network address", ADDRESS, _always),
    ("telephone", PHONE, _long_enough),
    ("key", KEY, _always),
    ("number", DIGITS, _always),
)
"""The most telling first."""
