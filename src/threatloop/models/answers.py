"""What an endpoint has answered, and how often it was asked: two SQLite files for all processes and runs.

Answers outlive the task that asked: an audit that a rate limit or an error ended goes on without asking again. Their
file holds digests of records and answers, never records. Requests are counted by what was authorised, whatever tensors
are named and however records are scaled: another spelling of the terms does not start the count anew.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from threatloop.core.digests import digest_json
from threatloop.core.endpoint import FOUND, TERMS, OpenAI, OpenInference
from threatloop.core.errors import CapReached, ThreatloopError

MOST_PARAMETERS = 500
AUTHORISED = frozenset({"url", "model", "authorised_by"})
"""Fields of an endpoint that say who may ask what; requests are counted by these alone."""
_ANSWERS = "CREATE TABLE IF NOT EXISTS answers (record BLOB PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID;"
_REQUESTS = """
CREATE TABLE IF NOT EXISTS requests (one INTEGER PRIMARY KEY CHECK (one = 1), sent INTEGER, free_at REAL);
INSERT OR IGNORE INTO requests VALUES (1, 0, 0);
"""


class Answers:
    """The answers of one endpoint under one authorisation.

    Args:
        endpoint: whose answers.
        folder: where the file lies; None for the user's cache.

    Raises:
        ThreatloopError: the file cannot be opened or written.
    """

    def __init__(self, endpoint: OpenInference | OpenAI, folder: Path | None = None) -> None:
        place = folder or _cache()
        self._endpoint = endpoint
        answered = endpoint.model_dump(mode="json", exclude={*TERMS, *FOUND})
        authorised = endpoint.model_dump(mode="json", include=set(AUTHORISED))
        self._file = place / f"{digest_json(answered)[:32]}.sqlite"
        self._count = place / f"{digest_json(authorised)[:32]}.count.sqlite"
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            for file, tables in ((self._file, _ANSWERS), (self._count, _REQUESTS)):
                with _connection(file) as connection:
                    connection.executescript(tables)
        except (OSError, sqlite3.Error) as error:
            raise ThreatloopError(f"{self._file}: answers cannot be kept there ({error})") from None

    def known(self, records: Sequence[bytes]) -> dict[bytes, bytes]:
        """The answers that are there, by digest of the record and of how it was asked."""
        found: dict[bytes, bytes] = {}
        with _connection(self._file) as connection:
            for start in range(0, len(records), MOST_PARAMETERS):
                some = list(records[start : start + MOST_PARAMETERS])
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT record, answer FROM answers WHERE record IN ({marks})", some)
                found |= dict(rows)
        return found

    def keep(self, records: Sequence[bytes], answers: Sequence[bytes]) -> None:
        """Remember answers, one for each."""
        rows = list(zip(records, answers, strict=True))
        with _connection(self._file) as connection:
            connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)

    def charge(self) -> None:
        """Book one request and wait for its turn.

        Raises:
            CapReached: the authorisation's cap is reached; nothing is booked then.
        """
        cap = self._endpoint.request_cap
        with _connection(self._count) as connection:
            connection.execute("BEGIN IMMEDIATE")
            sent, free_at = connection.execute("SELECT sent, free_at FROM requests").fetchone()
            if sent >= cap:
                raise CapReached(
                    f"the endpoint's request_cap of {cap} is spent; raise it if you are allowed to and run again: "
                    "nothing is asked twice"
                )
            now = time.time()
            turn = max(now, free_at)
            connection.execute("UPDATE requests SET sent = ?, free_at = ?", (sent + 1, turn + self._gap))
        time.sleep(turn - now)

    @property
    def sent(self) -> int:
        """Requests sent so far, in all runs."""
        with _connection(self._count) as connection:
            return int(connection.execute("SELECT sent FROM requests").fetchone()[0])

    @property
    def _gap(self) -> float:
        return 1 / self._endpoint.per_second


@contextmanager
def _connection(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, timeout=60, isolation_level=None)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "threatloop" / "answers"
