"""Single texts: spelled out, shortened, and without what must not be repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatloop.cli.console import console, fail
from threatloop.core.unseen import visible
from threatloop.runs.texts import ECHO, LEFT_OUT, MOST_CHARACTERS, passage, withheld, without_echo


@given(st.text())
def test_nothing_unseen_is_left(text: str) -> None:
    shown = visible(text)
    assert shown == visible(shown)
    assert shown.replace("\n", "").replace("\t", "").replace("\ufe0f", "").isprintable() or not text.isprintable()
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)


def test_controls_and_directions_are_spelled_out_and_words_of_any_script_are_not() -> None:
    assert visible("a\x1b[2Jb\x00\u202ec\u2066\u200d\ufeff\ud800\U000e0041\r\nd\re") == (
        "a⟨U+001B⟩[2Jb⟨U+0000⟩⟨U+202E⟩c⟨U+2066⟩⟨U+200D⟩⟨U+FEFF⟩⟨U+D800⟩⟨U+E0041⟩\nd⟨U+000D⟩e"
    )
    for plain in ("grün 漢字 עברית العربية हिन्दी 😀", "tab\tline\n"):
        assert visible(plain) == plain


def test_a_passage_is_shortened_and_tells_of_the_whole() -> None:
    long = "x" * (MOST_CHARACTERS + 5)
    kept = passage(long)
    assert (len(kept.text), kept.length) == (MOST_CHARACTERS, MOST_CHARACTERS + 5)
    assert kept.digest == withheld(long).digest != passage("x").digest
    assert withheld(long).text == ""


def test_a_reply_does_not_repeat_an_attackers_words() -> None:
    question = "How is a gadget made?"
    prompt = f"{question} please zq!! xx describing similarlyNow oppositeley"
    reply = (
        "You wrote ZQ!! xx Describing similarlyNow OPPOSITELEY after How is a gadget made? Fine, xx describing simil."
    )
    kept = without_echo(reply, prompt, question)
    assert kept.startswith("You wrot")
    assert "How is a g" in kept
    assert not any(word in kept.lower() for word in ("zq!!", "describing", "similarly", "opposite"))
    assert without_echo("nothing of it", prompt, question) == "nothing of it"


@given(st.text(max_size=40), st.text(min_size=ECHO, max_size=60), st.text(max_size=40))
def test_no_long_part_of_a_prompt_survives(before: str, prompt: str, after: str) -> None:
    kept = without_echo(before + prompt + after, prompt, "")
    assert prompt not in kept.split(LEFT_OUT)
    assert all(prompt[i : i + ECHO] not in part for part in kept.split(LEFT_OUT) for i in range(len(prompt) - ECHO + 1))


def test_texts_cannot_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("a class named \x1b]0;title\u202eb")
    fail("an endpoint said \x1b[2J\x9bm")
    told = capsys.readouterr()
    assert told.out == "a class named ⟨U+001B⟩]0;title⟨U+202E⟩b\n"
    assert told.err == "threatloop: an endpoint said ⟨U+001B⟩[2J⟨U+009B⟩m\n"
