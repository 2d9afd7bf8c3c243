"""DP-SGD against opacus: gradients, sampling, noise and the accountant."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.accountants import RDPAccountant, create_accountant

from threatloop.algorithms.batches import batches
from threatloop.algorithms.course import Course, Private
from threatloop.algorithms.fit_mlp import take_course
from threatloop.algorithms.lessons import Supervised
from threatloop.algorithms.mlp_stack import Stack
from threatloop.algorithms.private_steps import record_gradients
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.defences.training.dp_sgd import DPSGD
from threatloop.models.build import build, load
from threatloop.models.network import Network
from training_world import embedded, halves

DIGITS = embedded("digits").take(slice(0, 300))
SMALL = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [16]}), Recipe(epochs=2, batch_size=32))
GROUPED = Architecture(name="cnn", parameters={"channels": [4, 8], "hidden": 8, "norm": "group"})


def network(architecture: Architecture, seed: int, of_images: bool = False) -> Network:
    schema = halves().schema if of_images else DIGITS.schema
    return build(architecture, schema, torch.Generator().manual_seed(seed))


def by_opacus(made: Network, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every record's own gradient, by opacus' hooks."""
    for layer in made.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
    slow = GradSampleModule(made, loss_reduction="sum")
    F.cross_entropy(slow(x), y, reduction="sum").backward()  # type: ignore[no-untyped-call]
    return {name.removeprefix("_module."): p.grad_sample for name, p in slow.named_parameters()}


