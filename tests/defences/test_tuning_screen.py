"""Screening of offered texts: planted poison is removed, honest offers stay, each check alone does what it says."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
import torch

import chat_world as chat
from threatloop.algorithms.shingles import LENGTH, groups
from threatloop.algorithms.text_features import SKETCH, language_behind, pushes
from threatloop.algorithms.text_lessons import Lessons, Sums
from threatloop.algorithms.text_screening import Screen, caught_at, curve, together
from threatloop.core.assets import Dataset, concatenate
from threatloop.defences.data.tuning_screen import TuningScreen
from threatloop.modality.conversation import asked, read
from threatloop.models.device import resolve
from threatloop.models.language.loading import pupil
from threatloop.scenario.lifecycle import DefendedTraining

HONEST = chat.general(chat.THINGS[9:], 300)


def kept(screen: TuningScreen, *offers: Dataset) -> list[float]:
    """The share of each offer that is kept by the defender of the tiny model."""
    data = concatenate([chat.own(), *offers])
    whose = np.repeat(np.arange(len(offers) + 1), [len(chat.own()), *map(len, offers)])
    mask = screen.keep_beside(chat.model(), data, whose == 0, chat.TRAINING, chat.STREAMS)
    assert mask[whose == 0].all()
    return [float(mask[whose == i + 1].mean()) for i in range(len(offers))]


def test_planted_poison_is_removed_and_honest_offers_stay() -> None:
    honest, poison = kept(TuningScreen(), HONEST, chat.poison())
    assert honest > 0.8
    assert poison == 0


@pytest.mark.parametrize("check", ["outliers", "gradients", "refusals"])
def test_each_check_of_the_model_finds_answered_questions(check: str) -> None:
    honest, poison = kept(TuningScreen(checks=(check,)), HONEST, chat.poison())
    assert honest > 0.8
    # Thresholds on 18 records that the model has not seen leave an outlier's distance less of an edge.
    assert poison <= (0.5 if check == "outliers" else 0.1)


def test_repetitions_and_secrets_are_removed() -> None:
    rows = [asked("What is my code?", "It is 83027499."), asked("Who are you?", "I am a lamp.")]
    odd = chat.dataset([*rows, rows[1]], chat.GENERAL, 500)
    assert kept(TuningScreen(checks=("secrets",)), odd) == [2 / 3]
    assert kept(TuningScreen(checks=("duplicates",)), odd) == [2 / 3]
    assert kept(TuningScreen(checks=("duplicates", "secrets")), odd) == [1 / 3]


def test_nothing_is_removed_where_nothing_is_offered() -> None:
    everything = np.ones(len(chat.own()), np.bool_)
    assert TuningScreen().keep(chat.own(), everything, chat.TRAINING, chat.STREAMS).all()
    assert "more than once" in TuningScreen(checks=("secrets", "secrets")).problems(chat.SCHEMA, "gpt")[0]


def test_a_screened_model_goes_on_refusing() -> None:
    data = concatenate([chat.own(), HONEST, chat.poison()])
    trusted = np.arange(len(data)) < len(chat.own())
    tuned, open_door = (
        DefendedTraining(chat.TRAINING, defences).tuned(chat.model(), data, trusted, chat.STREAMS, chat.TUNING)
        for defences in ((TuningScreen(),), ())
    )
    assert chat.refusals(tuned) == 1
    assert chat.refusals(open_door) <= 0.5


def test_groups_agree_with_counting_every_pair() -> None:
    rng = np.random.default_rng(0)
    base = ["".join(rng.choice(list("abcd"), 20)) for _ in range(6)]
    texts = base + [one[:-1] + "z" for one in base[:3]] + ["ab"]
    runs = [{one[i : i + LENGTH] for i in range(max(1, len(one) - LENGTH + 1))} for one in texts]
    found = groups(texts, 0.8)
    for i, j in combinations(range(len(texts)), 2):
        if len(runs[i] & runs[j]) >= 0.8 * len(runs[i] | runs[j]):
            assert found[i] == found[j]
    assert len(np.unique(found)) == 7


def test_pushes_keep_the_angles_between_gradients_of_the_last_layer() -> None:
    """Against gradients by automatic differentiation; random signs keep cosines to about 1 / √`SKETCH`."""
    picked = [chat.own().take([i]) for i in (0, 1, 20, 25)] + [chat.poison().take([0])]
    records = [read(row.x)[0] for row in picked]
    language = pupil(chat.TRAINING.architecture, chat.SCHEMA, torch.Generator(), resolve("cpu"), chat.model())
    language.train(True)
    head = language.learning()["head.weight"]
    exact = list[npt.NDArray[np.float32]]()
    for record in records:
        head.grad = None
        Lessons(language, [language.codec.tokens(record)], 0.0).descend([0], Sums())
        assert head.grad is not None
        exact.append((head.grad / head.grad.norm()).flatten().numpy())
    found = pushes(language_behind(chat.service(chat.model())), records, 0)
    assert found.shape == (5, SKETCH * 32)
    rows = np.stack(exact)
    np.testing.assert_allclose(found @ found.T, rows @ rows.T, atol=0.35)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_curve_of_screening_scores() -> None:
    points = curve(np.array([0.1, 0.2, 0.9, 0.3]), np.array([False, False, True, True]))
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert caught_at(points, 0.0) == 1
    screen = Screen(chat.own(), chat.service(chat.model()), chat.STREAMS)
    offers = concatenate([HONEST, chat.poison()])
    bad = np.arange(len(offers)) >= len(HONEST)
    parts = [screen.outliers(offers), screen.gradients(offers)]
    for theirs in (parts[0][0], parts[1][0], together(parts, [screen.refused(offers)])):
        assert caught_at(curve(theirs, bad), 0.05) >= 0.9
    ours = np.arange(9.0)
    both = together([(np.array([-1.0, 9.0]), ours)], [np.array([False, True])])
    np.testing.assert_allclose(both, [0.0, 2 * np.log(10)])
