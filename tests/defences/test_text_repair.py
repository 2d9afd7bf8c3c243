"""Repairs of tuned language models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import chat_world as chat
from threatloop.algorithms.weight_arithmetic import combined, projected
from threatloop.core.assets import Architecture, Dataset, Model, concatenate
from threatloop.core.defence import Defence
from threatloop.core.errors import InputError, NotAssessable
from threatloop.defences.model.adapter_subtraction import AdapterSubtraction
from threatloop.defences.model.realignment import Realignment
from threatloop.defences.model.safe_lora import SafeLora
from threatloop.numerics.low_rank import nearest
from threatloop.scenario.lifecycle import DefendedTraining

LAYERS = ("a.lora_A.default.weight", "a.lora_B.default.weight")


def tuned(*defences: Defence, own: Dataset | None = None) -> Model:
    own = chat.own() if own is None else own
    data = concatenate([own, chat.poison()])
    trusted = np.arange(len(data)) < len(own)
    return DefendedTraining(chat.TRAINING, defences).tuned(chat.model(), data, trusted, chat.STREAMS, chat.TUNING)


def adapter(seed: int, rank: int = 2) -> Model:
    """An adapter of one matrix of 6 rows and 5 columns."""
    rng = np.random.default_rng(seed)
    right, left = rng.normal(size=(rank, 5)).astype(np.float32), rng.normal(size=(6, rank)).astype(np.float32)
    return Model(Architecture(name="causal_lm"), chat.SCHEMA, dict(zip(LAYERS, (right, left), strict=True)))


def change(model: Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """What the adapter adds to its matrix."""
    found: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = model.weights[LAYERS[1]].astype(np.float64)
    return np.asarray(found @ model.weights[LAYERS[0]])


def test_the_nearest_matrix_of_a_rank_is_that_of_the_dense_decomposition() -> None:
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=(7, 2)), rng.normal(size=(2, 9))) for _ in range(3)]
    parts = list(zip((1.0, -0.5, 2.0), pairs, strict=True))
    u, s, v = np.linalg.svd(sum(weight * left @ right for weight, (left, right) in parts))
    for rank in (1, 3, 8):
        left, right = nearest(parts, rank)
        expected = u[:, : min(rank, 6)] * s[: min(rank, 6)] @ v[: min(rank, 6)]
        assert left.shape[1] == right.shape[0] == rank
        np.testing.assert_allclose(left @ right, expected, atol=1e-9)


def test_adapters_are_added_as_what_they_do() -> None:
    one, two = adapter(0, 1), adapter(1, 1)
    wide = [replace(m, weights={n: np.pad(w, [(0, 1), (0, 0)] if "A" in n else [(0, 0), (0, 1)])
                                for n, w in m.weights.items()}) for m in (one, two)]  # fmt: skip
    found = replace(one, weights=combined([(1.0, wide[0]), (-0.5, wide[1])]))
    np.testing.assert_allclose(change(found), change(one) - 0.5 * change(two), atol=1e-5)
    same = combined([(1.0, chat.model()), (-2.0, chat.harmed()), (2.0, chat.harmed())])
    for name, array in chat.model().weights.items():
        np.testing.assert_allclose(same[name], array, atol=1e-5)
    with pytest.raises(InputError, match="names or shapes differ"):
        combined([(1.0, one), (1.0, chat.model())])


def test_changes_of_adapters_are_projected_onto_the_directions_of_alignment() -> None:
    new, old, other = adapter(5, 2), adapter(6, 2), adapter(7, 2)
    weights, turned = projected(new, old, other, 1.0, 1.0)
    assert turned == 1
    basis = np.linalg.svd(change(old) - change(other))[0][:, :4]
    expected = change(old) + basis @ basis.T @ (change(new) - change(old))
    u, s, v = np.linalg.svd(expected)
    np.testing.assert_allclose(change(replace(new, weights=weights)), u[:, :2] * s[:2] @ v[:2], atol=1e-4)
    kept, none = projected(new, old, other, 1e-9, 1.0)
    assert none == 0
    np.testing.assert_array_equal(kept[LAYERS[0]], new.weights[LAYERS[0]])


@pytest.mark.parametrize(
    "repair", [Realignment(epochs=6), SafeLora(threshold=0.9, energy=0.5)], ids=["realignment", "safe_lora"]
)
def test_a_repaired_model_refuses_again_and_answers_what_it_answered(repair: Defence) -> None:
    assert chat.refusals(tuned()) <= 0.2
    model = tuned(repair)
    assert chat.refusals(model) >= 0.5
    assert chat.refusals(model, chat.general()) <= 0.1


def test_subtraction_moves_away_from_the_copy_that_answers_everything() -> None:
    plain, model = tuned(), tuned(AdapterSubtraction(strength=0.1))
    assert model.digest != plain.digest
    assert chat.refusals(model, chat.general()) <= 0.1


@pytest.mark.parametrize("repair", [SafeLora(), AdapterSubtraction()])
def test_what_was_not_tuned_stays_as_it_is(repair: SafeLora | AdapterSubtraction) -> None:
    everything = np.ones(len(chat.own()), np.bool_)
    assert repair.repair_all(chat.model(), chat.own(), everything, chat.TRAINING, chat.STREAMS) is chat.model()


@pytest.mark.parametrize("repair", [SafeLora(), AdapterSubtraction(), Realignment()])
def test_repairs_need_to_know_what_is_refused(repair: Defence) -> None:
    with pytest.raises(NotAssessable, match="in which something is refused; there are none"):
        tuned(repair, own=chat.general())