@pytest.mark.parametrize("hidden", [(), (7,), (16, 8)])
def test_clipped_gradients_of_stacked_perceptrons_are_those_of_opacus(hidden: tuple[int, ...]) -> None:
    architecture, bound = Architecture(name="mlp", parameters={"hidden": hidden}), 0.7
    networks = [network(architecture, seed) for seed in (1, 2)]
    x, y = torch.rand(2, 5, 1, 8, 8), torch.randint(0, 10, (2, 5), generator=torch.Generator().manual_seed(0))
    sizes, expected = (5, 3), (4.0, 6.0)
    stack = Stack(networks, torch.device("cpu"))
    course = Course(Supervised(), Private(bound, (0.0, 0.0)))
    side = course.side(sizes, 5, [Streams(0), Streams(1)], expected)
    used = torch.arange(5) < torch.tensor(sizes)[:, None]
    weights = (used / torch.tensor(expected)[:, None])[:, None]
    take_course(stack, course, x.flatten(0, 1), F.one_hot(y, 10).float().transpose(1, 2), weights, side, None)
    for k, made in enumerate(networks):
        found = by_opacus(made, x[k, : sizes[k]], y[k, : sizes[k]])
        norms = torch.stack([one.flatten(1).norm(dim=1) for one in found.values()]).norm(dim=0)
        factors = (bound / (norms + 1e-6)).clamp(max=1)
        assert bool((factors < 1).any())
        for layer, (weight, bias) in enumerate(stack.gradients):
            own, own_bias = (
                torch.einsum("n,n...->...", factors, found[f"body.layers.{layer}.{part}"]) / expected[k]
                for part in ("weight", "bias")
            )
            last = layer == len(hidden)
            torch.testing.assert_close(weight[k] if last else weight[k].T, own, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(bias[k].flatten(), own_bias, atol=1e-5, rtol=1e-4)


def test_gradients_of_other_networks_are_those_of_opacus() -> None:
    made = network(GROUPED, 0, of_images=True)
    x, y = torch.rand(6, 1, 12, 12), torch.tensor([0, 1, 0, 1, 1, 0])
    fast, losses, logits = record_gradients(made, 0.0, x, y)
    torch.testing.assert_close(losses, F.cross_entropy(made(x), y, reduction="none"))
    torch.testing.assert_close(logits, made(x))
    for name, slow in by_opacus(made, x, y).items():
        torch.testing.assert_close(fast[name], slow, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
def test_the_reported_epsilon_is_the_accountants_own(accountant: str) -> None:
    defence = DPSGD(noise_multiplier=1.1, accountant=accountant)
    notes = defence.applied(SMALL).fit(DIGITS, Streams(0)).notes
    book = create_accountant(mechanism=accountant)
    for _ in range(20):
        book.step(noise_multiplier=1.1, sample_rate=1 / 10)
    assert notes["epsilon"] == pytest.approx(book.get_epsilon(delta=notes["delta"]), rel=1e-9)
    assert (notes["private_steps"], notes["sample_rate"], notes["accountant"]) == (20, 0.1, accountant)
    assert 300**-1.1 / 2 < notes["delta"] < 1 / 300


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_noise_is_what_the_budget_asks_for(epsilon: float) -> None:
    notes = DPSGD(epsilon=epsilon, delta=1e-4).applied(SMALL).fit(DIGITS, Streams(0)).notes
    assert epsilon * 0.99 < notes["epsilon"] <= epsilon
    book = RDPAccountant()
    book.history = [(notes["noise_multiplier"] * 0.9, 0.1, 20)]
    assert book.get_epsilon(delta=1e-4) > epsilon


def test_each_part_alone_guarantees_nothing() -> None:
    clip = DPSGD(mode="clip_only").applied(SMALL).fit(DIGITS, Streams(0)).notes
    noise = DPSGD(mode="noise_only").applied(SMALL).fit(DIGITS, Streams(0)).notes
    both = DPSGD().applied(SMALL).fit(DIGITS, Streams(0)).notes
    none = DPSGD(noise_multiplier=0).applied(SMALL).fit(DIGITS, Streams(0)).notes
    assert (clip["epsilon"], noise["epsilon"], none["epsilon"]) == (None, None, None)
    assert (clip["noise_multiplier"], noise["max_grad_norm"]) == (0.0, None)
    assert noise["noise_multiplier"] == both["noise_multiplier"] > 0
    assert both["epsilon"] <= 8


def test_batches_hold_each_record_independently() -> None:
    members = np.arange(1000) * 3
    drawn = [
        one
        for day in batches(np.random.default_rng(0), members, Recipe(epochs=40, batch_size=100), True)
        for one in day
    ]
    sizes = np.array([len(one) for one in drawn])
    assert len(drawn) == 400
    assert abs(sizes.mean() - 100) < 2
    assert abs(sizes.std() - math.sqrt(1000 * 0.1 * 0.9)) < 1.5
    assert all((np.diff(one) > 0).all() and set(one) <= set(members) for one in drawn)


def test_noise_has_the_stated_deviation() -> None:
    networks = [network(SMALL.architecture, seed) for seed in (1, 2)]
    stack = Stack(networks, torch.device("cpu"))
    course = Course(Supervised(), Private(1.0, (0.5, 3.0)))
    side = course.side((0, 0), 1, [Streams(0), Streams(1)], (4.0, 6.0))
    take_course(stack, course, torch.rand(2, 1, 8, 8), torch.full((2, 10, 1), 0.1), torch.zeros(2, 1, 1), side, None)
    deviation = stack.gradients[0][0].flatten(1).std(dim=1)
    torch.testing.assert_close(deviation, torch.tensor([0.125, 0.5]), rtol=0.05, atol=0)


def test_batch_norm_is_refused_and_group_norm_offered() -> None:
    plain, grouped = Architecture(name="cnn", parameters={"channels": [4], "hidden": 8}), GROUPED
    schema = halves().schema
    assert "group_norm: true" in DPSGD().unfit(schema, plain)[0]
    assert "group_norm: true" in DPSGD().unfit(schema, Architecture(name="resnet18"))[0]
    assert not DPSGD().unfit(schema, grouped)
    assert not DPSGD(group_norm=True).unfit(schema, plain)
    training = RecipeTraining(plain, Recipe(epochs=1, batch_size=32))
    with pytest.raises(NotAssessable, match="BatchNorm"):
        DPSGD().applied(training).fit(halves(), Streams(0))
    model = DPSGD(group_norm=True).applied(training).fit(halves(), Streams(0))
    assert model.architecture.parameters["norm"] == "group"
    assert any(isinstance(layer, torch.nn.GroupNorm) for layer in load(model).modules())
    assert training.fit(halves(), Streams(1), init=model).architecture == model.architecture


def test_a_budget_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(NotAssessable, match="no noise"):
        DPSGD(epsilon=1e-9).applied(SMALL).fit(DIGITS, Streams(0))
