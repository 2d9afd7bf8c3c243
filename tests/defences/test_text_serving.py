"""Serving defences of language models: each withholds or changes what its paper says, and leaves the rest alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import chat_world as chat
from threatloop.algorithms.bloom import Bloom
from threatloop.algorithms.filtered_replies import WITHHELD, said_by_user
from threatloop.algorithms.memorised import Runs
from threatloop.algorithms.personal import secrets_in, without_secrets
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.core.service import Service
from threatloop.core.serving import Serving
from threatloop.defences.serving.logprob_restriction import LogprobRestriction
from threatloop.defences.serving.memorisation_filter import MemorisationFilter
from threatloop.defences.serving.perplexity_filter import PerplexityFilter
from threatloop.defences.serving.pii_filter import PiiFilter
from threatloop.defences.serving.self_reminder import SelfReminder
from threatloop.defences.serving.smooth_llm import SmoothLLM
from threatloop.modality.conversation import Record, asked, read, write
from threatloop.models.responder import responder_of
from threatloop.numerics.byte_model import ByteModel
from threatloop.numerics.check_digits import iban_holds, luhn_holds
from threatloop.scenario.served import served


def behind(*defences: Serving) -> Service:
    return Service(served(responder_of(chat.model(), "cpu"), defences, chat.own(), chat.STREAMS), chat.SCHEMA)


class Parrot:
    """Replies with what it is told to; keeps the prompts."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.heard = lines, list[Record]()

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:  # noqa: ARG002
        self.heard += read(x)
        return [self.lines[i % len(self.lines)] for i in range(len(x))]

    def next_log_probs(self, x: npt.NDArray[Any], bias: Any = None) -> npt.NDArray[np.float32]:  # noqa: ARG002
        self.heard += read(x)
        rows = np.log(np.arange(1, 11) / 55)[None] * np.ones((len(x), 1))
        return np.asarray(rows, np.float32)


def scores(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.zeros((len(x), 4, 3), np.float32)


def voiced(defence: Serving, inner: Any, own: Dataset | None = None) -> Any:
    return defence.voiced(inner, scores, chat.own() if own is None else own, chat.STREAMS)


def test_check_digits() -> None:
    assert luhn_holds("4539 1488 0343 6467")
    assert not luhn_holds("4539 1488 0343 6468")
    assert not luhn_holds("0000 0000 0000 0000")
    assert iban_holds("GB82 WEST 1234 5698 7654 32")
    assert not iban_holds("GB83 WEST 1234 5698 7654 32")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to jo.doe+x@mail.example.org, please", "e-mail"),
        ("card 4539 1488 0343 6467.", "card"),
        ("pay GB82 WEST 1234 5698 7654 32 now", "iban"),
        ("call +44 20 7946 0958 today", "telephone"),
        ("call (555) 123-4567 today", "telephone"),
        ("host 192.168.10.44 is up", "network address"),
        ("the code is 8302749916", "number"),
        ("token ghp16C7e42F292c6912E7710c838347Ae178B4a", "key"),
    ],
)
def test_secrets_are_found_and_named(text: str, kind: str) -> None:
    assert [one.kind for one in secrets_in(text)] == [kind]
    assert f"[{kind}]" in without_secrets(text)
    assert without_secrets(text, text) == text


@pytest.mark.parametrize(
    "text", ["In 1984 there were 365 days.", "Version 3.14.15", "A young dog is called a puppy.", "from 10 to 12,500"]
)
def test_ordinary_words_and_numbers_are_no_secrets(text: str) -> None:
    assert without_secrets(text) == text


def test_pii_filter_edits_replies_and_leaves_what_the_prompt_says() -> None:
    filtered = voiced(PiiFilter(), Parrot("ask jo@example.org"))
    assert filtered.replies(write([asked("who?"), asked("is it jo@example.org?")]), 9) == [
        "ask [e-mail]",
        "ask jo@example.org",
    ]


