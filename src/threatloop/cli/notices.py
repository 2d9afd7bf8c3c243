"""Notices for a terminal: one line per target and reason, what it holds for below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from threatloop.core.measurement import Notice
from threatloop.report.notices import by_reason

MOST_REASONS = 12
MOST_SUBJECTS = 24


def tell(out: Console, name: str, notices: Iterable[Notice], titles: Mapping[str, str]) -> None:
    """Print notices by target and reason, the first dozen reasons of them.

    Args:
        name: of the list, such as "not assessed".
        titles: of attacks by name.
    """
    reasons = by_reason(notices, titles)
    for reason in reasons[:MOST_REASONS]:
        where = f" on {reason.target}" if reason.target else ""
        out.print(Text.assemble((f"{name}{where}", "bold"), f": {reason.why}"))
        subjects = [str(subject) for subject in reason.subjects]
        more = [f"and {len(subjects) - MOST_SUBJECTS} more"] if len(subjects) > MOST_SUBJECTS else []
        out.print(Padding(Text(", ".join([*subjects[:MOST_SUBJECTS], *more])), (0, 0, 0, 2)))
    if len(reasons) > MOST_REASONS:
        out.print(f"… and {len(reasons) - MOST_REASONS} more reasons; the report lists them all")
