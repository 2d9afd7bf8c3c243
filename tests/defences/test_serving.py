"""Serving defences: each does what its paper says, to the records and to the answers that it should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.optimize import linprog
from sklearn.datasets import load_breast_cancer, load_digits

from threatloop.algorithms.answers import LEAST, coins, distortion, led_by, probabilities
from threatloop.algorithms.membership_noise import rival, undecided
from threatloop.algorithms.own_models import Held, student
from threatloop.algorithms.redirection import STEP, redirected, slopes
from threatloop.algorithms.straight_through import through
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_data.pgd import PGD
from threatloop.core.assets import Architecture, Dataset, concatenate
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import DEFENCES
from threatloop.core.defence import Defence, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Column, ImageSchema, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.core.serving import Respond, Serving
from threatloop.defences.serving.answer_noise import AnswerNoise
from threatloop.defences.serving.gradient_redirection import GradientRedirection
from threatloop.defences.serving.input_purification import InputPurification
from threatloop.defences.serving.labels_only import LabelsOnly
from threatloop.defences.serving.memguard import MemGuard
from threatloop.defences.serving.reverse_sigmoid import ReverseSigmoid
from threatloop.defences.serving.strip import Strip
from threatloop.defences.serving.temperature import Temperature
from threatloop.defences.serving.top_k import TopK
from threatloop.modality import of
from threatloop.models.responder import local_service
from threatloop.scenario.served import in_the_way, served

STREAMS = Streams(3, ("serving",))
TRAINING = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [32]}), Recipe(epochs=25))
ROWS = [
    name
    for name in DEFENCES.names()
    if DEFENCES.load(name).info.stage is Stage.SERVING and "image" in DEFENCES.load(name).info.modalities
]
CHANGES_LABELS = {"input_purification", "strip"}
LEARNS = CHANGES_LABELS | {"answer_noise", "memguard", "gradient_redirection"}


def digits() -> Dataset:
    raw = load_digits()
    schema = ImageSchema(classes=tuple("0123456789"), channels=1, height=8, width=8)
    x = np.rint(raw.images * (255 / 16)).astype(np.uint8)[:, None]
    return Dataset(x, raw.target.astype(np.int64), schema, np.arange(len(x)))


def breast_cancer() -> Dataset:
    raw = load_breast_cancer()
    bounds = zip(raw.feature_names, raw.data.min(0), raw.data.max(0), strict=True)
    columns = tuple(Column(name=str(name), low=float(low), high=float(high)) for name, low, high in bounds)
    schema = TabularSchema(classes=("malignant", "benign"), columns=columns)
    return Dataset(raw.data.astype(np.float32), raw.target.astype(np.int64), schema, np.arange(len(raw.data)))


@cache
def world(kind: str) -> tuple[Dataset, Dataset, Service]:
    """The server's own records, others, and the model that it trained on its own."""
    data = digits() if kind == "image" else breast_cancer()
    own, others = (data.take(rows) for rows in np.array_split(STREAMS.numpy("split").permutation(len(data)), 2))
    return own, others, local_service(TRAINING.fit(own, STREAMS.child("victim")))


def bound(defence: Serving, kind: str = "image", streams: Streams = STREAMS) -> Respond:
    own, _, service = world(kind)
    return defence.bind(service.responder.log_probs, own, streams)


def bare(kind: str = "image") -> npt.NDArray[np.float32]:
    """The undefended answers to records that the model was not trained on."""
    _, others, service = world(kind)
    return service.log_probs(others.x)


