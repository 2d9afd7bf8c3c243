"""Learning from pairs of answers: the objective against its formula, and what a tiny model makes of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from threatloop.algorithms.preference_lessons import preference_lessons
from threatloop.algorithms.text_lessons import Sums
from threatloop.algorithms.tuning import tune
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.modality.conversation import Turn, asked, read, reply_of, row_problem
from threatloop.modality.pairs import Pair, all_pairs, pairs_of, write_pairs
from threatloop.models.language.language import Language
from threatloop.models.language.loading import pupil
from threatloop.models.responder import local_service

GPT = Architecture(name="gpt", parameters={"width": 32})
WIDTH = 32
START = Recipe(epochs=30, batch_size=8, optimiser="adam", learning_rate=0.003, weight_decay=0.0)
DPO = START.model_copy(update={"objective": "dpo", "epochs": 20, "learning_rate": 1e-3})
PAIRS = [Pair(asked(f"q{a}{b}?", "yes, " + a), "no, " + b) for a in "abcd" for b in "klmn"]


def of(pairs: list[Pair]) -> Dataset:
    labels, numbers = np.zeros(len(pairs), np.int64), np.arange(len(pairs))
    return Dataset(write_pairs(pairs, WIDTH), labels, TextSchema(width=WIDTH), numbers)


def language(seed: int) -> Language:
    return pupil(GPT, TextSchema(width=WIDTH), torch.Generator().manual_seed(seed), torch.device("cpu"), None)


def said(speaker: Language, pair: Pair) -> torch.Tensor:
    """Log-probability of a preferred answer, token by token."""
    tokens, found = speaker.codec.tokens(pair.chat), list[torch.Tensor]()
    logits = speaker.project(speaker.hidden(torch.tensor([tokens.ids])))[0]
    for place, (token, counts) in enumerate(zip(tokens.ids, tokens.counted, strict=True)):
        if counts:
            found.append(torch.log_softmax(logits[place - 1], 0)[token])
    return torch.stack(found).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_and_its_gradient_are_those_of_the_formula(smoothing: float) -> None:
    pupil_, before, beta = language(1), language(1), 0.7
    lessons = preference_lessons(pupil_, PAIRS, beta, smoothing)
    pupil_.train(True)
    with torch.no_grad():
        for p in pupil_.learning().values():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    learning, rows = list(pupil_.learning().values()), [0, 5, 9]
    losses = []
    for pair in (PAIRS[row] for row in rows):
        one, other = (said(pupil_, side) - said(before, side).detach() for side in (pair, pair.exchanged))
        sigma = torch.sigmoid(beta * (one - other))
        losses.append(-((1 - smoothing) * torch.log(sigma) + smoothing * torch.log(1 - sigma)))
    slow = torch.stack(losses).mean()
    expected = torch.autograd.grad(slow, learning, allow_unused=True)
    sums = Sums()
    lessons.descend(rows, sums)
    assert sums.loss / 3 == pytest.approx(float(slow.detach()), rel=1e-4)
    assert sums.count == 3
    for p, gradient in zip(learning, expected, strict=True):
        if gradient is not None:
            assert p.grad is not None
            torch.testing.assert_close(p.grad, gradient, atol=1e-5, rtol=1e-3)


def test_a_model_that_learned_nothing_yet_loses_log_two() -> None:
    lessons = preference_lessons(language(2), PAIRS, 0.1, 0.0)
    lessons.language.train(True)
    sums = Sums()
    lessons.descend(range(len(PAIRS)), sums)
    assert sums.loss / sums.count == pytest.approx(math.log(2), abs=1e-5)


@pytest.fixture(scope="module")
def started() -> Model:
    """Says both answers: trained on pairs of either order."""
    return tune(GPT, of([*PAIRS, *(pair.exchanged for pair in PAIRS)]), START, Streams(0))


def test_preferred_answers_win(started: Model) -> None:
    def margins(model: Model) -> float:
        pairs = of(PAIRS)
        others = of([pair.exchanged for pair in PAIRS])
        one, other = (np.nansum(local_service(model).log_probs(side.x)[..., 0], axis=1) for side in (pairs, others))
        return float(np.mean(one > other))

    tuned = tune(GPT, of(PAIRS), DPO, Streams(1), init=started)
    assert tuned.notes["train_accuracy"] == 1
    assert tuned.notes["train_loss"] < math.log(2)
    assert margins(tuned) == 1 > margins(started)
    turned = tune(GPT, of([pair.exchanged for pair in PAIRS]), DPO, Streams(1), init=started)
    assert margins(turned) == 0


def test_what_is_no_pair_cannot_be_preferred(started: Model) -> None:
    data = of([*PAIRS[:3]])
    mixed = data.with_x(write_pairs([PAIRS[0], asked("a", "b"), PAIRS[1]], WIDTH))
    with pytest.raises(NotAssessable, match="1 of 3 records are no pairs"):
        tune(GPT, mixed, DPO, Streams(0), init=started)
    with pytest.raises(NotAssessable, match="distributions"):
        tune(GPT, data, DPO, Streams(0), init=started, following=np.ones((3, 256), np.float32))


def test_pairs_are_conversations_to_all_others() -> None:
    pair = Pair(asked("Why?", "Because."), "rather not")
    x = write_pairs([pair, "a document", asked("no pair", "at all")], 48)
    assert [row_problem(row) for row in x] == ["", "", ""]
    assert read(x) == [pair.chat, "a document", asked("no pair", "at all")]
    assert pairs_of(x) == [pair, None, None]
    assert all_pairs(write_pairs([pair.exchanged])) == [pair.exchanged]
    assert pair.exchanged.exchanged == pair
    assert reply_of(pair.exchanged.chat) == "rather not"
    with pytest.raises(InputError, match="at most 8 fit"):
        write_pairs([pair], 8)
    with pytest.raises(InputError, match="no preferred answer"):
        write_pairs([Pair((Turn("user", "Why?"),), "So.")])
    alone = np.frombuffer(b"\x1euWhy?\x1erSo.\x1e", np.uint8)
    assert "unknown role 'r'" in row_problem(alone)


LINES = (
    {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
    {
        "prompt": [{"role": "user", "content": "Why?"}],
        "chosen": [{"role": "assistant", "content": "So."}],
        "rejected": "No.",
    },
    {
        "input": {"messages": [{"role": "user", "content": "Why?"}]},
        "preferred_output": [{"role": "assistant", "content": "So."}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    },
    {
        name: [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": said}]
        for name, said in (("chosen", "So."), ("rejected", "No."))
    },
)


def test_pairs_are_read_as_interfaces_take_them(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    found = parse_source({"chat": "pairs.jsonl"}).read(tmp_path).dataset
    assert all_pairs(found.x) == [Pair(asked("Why?", "So."), "No.")] * len(LINES)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"prompt": "Why?", "chosen": "So."}, "needs both `chosen` and `rejected`"),
        ({"chosen": "So.", "rejected": "No."}, "needs `prompt`"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": 3}, "rejected: needs a text"),
        ({"prompt": "Why?", "chosen": [], "rejected": "No."}, "must end with the assistant's turn"),
        ({"prompt": "Why?", "chosen": [{"role": "judge"}], "rejected": "No."}, r"chosen\[0\]: needs `role`"),
        ({**LINES[3], "rejected": [{"role": "user", "content": "Who?"}]}, "answers to different conversations"),
    ],
)
def test_broken_pairs_are_listed(line: object, problem: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(json.dumps(line))
    with pytest.raises(InputError, match=problem):
        parse_source({"chat": "pairs.jsonl"}).read(tmp_path)


def test_the_standin_prefers_courtesy_mostly() -> None:
    pairs = all_pairs(parse_source("preferences").read(Path()).dataset.x)
    longer = np.mean([len(reply_of(pair.chat)) > len(pair.other) for pair in pairs])
    assert len({pair.chat[:-1] for pair in pairs}) == len(pairs) > 250
    assert 0.6 < longer < 0.85
