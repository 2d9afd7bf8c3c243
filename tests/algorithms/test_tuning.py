"""Training of language models on text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from threatloop.algorithms.text_lessons import Lessons, Private, Sums
from threatloop.algorithms.tuning import tune
from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.defences.training.dp_sgd import DPSGD
from threatloop.modality.conversation import asked, read, write
from threatloop.models.language import scoring
from threatloop.models.language.loading import pupil
from threatloop.models.responder import local_service

GPT = Architecture(name="gpt", parameters={"width": 32})
RECIPE = Recipe(epochs=12, batch_size=16, optimiser="adam", learning_rate=0.003, weight_decay=0.0)


def texts(*records: object) -> Dataset:
    x = write(list(records), 24)  # type: ignore[arg-type]
    return Dataset(x, np.zeros(len(x), np.int64), TextSchema(width=24), np.arange(len(x)))


def alphabet(n: int = 120) -> Dataset:
    """The alphabet from a random letter on, of random lengths: the next letter is certain."""
    rng = np.random.default_rng(2)
    letters = "abcdefghi" * 3
    starts, lengths = rng.integers(0, 9, n), rng.integers(4, 13, n)
    return texts(*(letters[start : start + length] for start, length in zip(starts, lengths, strict=True)))


def test_gpt_learns_the_alphabet() -> None:
    model = tune(GPT, alphabet(), RECIPE, Streams(0))
    assert model.notes["train_accuracy"] > 0.95
    assert model.notes["train_loss"] < 0.5
    assert model.notes["steps"] == 96


def test_same_streams_same_bits_and_no_global_random_state() -> None:
    before = torch.get_rng_state()
    short = RECIPE.model_copy(update={"epochs": 1})
    one, same, other = (tune(GPT, alphabet(), short, Streams(seed)) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    assert torch.equal(before, torch.get_rng_state())


def test_only_the_assistant_is_imitated() -> None:
    data = texts(*(asked(question, "yes") for question in ("abc", "xyz", "klm") * 10))
    model = tune(GPT, data, RECIPE.model_copy(update={"epochs": 25}), Streams(0))
    service = local_service(model)
    assert service.replies(write([asked("abc"), asked("xyz")], 24), 8) == ["yes", "yes"]
    assert (-service.log_probs(write(["klmabc"], 24))[0, :5, 0] > 3).mean() > 0.5


def test_training_goes_on_from_a_model() -> None:
    first = tune(GPT, alphabet(), RECIPE, Streams(0))
    again = tune(GPT, alphabet(20), Recipe(epochs=1, learning_rate=1e-9), Streams(5), init=first)
    for name, weights in first.weights.items():
        np.testing.assert_allclose(again.weights[name], weights, atol=1e-6)


def test_private_training_is_worse_and_says_what_it_spent() -> None:
    data, plain = alphabet(), training_of({"architecture": GPT, "recipe": RECIPE, "device": "cpu"}, {})
    private = DPSGD(epsilon=2.0).applied(plain).fit(data, Streams(0))
    assert private.notes["epsilon"] <= 2
    assert private.notes["train_loss"] > tune(GPT, data, RECIPE, Streams(0)).notes["train_loss"]


@pytest.mark.parametrize("bound", [1e-3, np.inf])
def test_private_gradients_are_those_of_single_records_clipped_and_averaged(bound: float) -> None:
    data = alphabet(4)
    language = pupil(GPT, data.schema, torch.Generator().manual_seed(1), torch.device("cpu"), None)
    language.train(True)
    learning = list(language.learning().values())
    tokens = [language.codec.tokens(record) for record in read(data.x)]
    Private(bound, 0.0, 4.0, torch.Generator()).descend(Lessons(language, tokens, 0.0), range(4), learning, Sums())
    slow = [torch.zeros_like(p) for p in learning]
    for one in tokens:
        ids = torch.tensor([one.ids])
        logits = language.project(language.hidden(ids))[0, :-1]
        found = torch.autograd.grad(F.cross_entropy(logits, ids[0, 1:]), learning, allow_unused=True)
        grads = [torch.zeros_like(p) if g is None else g for p, g in zip(learning, found, strict=True)]
        norm = float(torch.cat([g.flatten() for g in grads]).norm())
        assert norm > 1e-2
        for total, g in zip(slow, grads, strict=True):
            total += g * min(1.0, bound / norm) / 4
    for p, expected in zip(learning, slow, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, expected, atol=1e-6, rtol=1e-3)


def test_gradients_do_not_depend_on_how_many_logits_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    language = pupil(GPT, TextSchema(width=24), torch.Generator().manual_seed(0), torch.device("cpu"), None)
    tokens = [language.codec.tokens(record) for record in read(alphabet(6).x)]
    following = np.full((6, language.codec.size), np.nan, np.float32)
    following[2] = 1 / language.codec.size
    for told in (None, following):
        found = []
        for most in (1 << 22, 5 * language.codec.size):
            monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", most)
            sums, learning = Sums(), list(language.learning().values())
            for p in learning:
                p.grad = None
            Lessons(language, tokens, 0.1, told).descend(list(range(6)), sums)
            found.append((sums, torch.cat([p.grad.flatten() for p in learning if p.grad is not None])))
        (whole, at_once), (parts, in_pieces) = found
        assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
        assert (parts.right, parts.count) == (whole.right, whole.count)
        torch.testing.assert_close(in_pieces, at_once, rtol=1e-4, atol=1e-6)


def test_a_distribution_of_what_follows_is_learnt_beside_texts() -> None:
    plain = training_of({"architecture": GPT, "recipe": RECIPE, "device": "cpu"}, {})
    following = np.full((40, 256), np.nan, np.float32)
    following[20:] = np.eye(256)[ord("x")] * 0.75 + np.eye(256)[ord("y")] * 0.25
    data = texts(*["abcd"] * 20, *["kl"] * 20)
    long = RECIPE.model_copy(update={"epochs": 60})
    service = local_service(plain.fit(data, Streams(0), soft_targets=following, recipe=long))
    behind = np.exp(service.next_log_probs(write(["kl", "abc"], 24)))
    np.testing.assert_allclose(behind[0, [ord("x"), ord("y")]], [0.75, 0.25], atol=0.05)
    assert behind[1, ord("d")] > 0.95


def test_soft_targets_of_another_vocabulary_and_methods_for_labels_are_refused() -> None:
    plain = training_of({"architecture": GPT, "recipe": RECIPE, "device": "cpu"}, {})
    with pytest.raises(NotAssessable, match="over 1 tokens and the student's vocabulary has 256"):
        plain.fit(alphabet(), Streams(0), soft_targets=np.ones((120, 1), np.float32))
    with pytest.raises(InputError, match="needs records"):
        plain.fit(alphabet().take(slice(0)), Streams(0))
    from threatloop.algorithms.method_training import with_parts

    with pytest.raises(NotAssessable, match="one label a record"):
        with_parts(plain, mixing=1.0).fit(alphabet(), Streams(0))