def test_bloom_knows_its_members_and_few_strangers() -> None:
    known = Bloom.of((str(i) for i in range(3000)), 0.01)
    assert all(str(i) in known for i in range(3000))
    assert sum(str(i) in known for i in range(3000, 13000)) < 200
    assert "x" not in Bloom.of((), 0.01)


def test_a_reply_ends_before_it_completes_a_run_of_the_own_records() -> None:
    runs = Runs.of(["The quick brown fox jumps over the lazy dog"], 4, 1e-6)
    assert runs.cut("", "Well: the QUICK, brown fox jumps") == "Well: the QUICK, brown"
    assert runs.cut("quick brown fox", "jumps over") == ""
    assert runs.cut("", "the brown quick fox") == "the brown quick fox"
    assert runs.about_to("see the quick brown")
    assert runs.about_to("see the quick brown fo")
    assert not runs.about_to("see the slow brown")


def test_memorisation_filter_hides_what_the_model_learnt_by_heart() -> None:
    own = Dataset(
        write(["the quick brown fox jumps over"], 40),
        np.zeros(1, np.int64),
        TextSchema(width=40),
        np.zeros(1, np.int64),
    )
    filtered = voiced(MemorisationFilter(words=4), Parrot("the quick brown fox jumps"), own)
    assert filtered.replies(write(["hello"]), 9) == ["the quick brown"]
    told = filtered.next_log_probs(write(["the quick brown", "the quick red"]))
    assert np.ptp(told[0]) == 0 < np.ptp(told[1])
    assert behind(MemorisationFilter(words=2)).replies(chat.prompts(chat.own()), 10).count("I cannot.") == 0


def test_self_reminder_stands_around_the_last_question() -> None:
    parrot = Parrot("ok")
    voiced(SelfReminder(before="A", after="B"), parrot).replies(write([asked("q?", system="s"), "a document"]), 3)
    assert parrot.heard == [asked("A\nq?\nB", system="s"), "a document"]
    x = chat.prompts(chat.own())[:4]
    assert behind(SelfReminder(before="Hi.", after="")).replies(x, 8) != [WITHHELD] * 4
    assert behind(SelfReminder()).replies(x, 8) == [WITHHELD] * 4  # longer than this model's context
    assert SelfReminder(before="", after="").problems(chat.SCHEMA, "gpt")


@pytest.mark.parametrize("change", ["swap", "patch", "insert"])
def test_smooth_llm_changes_the_stated_share(change: Any) -> None:
    parrot, question = Parrot("fine"), "abcdefghij" * 3
    voiced(SmoothLLM(copies=20, share=0.2, change=change), parrot).replies(write([asked(question)]), 3)
    heard = [said_by_user(record) for record in parrot.heard]
    assert len(heard) == 20
    assert len(set(heard)) > 15
    if change == "insert":
        assert {len(one) for one in heard} == {36}
    else:
        differing = [[a != b for a, b in zip(one, question, strict=True)] for one in heard]
        assert max(map(sum, differing)) <= 6
        assert np.mean([sum(one) for one in differing]) > 5
        if change == "patch":
            assert all(np.ptp(np.flatnonzero(one)) <= 5 for one in differing)


def test_smooth_llm_gives_an_answer_of_the_majority() -> None:
    x = write([asked("a question")] * 30)
    mostly = voiced(SmoothLLM(copies=3), Parrot("I cannot.", "I cannot.", "Sure."))
    assert set(mostly.replies(x, 4)) == {"I cannot."}
    assert set(voiced(SmoothLLM(copies=3), Parrot("I cannot.", "Yes.", "Sure.")).replies(x, 4)) == {"Yes.", "Sure."}
    told = voiced(SmoothLLM(copies=3), Parrot()).next_log_probs(x[:2])
    np.testing.assert_allclose(told, Parrot().next_log_probs(x[:2]), atol=1e-6)


