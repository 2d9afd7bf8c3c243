"""The gallery of texts: what was said after an attack and before it, or length and digest in place of the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from threatloop.core.text_item import Passage, Said, TextItem
from threatloop.runs.folder import RunFolder

MOST_SHOWN: Final = 600
"""Characters of one text that a report shows."""
WITHHELD: Final = "What an attacker made of a sensitive prompt is in no report."
SENSITIVE: Final = "Sensitive set."
PRIVATE: Final = "Private records."


class Shown(NamedTuple):
    """What the reader asked to see."""

    records: bool = False
    outputs: bool = False


@dataclass(frozen=True)
class Words:
    """One text as it is shown.

    Attributes:
        text: its beginning; empty where it is not shown.
        cut: characters behind that.
        why: why it is not shown; empty where it is.
        option: with which it would be.
        length: characters of the whole.
        digest: of the whole.
    """

    text: str
    cut: int
    why: str
    option: str
    length: int
    digest: str


@dataclass(frozen=True)
class Line:
    """A prompt and the reply to it."""

    prompt: Words | None
    reply: Words
    verdict: str


@dataclass(frozen=True)
class Pair:
    """What was said of one record without the attack and after it."""

    item: TextItem
    before: Line | None
    after: Line


@dataclass(frozen=True)
class TextAlbum:
    """The texts of one scenario on one target."""

    target: str
    scenario: str
    lap: int
    seed: int
    pairs: tuple[Pair, ...]

    @property
    def long(self) -> bool:
        """Whether texts of several steps are here."""
        return len({pair.item.step for pair in self.pairs}) > 1


def text_albums(folder: RunFolder, shown: Shown) -> list[TextAlbum]:
    """The gallery of a run."""
    groups: dict[tuple[str, str, int, int], list[Pair]] = {}
    for item in folder.texts:
        public = folder.record.targets.get(item.target, {}).get("public") is True and not item.sensitive
        why, option = _kept_back(item, public, shown)
        before = None if item.before is None else _line(item.before, why, option)
        pair = Pair(item, before, _line(item.after, why, option))
        groups.setdefault((item.target, item.scenario, item.lap, item.seed), []).append(pair)
    return [TextAlbum(*place, tuple(pairs)) for place, pairs in groups.items()]


def _kept_back(item: TextItem, public: bool, shown: Shown) -> tuple[str, str]:
    """Why the texts of an item are not shown, and the option that shows them."""
    if item.sensitive:
        return ("", "") if shown.outputs else (SENSITIVE, "--show-outputs")
    return ("", "") if public or shown.records else (PRIVATE, "--show-records")


def _line(said: Said, why: str, option: str) -> Line:
    prompt = _words(said.prompt, why, option) if said.prompt.length else None
    return Line(prompt, _words(said.reply, why, option), said.verdict)


def _words(passage: Passage, why: str, option: str) -> Words:
    if passage.withheld:
        why, option = WITHHELD, ""
    text = "" if why else passage.text[:MOST_SHOWN]
    cut = 0 if why else max(0, max(passage.length, len(passage.text)) - len(text))
    return Words(text, cut, why, option, passage.length, passage.digest)