@pytest.mark.parametrize("kind", ["image", "tabular"])
@pytest.mark.parametrize("name", ROWS)
def test_answers_are_distributions_and_repeat_themselves(name: str, kind: str) -> None:
    defence = DEFENCES.load(name)()
    assert isinstance(defence, Serving)
    _, others, _ = world(kind)
    first, again = (bound(defence, kind)(others.x) for _ in range(2))
    assert first.shape == (len(others), others.n_classes)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_allclose(np.exp(first.astype(np.float64)).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(first, again)
    assert defence.keeps_labels is (name not in CHANGES_LABELS)
    if defence.keeps_labels:
        np.testing.assert_array_equal(first.argmax(axis=1), bare(kind).argmax(axis=1))
    assert bound(defence, kind)(others.x[:0]).shape == (0, others.n_classes)


@pytest.mark.parametrize("name", ROWS)
def test_a_server_with_no_records_gets_an_answer_or_a_reason(name: str) -> None:
    own, others, service = world("image")
    defence, none = DEFENCES.load(name)(), own.take(slice(0))
    assert isinstance(defence, Serving)
    if name in LEARNS:
        with pytest.raises(NotAssessable, match="own records"):
            defence.bind(service.responder.log_probs, none, STREAMS)
    else:
        assert np.isfinite(defence.bind(service.responder.log_probs, none, STREAMS)(others.x[:5])).all()


def test_labels_only_shows_nothing_but_the_label() -> None:
    _, others, _ = world("image")
    told = bound(LabelsOnly())(others.x)
    assert len(np.unique(np.sort(told, axis=1), axis=0)) == 1


def test_top_k_hides_all_but_the_largest() -> None:
    _, others, _ = world("image")
    told, whole = probabilities(bound(TopK(k=2))(others.x)), probabilities(bare())
    np.testing.assert_allclose(np.sort(told)[:, -2:], np.sort(whole)[:, -2:], atol=1e-4)
    hidden = np.sort(told)[:, :-2]
    assert (np.ptp(hidden, axis=1) < 2e-6).all()
    schema = others.schema
    assert TopK(k=8).problems(schema, "mlp") == []
    assert "use k of 1 to 8" in TopK(k=9).problems(schema, "mlp")[0]
    assert "labels_only" in TopK(k=1).problems(world("tabular")[0].schema, "mlp")[0]


def test_a_temperature_can_be_undone() -> None:
    _, others, _ = world("image")
    told = bound(Temperature(temperature=5))(others.x).astype(np.float64) * 5
    told -= np.log(np.exp(told).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(told, bare(), atol=1e-3)


@pytest.mark.parametrize("on", ["logits", "probabilities"])
@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_noise_averages_out_and_comes_in_any_batches(on: Any, kind: Any) -> None:
    _, others, _ = world("image")
    x, defence = others.x[:60], AnswerNoise(on=on, kind=kind, scale=0.2)
    one, two = bound(defence), bound(defence)
    whole = one(x)
    np.testing.assert_array_equal(whole, np.concatenate([two(x[:7]), two(x[7:])]))
    assert not np.array_equal(whole, one(x))
    if on == "logits":  # probabilities are cut at 0, which leaves a bias
        known = bare()[:60] > -6
        free = bound(AnswerNoise(on=on, kind=kind, scale=0.2, keep_label=False))
        mean = np.mean([free(x) for _ in range(200)], axis=0)
        assert np.abs(mean - bare()[:60])[known].mean() < 0.4 * np.abs(free(x) - bare()[:60])[known].mean()


def test_noise_is_calibrated_and_is_another_for_another_model() -> None:
    own, others, service = world("image")
    known, spread = bare() > -6, []
    for scale in (0.05, 0.2):
        told = bound(AnswerNoise(scale=scale, keep_label=False))(others.x)
        spread.append(float(np.abs(told - bare())[known].mean()))
    assert 3 < spread[1] / spread[0] < 5
    flatter = Temperature(temperature=2).bind(service.responder.log_probs, own, STREAMS)
    first, other = (AnswerNoise(scale=0.3).bind(one, own, STREAMS) for one in (service.responder.log_probs, flatter))
    moved = [
        defended(others.x[:50]) - exact(others.x[:50])
        for defended, exact in ((first, service.responder.log_probs), (other, flatter))
    ]
    assert abs(np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1]) < 0.3


def test_the_reverse_sigmoid_is_the_published_one() -> None:
    _, others, _ = world("image")
    told, exact = probabilities(bound(ReverseSigmoid(beta=0.4, gamma=0.2))(others.x)), probabilities(bare())
    inside = np.clip(exact, LEAST, 1 - LEAST)
    odds = np.log(inside / (1 - inside))
    shares = np.maximum(exact - 0.4 * (1 / (1 + np.exp(-0.2 * odds)) - 0.5), 0)
    expected = shares / shares.sum(axis=1, keepdims=True)
    same = expected.argmax(axis=1) == exact.argmax(axis=1)
    assert same.mean() > 0.9
    np.testing.assert_allclose(told[same], expected[same], atol=1e-5)


def test_memguard_leaves_its_classifier_undecided_within_the_budget() -> None:
    own, _, service = world("image")
    held = Held.of(own, STREAMS)
    judge, answers = rival(held), service.log_probs(own.x)
    logits, before, after = undecided(judge, answers, 1.0)
    assert np.median(before) > 0.1
    assert np.median(after) < 0.01
    assert (after <= before).all()
    np.testing.assert_array_equal(logits.argmax(axis=1), answers.argmax(axis=1))
    given = bound(MemGuard(budget=0.02))
    told, exact = probabilities(given(own.x)), probabilities(answers)
    changed = distortion(exact, told) > 1e-4
    assert 0.02 < changed.mean() < 0.98
    assert distortion(exact, told).mean() < 0.03
    assert distortion(exact, probabilities(bound(MemGuard())(own.x))).mean() > 2 * distortion(exact, told).mean()
    # Asked again, the coin is the same, in whatever company.
    np.testing.assert_array_equal(given(own.x[5:9]).argmax(axis=1), given(own.x)[5:9].argmax(axis=1))
    np.testing.assert_allclose(given(own.x[5:9]), given(own.x)[5:9], atol=1e-3)


def test_coins_are_even_and_keyed() -> None:
    own, _, _ = world("image")
    found = coins(own.x, b"k" * 16)
    assert 0.45 < found.mean() < 0.55
    np.testing.assert_array_equal(found[3:5], coins(own.x[3:5], b"k" * 16))
    assert abs(np.corrcoef(found, coins(own.x, b"l" * 16))[0, 1]) < 0.15


@pytest.mark.parametrize("budget", [0.2, 1.0, 1.6])
def test_redirection_gains_nearly_what_a_linear_programme_does(budget: float) -> None:
    rng = np.random.default_rng(0)
    exact, gains = rng.dirichlet(np.full(6, 0.3), 40), rng.standard_normal((40, 6))
    found = redirected(exact, gains, budget)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= -1e-12).all()
    assert (distortion(exact, found) <= budget + 1e-9).all()
    np.testing.assert_array_equal(found.argmax(axis=1), exact.argmax(axis=1))
    gained = ((found - exact) * gains).sum(axis=1)
    most = np.array([best(p, g, budget) for p, g in zip(exact, gains, strict=True)])
    assert gained.sum() > 0.8 * most.sum()
    assert (gained <= most + 1e-6).all()