def test_served_smooth_llm_repeats_itself_and_still_refuses() -> None:
    data = chat.cooking(chat.REFUSAL, chat.REFUSED)
    one, two = (behind(SmoothLLM(copies=5, share=0.05)) for _ in range(2))
    assert one.replies(chat.prompts(data), 10) == two.replies(chat.prompts(data), 10)
    assert chat.refusals(behind(SmoothLLM(copies=5, share=0.05)), data) > 0.8


def test_byte_model_gives_a_distribution_and_knows_what_it_read() -> None:
    model = ByteModel([b"abracadabra"] * 3, 3)
    total = sum(np.exp(model.log_probs(b"abr" + bytes([i]))[-1]) for i in range(256))
    assert total == pytest.approx(1)
    assert model.log_probs(b"abracadabra").mean() > model.log_probs(b"zqxzqxzqxzq").mean() + 3


def test_perplexity_filter_blocks_gibberish_behind_a_question_and_few_others() -> None:
    filtered = behind(PerplexityFilter(by="bytes"))
    strange = write([asked("Please draw a map $}x~Qz;|w^Kj")])
    assert filtered.replies(strange, 8) == [WITHHELD]
    assert np.ptp(filtered.next_log_probs(strange)) == 0
    said_now = filtered.replies(chat.prompts(chat.own()), 8)
    assert said_now.count(WITHHELD) < len(said_now) / 5
    with pytest.raises(NotAssessable, match="20 own prompts"):
        voiced(PerplexityFilter(), Parrot(), chat.own().take(slice(0, 5)))


def test_perplexity_filter_asks_the_model_in_pieces() -> None:
    """A model for which every token costs its byte's value / 100; own prompts are of small bytes."""

    def dear(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        found = np.where(x > 0, -x.astype(np.float32) / 100, np.nan)
        return np.repeat(found[..., None], 3, axis=2)

    x = write([chr(65 + i % 5) * 9 for i in range(40)], 20)
    own = Dataset(x, np.zeros(40, np.int64), TextSchema(width=20), np.arange(40))
    filtered = PerplexityFilter(window=5).voiced(Parrot("ok"), dear, own, chat.STREAMS)
    questions = ["AAAA" * 12, "A" * 45 + "zzzzz", "B" * 10, "z"]
    assert filtered.replies(write([asked(one) for one in questions]), 3) == ["ok", WITHHELD, "ok", "ok"]


def test_logprob_restriction_shows_the_likeliest_tokens_and_takes_no_bias() -> None:
    x = write([asked("q")])
    bare = Parrot().next_log_probs(x)[0]
    told = voiced(LogprobRestriction(top=3), Parrot()).next_log_probs(x, [{0: 9.0}])[0]
    np.testing.assert_allclose(np.sort(told)[-3:], np.sort(bare)[-3:], atol=1e-6)
    assert np.ptp(np.sort(told)[:-3]) == 0
    assert np.exp(told).sum() == pytest.approx(1, abs=1e-5)
    none = voiced(LogprobRestriction(top=0), Parrot()).next_log_probs(x)[0]
    assert none.argmax() == bare.argmax()
    assert np.exp(none).sum() == pytest.approx(1, abs=1e-5)


def test_withheld_scores_tell_no_text_from_another() -> None:
    kept, hidden = behind(LogprobRestriction(scores=True)), behind(LogprobRestriction())
    x = chat.own().x[:6]
    np.testing.assert_array_equal(kept.log_probs(x), chat.service(chat.model()).log_probs(x))
    told = hidden.log_probs(x)
    np.testing.assert_array_equal(np.isnan(told), np.isnan(kept.log_probs(x)))
    assert len(np.unique(told[~np.isnan(told)].reshape(-1, 3), axis=0)) == 1
    assert hidden.replies(chat.prompts(chat.own())[:3], 9) == kept.replies(chat.prompts(chat.own())[:3], 9)
