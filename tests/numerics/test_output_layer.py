"""Width, span and rotation of an output layer, against matrices that are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from threatloop.numerics import sphere
from threatloop.numerics.output_layer import (
    BEYOND,
    centred,
    hidden_width,
    linear_error,
    rotation_error,
    span,
    spectrum,
)
from threatloop.numerics.sphere import Ellipsoid, ellipsoid, points_needed
from threatloop.numerics.undefined import Undefined

Doubles = npt.NDArray[np.float64]
TOKENS, WIDTH = 90, 12
RNG = np.random.default_rng(5)
MATRIX = RNG.standard_normal((TOKENS, WIDTH))


def states(n: int, *, layer_norm: bool = False) -> Doubles:
    """What a norm leaves of random states of very different scales, (n, width)."""
    raw = np.random.default_rng(6).standard_normal((n, WIDTH)) @ np.diag(np.linspace(0.2, 3, WIDTH)) + 0.3
    raw = raw - raw.mean(axis=1, keepdims=True) if layer_norm else raw
    return np.asarray(raw / np.sqrt((raw**2).mean(axis=1, keepdims=True)))


def log_probs(hidden: Doubles, shift: Doubles | None = None) -> Doubles:
    logits = hidden @ MATRIX.T + (0 if shift is None else MATRIX @ shift)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def width_of(answers: Doubles) -> int | Undefined:
    columns = centred(answers)
    return hidden_width(spectrum(columns)[0], *columns.shape)


@pytest.mark.parametrize("n", [WIDTH + BEYOND, 60, 300])
def test_singular_values_are_numpys_on_the_true_logits(n: int) -> None:
    hidden = states(n)
    true = (MATRIX - MATRIX.mean(axis=0)) @ hidden.T
    oracle = np.linalg.svd(true, compute_uv=False)
    columns = centred(log_probs(hidden))
    found, right = spectrum(columns)
    assert len(found) == min(n, TOKENS - 1)
    np.testing.assert_allclose(found[:WIDTH], oracle[:WIDTH], rtol=1e-9)
    assert width_of(log_probs(hidden)) == WIDTH
    basis = span(columns, found, right, WIDTH)
    np.testing.assert_allclose(basis.T @ basis, np.eye(WIDTH), atol=1e-9)
    assert linear_error(MATRIX - MATRIX.mean(axis=0), basis) < 1e-9


def test_the_normaliser_adds_a_dimension_unless_it_is_taken_out() -> None:
    answers = log_probs(states(200))
    assert np.linalg.matrix_rank(answers) == WIDTH + 1
    assert np.linalg.matrix_rank(centred(answers)) == WIDTH
    assert np.linalg.matrix_rank(answers - answers[:, :1]) == WIDTH


def test_behind_a_layer_norm_the_shift_supplies_the_last_dimension() -> None:
    shift = np.linspace(-0.1, 0.2, WIDTH)
    answers = centred(log_probs(states(200, layer_norm=True), shift))
    assert width_of(log_probs(states(200, layer_norm=True), shift)) == WIDTH
    assert np.linalg.matrix_rank(answers - answers.mean(axis=1, keepdims=True)) == WIDTH - 1
    plain = centred(log_probs(states(200)))
    assert np.linalg.matrix_rank(plain - plain.mean(axis=1, keepdims=True)) == WIDTH


@pytest.mark.parametrize("n", [1, 5, WIDTH, WIDTH + BEYOND - 1])
def test_too_few_queries_find_nothing(n: int) -> None:
    assert isinstance(width_of(log_probs(states(n))), Undefined)


@pytest.mark.parametrize("size", [0.5, 3.0, 30.0])
def test_noise_beyond_the_smallest_direction_hides_the_width(size: float) -> None:
    hidden = states(200) @ np.diag(np.geomspace(3, 0.05, WIDTH))
    assert width_of(log_probs(hidden)) == WIDTH
    noise = np.random.default_rng(7).standard_normal((200, TOKENS))
    assert isinstance(width_of(log_probs(hidden) + size * noise), Undefined)
    assert isinstance(width_of(np.round(log_probs(hidden) / 4)), Undefined)


def test_pure_noise_and_constant_answers_have_no_width() -> None:
    assert isinstance(width_of(np.random.default_rng(8).standard_normal((200, TOKENS))), Undefined)
    assert isinstance(width_of(np.full((200, TOKENS), -3.0)), Undefined)


def test_spanning_more_than_the_truth_is_no_recovery() -> None:
    assert linear_error(MATRIX, MATRIX @ RNG.standard_normal((WIDTH, WIDTH))) < 1e-9
    assert linear_error(MATRIX, np.eye(TOKENS)) > 0.9
    assert linear_error(MATRIX, MATRIX[:, :-1]) > 0.1
    assert linear_error(MATRIX, RNG.standard_normal((TOKENS, WIDTH))) == pytest.approx(
        np.sqrt(1 - WIDTH / TOKENS), abs=0.03
    )


@pytest.mark.parametrize("direct", [0, sphere.DIRECT])
@pytest.mark.parametrize("spare", [0, 360])
def test_the_ellipsoid_gives_the_map_up_to_a_rotation(spare: int, direct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphere, "DIRECT", direct)
    rng, n = np.random.default_rng(9), points_needed(6) + spare
    around = rng.standard_normal((n, 6)) + np.array([3, 0, 0, 0, 1, 0])  # one side of the sphere only
    on_sphere = around / np.linalg.norm(around, axis=1, keepdims=True)
    true, centre = rng.standard_normal((6, 6)) @ np.diag([9, 3, 1, 1, 0.3, 0.1]), rng.standard_normal(6)
    found = ellipsoid(on_sphere @ true.T + centre)
    assert isinstance(found, Ellipsoid)
    exact = 1e-6
    assert rotation_error(true, found.axes) < exact
    np.testing.assert_allclose(found.centre, centre, atol=exact)


def test_no_ellipsoid_where_points_lie_on_none_or_are_too_few() -> None:
    rng = np.random.default_rng(10)
    assert isinstance(ellipsoid(rng.standard_normal((500, 6))), Undefined)
    few = rng.standard_normal((points_needed(6) - 1, 6))
    found = ellipsoid(few / np.linalg.norm(few, axis=1, keepdims=True))
    assert isinstance(found, Undefined)
    assert "too few" in found.reason
