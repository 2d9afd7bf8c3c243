"""From one file in the OSV schema to advisories: what breaks the schema is named and left out, the rest counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from threatloop.threats.advisories import EVENT_KINDS, RANGE_TYPES, Advisory, Affected, Event, Range
from threatloop.threats.plain_yaml import PlainYamlError, load

_CWE: Final = re.compile(r"CWE-\d{1,6}")
MAX_TEXT: Final = 1 << 20
"""Characters of a field beyond which it is cut."""


def parsed(name: str, data: bytes) -> tuple[list[Advisory], list[str]]:
    """The advisories of a file - one, a list, or an answer of OSV's API with ``vulns`` - and what is wrong with it."""
    try:
        found = _document(name, data)
    except PlainYamlError as error:
        return [], [str(error)]
    except (ValueError, RecursionError) as error:
        return [], [f"not JSON: {str(error)[:160]}"]
    if isinstance(found, dict) and isinstance(found.get("vulns"), list):
        found = found["vulns"]
    advisories, problems = [], []
    for item in found if isinstance(found, list) else [found]:
        reader = _Reader(name)
        advisory = reader.advisory(item)
        if advisory is not None:
            advisories.append(advisory)
        problems += reader.problems
    return advisories, problems


def _document(name: str, data: bytes) -> Any:
    if name.lower().endswith(".json"):
        return json.loads(data.decode("utf-8-sig"), parse_int=str, parse_float=str)
    return load(data)


class _Reader:
    """Reads one advisory and gathers its problems, each with the advisory's id."""

    def __init__(self, source: str) -> None:
        self._source, self._id = source, ""
        self.problems: list[str] = []

    def _wrong(self, reason: str) -> None:
        self.problems.append(f"{self._id}: {reason}" if self._id else reason)

    def advisory(self, item: Any) -> Advisory | None:
        id_ = item.get("id") if isinstance(item, dict) else None
        if not isinstance(id_, str) or not id_.strip():
            self._wrong("no advisory in the OSV schema: it has no id")
            return None
        self._id = id_.strip()[:200]
        return Advisory(
            id=self._id,
            aliases=tuple(dict.fromkeys(self._texts(item, "aliases"))),
            summary=self._text(item, "summary"),
            details=self._text(item, "details"),
            published=self._time(item, "published"),
            modified=self._time(item, "modified"),
            withdrawn=self._time(item, "withdrawn"),
            severity=tuple(self._severity(item)),
            rating=self._rating(item),
            cwe=tuple(self._weaknesses(item)),
            affected=tuple(self._affected(item)),
            source=self._source,
        )

    def _text(self, item: dict[str, Any], key: str) -> str:
        value = item.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._wrong(f"{key} is no text")
            return ""
        return value[:MAX_TEXT]

    def _list(self, item: dict[str, Any], key: str) -> list[Any]:
        value = item.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(f"{key} is no list")
            return []
        return value

    def _texts(self, item: dict[str, Any], key: str) -> Iterator[str]:
        for value in self._list(item, key):
            if isinstance(value, str) and value.strip():
                yield value
            else:
                self._wrong(f"{key} holds {str(value)[:40]!r}, which is no text")

    def _time(self, item: dict[str, Any], key: str) -> datetime | None:
        value = self._text(item, key).strip()
        if not value:
            return None
        try:
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            self._wrong(f"{key} is no time: {value[:40]!r}")
            return None

    def _severity(self, item: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for value in self._list(item, "severity"):
            kind, score = (value.get("type"), value.get("score")) if isinstance(value, dict) else (None, None)
            if isinstance(kind, str) and isinstance(score, str):
                yield kind, score
            else:
                self._wrong("severity holds an entry without type and score")

    def _rating(self, item: dict[str, Any]) -> str:
        extra = item.get("database_specific")
        rating = extra.get("severity") if isinstance(extra, dict) else None
        return rating.strip().lower()[:40] if isinstance(rating, str) else ""

    def _weaknesses(self, item: dict[str, Any]) -> Iterator[str]:
        extra = item.get("database_specific")
        found = extra.get("cwe_ids") if isinstance(extra, dict) else None
        for one in found if isinstance(found, list) else []:
            if isinstance(one, str) and _CWE.fullmatch(one):
                yield one

    def _affected(self, item: dict[str, Any]) -> Iterator[Affected]:
        for part in self._list(item, "affected"):
            package = part.get("package") if isinstance(part, dict) else None
            if package is None and isinstance(part, dict):
                continue  # The schema allows it: such a part is about a git repository, not about a package.
            names = (package.get("ecosystem"), package.get("name")) if isinstance(package, dict) else (None, None)
            ecosystem, name = names
            if not (isinstance(ecosystem, str) and isinstance(name, str) and ecosystem.strip() and name.strip()):
                self._wrong("affected holds a part whose package has no ecosystem and name")
                continue
            yield Affected(
                ecosystem.strip(),
                name.strip(),
                tuple(self._ranges(part)),
                tuple(self._texts(part, "versions")),
                tuple(self._severity(part)),
            )

    def _ranges(self, part: dict[str, Any]) -> Iterator[Range]:
        for value in self._list(part, "ranges"):
            kind = value.get("type") if isinstance(value, dict) else None
            if kind not in RANGE_TYPES:
                self._wrong(f"a range of type {str(kind)[:40]!r}; known are {', '.join(RANGE_TYPES)}")
                continue
            events = tuple(self._events(value))
            if not any(event.kind == "introduced" for event in events):
                self._wrong(f"a {kind} range without an introduced version")
                continue
            if kind != "GIT" and {"fixed", "last_affected"} <= {event.kind for event in events}:
                self._wrong(f"a {kind} range with fixed and last_affected events, which the schema forbids; both count")
            yield Range(kind, events)

    def _events(self, value: dict[str, Any]) -> Iterator[Event]:
        for event in self._list(value, "events"):
            pairs = list(event.items()) if isinstance(event, dict) else []
            if len(pairs) == 1 and pairs[0][0] in EVENT_KINDS and isinstance(pairs[0][1], str) and pairs[0][1].strip():
                yield Event(pairs[0][0], pairs[0][1].strip())
            else:
                self._wrong(f"a range event that is none of {', '.join(EVENT_KINDS)}: {str(event)[:60]}")