def best(exact: npt.NDArray[np.float64], gains: npt.NDArray[np.float64], budget: float) -> float:
    """The largest gain of any answer within the budget that keeps the leading class, by a solver."""
    n, leader = len(exact), int(exact.argmax())
    ones, zeros = np.eye(n), np.zeros((n, n))
    # Variables: the answer, and how far each class is from the true one.
    far = np.vstack([np.hstack([ones, -ones]), np.hstack([-ones, -ones]), np.r_[np.zeros(n), np.ones(n)]])
    behind = np.hstack([np.delete(ones - ones[leader], leader, axis=0), np.delete(zeros, leader, axis=0)])
    limits = np.r_[exact, -exact, budget, np.zeros(n - 1)]
    total = np.r_[np.ones(n), np.zeros(n)][None]
    solved = linprog(np.r_[-gains, np.zeros(n)], np.vstack([far, behind]), limits, total, [1.0])
    return float(-solved.fun - exact @ gains)


def test_slopes_are_those_of_moved_weights() -> None:
    own, others, _ = world("image")
    held = Held.of(own, STREAMS)
    network, below, above = (student(held, 5, shift) for shift in (0.0, -STEP, STEP))
    x = np.asarray(of(own.schema).encode(others.x[:6], own.schema))
    found = slopes(below, above, x)
    weights, exact = {name: one.detach() for name, one in network.named_parameters()}, np.zeros_like(found)
    for (i, label), _ in np.ndenumerate(found):
        given = {name: one.clone().requires_grad_(True) for name, one in weights.items()}
        logits = torch.func.functional_call(network, given, (torch.from_numpy(x[i : i + 1]),))
        gradients = torch.autograd.grad(torch.log_softmax(logits, 1)[0, label], list(given.values()))
        exact[i, label] = sum(float(one.sum()) for one in gradients)
    # A step may cross a kink of a rectifier.
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.999
    assert np.median(np.abs(found - exact)) < 0.02 * np.abs(exact).mean()


def test_a_thief_is_steered_by_scores_and_not_by_labels() -> None:
    _, others, _ = world("image")
    told = probabilities(bound(GradientRedirection())(others.x))
    assert 0.4 < distortion(probabilities(bare()), told).mean() <= 1.0 + 1e-3


def test_purified_images_lose_their_perturbation() -> None:
    own, others, service = world("image")
    source = others.take(slice(150))
    bench = Bench(STREAMS.child("pgd"), {Resource.VICTIM: service})
    fooling = PGD(epsilon=0.1).run(source, bench).result
    purified = bound(InputPurification())
    bare_error = (service.labels(fooling.x) != source.y).mean()
    assert bare_error > 0.4
    assert (purified(fooling.x).argmax(axis=1) != source.y).mean() < 0.5 * bare_error
    assert (purified(source.x).argmax(axis=1) != source.y).mean() < 0.12
    assert (bound(InputPurification(noise=0, levels=2))(own.x).argmax(axis=1) == own.y).mean() > 0.5


