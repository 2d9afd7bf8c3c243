"""Descriptions lose what tells a severity, and nothing that tells a weakness."""

from __future__ import annotations

import time

import pytest

from threatloop.threats.severity.wording import MOST, leaks_in, without_severity

LEAKING = [
    ("A critical vulnerability in the parser.", "A vulnerability in the parser."),
    ("Takeover of the server. CVSS 3.1 Base Score 9.8 (confidentiality impacts).", "confidentiality"),
    ("CVSS Vector: (CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H).", ""),
    ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", ""),
    ("Chromium security severity: Critical", "Chromium"),
    ("therefore assessed as Low severity", "therefore"),
    ("the severity is therefore considered low", "therefore"),
    ("This is a high-risk issue with a base score of 7.5", "issue"),
    ("a High severity flaw", "flaw"),
    ("rated as important by NVD", "by"),
    ("the impact of this is not severe", "impact"),
]
TOLD = ("critical", "cvss", "severity", "9.8", "7.5", "av:n", "vc:h", "nvd", "severe", "high-risk", "important")


@pytest.mark.parametrize(("text", "kept"), LEAKING)
def test_phrases_that_tell_a_severity_are_taken_out(text: str, kept: str) -> None:
    left = without_severity(text)
    assert kept in left
    assert not [word for word in TOLD if word in left.lower()]
    assert leaks_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "a heap buffer overflow lets remote attackers execute arbitrary code",
        "low memory handles and high ports are mixed up in version 2.7.0",
        "integrity of the message is not checked, so the minor version is trusted",
    ],
)
def test_words_of_the_weakness_stay(text: str) -> None:
    assert without_severity(text) == text
    assert leaks_in(text) == ()


def test_a_hostile_description_takes_no_longer_than_it_is_read() -> None:
    began = time.perf_counter()
    for text in ("severity is " * 100_000, "CVSS " + " " * 1_000_000, "AV:N" + "/A:B" * 500_000, "low to " * 300_000):
        assert len(without_severity(text)) <= MOST
    assert time.perf_counter() - began < 2
