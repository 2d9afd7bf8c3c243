"""Check digits of numbers that people must not mistype."""

from __future__ import annotations


def luhn_holds(number: str) -> bool:
    """Whether a card number's last digit fits the others (ISO/IEC 7812-1, annex B); what is no digit is passed over."""
    digits = [int(one) for one in number if one.isdigit()]
    if len(digits) < 2 or len(set(digits)) == 1:  # Rows of one digit hold, and are nobody's.
        return False
    doubled = [sum(divmod(2 * one, 10)) if place % 2 else one for place, one in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def iban_holds(number: str) -> bool:
    """Whether an account number is one by its check digits (ISO 13616, modulo 97); spaces are passed over."""
    plain = number.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34 or not plain.isalnum() or not plain.isascii():
        return False
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1