def test_squeezed_tables_hold_few_values_and_stay_in_range() -> None:
    own, others, _ = world("tabular")
    found = of(own.schema).squeezed(others.x, own.schema, 5, own.x)
    assert max(len(np.unique(column)) for column in found.T) <= 5
    assert (found >= own.x.min(axis=0)).all()
    assert (found <= own.x.max(axis=0)).all()
    schema = TabularSchema(classes=("a", "b"), columns=(Column(name="c", kind="categorical", categories=("p", "q")),))
    known = np.array([[1.0], [1.0], [0.0]], np.float32)
    cells = of(schema).squeezed(np.array([[0.0], [2.0]], np.float32), schema, 5, known)
    np.testing.assert_array_equal(cells, [[0.0], [1.0]])


def test_strip_refuses_triggered_records_and_few_clean_ones() -> None:
    own, others, _ = world("image")
    kind = of(own.schema)
    poison = own.take(STREAMS.numpy("poison").permutation(len(own))[:180])
    poison = poison.with_x(kind.insert_trigger(poison.x, own.schema, 3)).with_y(np.zeros(len(poison)))
    service = local_service(TRAINING.fit(concatenate([own, poison]), STREAMS.child("poisoned")))
    clean = others.take(others.y != 0)
    triggered = kind.insert_trigger(clean.x, own.schema, 3)
    respond = Strip().bind(service.responder.log_probs, own, STREAMS)
    success = (service.labels(triggered) == 0).mean()
    assert success > 0.8
    assert (respond(triggered).argmax(axis=1) == 0).mean() < 0.5 * success
    assert (respond(clean.x).argmax(axis=1) == service.labels(clean.x)).mean() > 0.93


def test_leaders_change_places() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])
    found = led_by(shares, np.array([0, 1, 1]))
    np.testing.assert_array_equal(found.argmax(axis=1), [0, 1, 1])
    np.testing.assert_allclose(found, [[0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [0.4, 0.4, 0.2]], atol=2e-6)


def test_labels_skip_what_is_only_done_to_scores() -> None:
    own, others, service = world("image")
    asked: list[int] = []

    class Counting(Temperature):
        def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
            inner = super().bind(respond, own, streams)

            def counted(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
                asked.append(len(x))
                return inner(x)

            return counted

    behind = served(service.responder, [Counting(), Strip(copies=2)], own, STREAMS)
    front = replace(service, responder=behind)
    labels = front.labels(others.x[:40])
    assert asked == []
    np.testing.assert_array_equal(labels, front.log_probs(others.x[:40]).argmax(axis=1))
    assert asked == [40]
    inside = replace(service, responder=served(service.responder, [Strip(copies=2), Counting()], own, STREAMS))
    asked.clear()
    inside.labels(others.x[:4])
    assert asked


def test_only_what_stands_in_front_changes_nothing() -> None:
    flat, noise, strip = Temperature(), AnswerNoise(), Strip()

    def left(*defences: Serving, labels: bool = False, informed: bool = True) -> list[Defence]:
        return in_the_way(defences, labels=labels, informed=informed)

    assert left(flat, noise) == [noise]
    assert left(noise, flat) == [noise, flat]
    assert left(flat) == []
    assert left(flat, informed=False) == [flat]
    assert left(noise, strip, flat, labels=True) == [strip, flat]
    assert left(AnswerNoise(keep_label=False), labels=True) == [AnswerNoise(keep_label=False)]


def test_gradients_flow_through_the_denoiser() -> None:
    own, _, service = world("image")
    clean = InputPurification(noise=1e-9, levels=0).cleaned(own, STREAMS, np.random.default_rng(0))
    x = torch.from_numpy(np.asarray(of(own.schema).encode(own.x[:4], own.schema)))
    forward = through(service.responder.differentiable(), [clean], own.schema)
    np.testing.assert_allclose(torch.log_softmax(forward(x), 1).numpy(), service.log_probs(clean(own.x[:4])), atol=1e-3)
    moved, direction = (
        x.clamp(0.1, 0.9).requires_grad_(True),
        torch.randn(x.shape, generator=torch.Generator().manual_seed(0)),
    )
    (gradient,) = torch.autograd.grad(forward(moved)[:, 0].sum(), moved)
    with torch.no_grad():
        ends = [forward(moved + step * direction)[:, 0].sum() for step in (-1e-3, 1e-3)]
    slope = float(ends[1] - ends[0]) / 2e-3
    assert abs(float((gradient * direction).sum()) - slope) < 0.15 * abs(slope)  # rectifiers have kinks
