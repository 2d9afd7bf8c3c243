"""Errors a user can meet. Each message is one line: what, where, which values are allowed, how to fix it."""

from __future__ import annotations

from collections.abc import Sequence


class ThreatloopError(Exception):
    """Base of everything threatloop raises on purpose."""


class InputError(ThreatloopError):
    """Bad user input: files, specs, data, options. The command line exits with status 2."""


class Problems(InputError):
    """Every problem of one file at once, so that it is mended in one go.

    Args:
        where: the file or object that was checked.
        problems: one clear line each; never empty.
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{where}: {len(problems)} problem{'s' * (len(problems) != 1)}\n{lines}")


class AccessError(ThreatloopError):
    """An attack used a capability that it did not declare, or that the service does not grant."""


class BudgetExhausted(ThreatloopError):
    """The query budget is spent. The attack stops with its best result so far."""


class CapReached(ThreatloopError):
    """The requests that an endpoint's owner allowed are spent, for all attacks together.

    No budget of one attack: what it has so far is no result, and is not stored, so that a run under a higher cap goes
    on from there.
    """


class NotAssessable(ThreatloopError):
    """This pairing cannot be assessed, with the reason. It lands in the *not assessed* list, never among findings."""


class StoreError(ThreatloopError):
    """The store cannot be used: written by a newer version, full, or not writable."""


class CorruptArtefact(StoreError):
    """A stored payload does not match its manifest. The engine recomputes it and reports it.

    Args:
        message: names the key and the file.
        key: of the artefact.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key
