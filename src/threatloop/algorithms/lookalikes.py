"""Characters that look alike, or like nothing, and text without them."""

from __future__ import annotations

import unicodedata

ALIKE = dict(
    zip(
        "aceijopsxyhABCEHIJKMOPSTXYZ",
        "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443\u04bb"
        "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425\u04ae\u0396",
        strict=True,
    )
)
"""Latin letters and Cyrillic or Greek ones of the same shape (Unicode Technical Standard 39)."""
NOTHING = "\u200b"
"""Zero-width space."""
BLANK = "\u2004"
"""Three-per-em space."""
_BACK = str.maketrans({other: letter for letter, other in ALIKE.items()})


def folded(text: str) -> str:
    """A text with Latin letters and plain spaces for what looks like them, and without what looks like nothing."""
    plain = unicodedata.normalize("NFKC", text).translate(_BACK)
    return "".join(c for c in plain if unicodedata.category(c) != "Cf")
