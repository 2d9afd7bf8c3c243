"""What search sees of a text."""

from __future__ import annotations

import time

import pytest

from threatloop.threats.keywords import plain, stems


def test_plain() -> None:
    text = (
        "A [link](https://x.org/a) and [[7]](https://y.org),\n<b class='x'>bold</b> &lt;tag&gt; https:<wbr>//z.org now."
    )
    assert plain(text) == "A link and [7], bold <tag> https: //z.org now."
    assert plain("see https&colon;//z.org/q now") == "see now"


def test_stems() -> None:
    pytest.importorskip("bm25s")
    assert stems(["The attackers and poisoning of a training set", ""]) == [["attack", "poison", "train", "set"], []]


@pytest.mark.parametrize("part", ["[", "[x]", "<a", "[a](", "https://", "&lt;", "[ [x]"])
def test_hostile_text_takes_no_longer(part: str) -> None:
    started = time.perf_counter()
    plain(part * (200_000 // len(part)))
    assert time.perf_counter() - started < 5
