"""What attackers who know serving defences do: labels for scores, means over answers, gradients through filters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from threatloop.algorithms.membership import ask_signals, mean_answers
from threatloop.algorithms.straight_through import through
from threatloop.attacks.data_to_data.hopskipjump import HopSkipJump
from threatloop.attacks.data_to_data.square_attack import SquareAttack
from threatloop.attacks.model_to_data.inversion_network import InversionNetwork
from threatloop.attacks.model_to_data.label_only_inversion import LabelOnlyInversion
from threatloop.core.access import Ledger
from threatloop.core.assets import Dataset, Model
from threatloop.core.catalogue import ATTACKS
from threatloop.core.defence import Adaptation
from threatloop.core.errors import BudgetExhausted
from threatloop.core.schema import ImageSchema
from threatloop.core.service import Service
from threatloop.core.step import EXPECTATION

SERVED = frozenset({Adaptation.LIFECYCLE, Adaptation.LABELS})
THIEVES = ["knockoff", "active_theft", "jacobian_augmentation", "data_free_theft", "transfer"]
SCORES = ["lira", "rmia", "attack_model", "confidence_threshold", "entropy_threshold", "modified_entropy_threshold"]
SCHEMA = ImageSchema(classes=("a", "b", "c"), channels=1, height=2, width=2)


@pytest.mark.parametrize("name", THIEVES)
def test_thieves_fall_back_on_labels(name: str) -> None:
    soft = ATTACKS.load(name)()
    hard, same = soft.adapted(SERVED)
    assert hard == soft.model_copy(update={"answers": "hard"})
    assert same == soft
    assert hard.adapted(SERVED) == (hard,)
    assert all(getattr(form, "answers", "") == "soft" for form in soft.adapted(frozenset({Adaptation.LIFECYCLE})))


@pytest.mark.parametrize("name", SCORES)
def test_membership_on_scores_has_a_form_on_labels(name: str) -> None:
    attack = ATTACKS.load(name)()
    first, second = attack.adapted(SERVED)
    assert first == attack
    assert ATTACKS.name_of(type(second)) == "label_only_membership"
    averaged, _ = attack.adapted(SERVED | {Adaptation.EXPECTATION})
    assert averaged == attack.model_copy(update={"expectation": EXPECTATION})
    assert attack.adapted(frozenset({Adaptation.LIFECYCLE})) == (attack,)


def test_what_trains_nothing_falls_back_all_the_same() -> None:
    (form,) = ATTACKS.load("loss_threshold")().adapted(SERVED)
    assert ATTACKS.name_of(type(form)) == "label_only_membership"
    (walk,) = SquareAttack(epsilon=0.2, records=7, queries_per_record=50).adapted(SERVED)
    assert walk == HopSkipJump(epsilon=0.2, records=7, queries_per_record=50)
    same, blind = InversionNetwork(per_class=2, queries=9).adapted(SERVED)
    assert same == InversionNetwork(per_class=2, queries=9)
    assert blind == LabelOnlyInversion(per_class=2)


@pytest.mark.parametrize("name", ["hopskipjump", "label_only_membership", "label_only_inversion"])
def test_what_reads_labels_alone_is_its_own_fallback(name: str) -> None:
    attack = ATTACKS.load(name)()
    assert attack.adapted(SERVED) == (attack,)
    assert attack.adapted(frozenset({Adaptation.STEALTH})) == ()


class Noisy:
    """Answers at random around one distribution."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        logits = np.array([2.0, 0.0, -1.0]) + self.rng.standard_normal((len(x), 3))
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), dtype=np.float32)

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        raise NotImplementedError


def records(n: int) -> Dataset:
    return Dataset(np.zeros((n, 1, 2, 2), np.float32), np.zeros(n, np.int64), SCHEMA, np.arange(n))


def test_means_of_answers_come_nearer_and_are_paid_for() -> None:
    spread = []
    for times in (1, 25):
        service = Service(Noisy(), SCHEMA)
        found = ask_signals(service, records(300), np.random.default_rng(1), lambda _: None, times)
        assert service.ledger.spent == 300 * times
        spread.append(found.std())
    assert spread[1] < spread[0] / 4
    answers = mean_answers(Noisy().log_probs, records(5).x, 3)
    np.testing.assert_allclose(np.exp(answers).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("limit", [1, 7, 25])
def test_a_budget_is_used_up_to_its_last_query(limit: int) -> None:
    service, kept = Service(Noisy(), SCHEMA, ledger=Ledger(limit)), list[npt.NDArray[np.float64]]()
    with pytest.raises(BudgetExhausted):
        ask_signals(service, records(30), np.random.default_rng(1), kept.append, 10)
    assert service.ledger.spent == limit
    assert np.isfinite(kept[-1]).sum() == -(-limit // 10)


def test_gradients_are_taken_behind_the_filters() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) ** 2).sum(dim=1, keepdim=True)

    def halved(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(x / 2)

    x = torch.rand((3, 1, 2, 2), generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    answer = through(forward, [halved], SCHEMA)(x)
    (gradient,) = torch.autograd.grad(answer.sum(), x)
    torch.testing.assert_close(answer, forward(x / 2))
    torch.testing.assert_close(gradient, x.detach())
    assert through(forward, [], SCHEMA) is forward
