"""What the attacks on encodings are made of, against planted truths and slow, obvious implementations."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from encoded_world import smooth
from threatloop.algorithms.encodings import SignedMap, cut
from threatloop.algorithms.inverse_network import NetworkRecipe, fit_inverse
from threatloop.algorithms.jigsaw_puzzle import orders, puzzle
from threatloop.algorithms.known_map import read_map
from threatloop.algorithms.picture_prior import fit_prior
from threatloop.algorithms.pixel_signs import states_of
from threatloop.algorithms.signed_matching import Graphs, match, random_starts, signed_assignment
from threatloop.algorithms.unmixing import find_blends, unmix


def all_signed(d: int) -> list[npt.NDArray[np.float64]]:
    signs = list(product((1.0, -1.0), repeat=d))
    return [np.eye(d)[list(p)] * np.array(s)[:, None] for p in permutations(range(d)) for s in signs]


def test_matching_finds_the_best_of_all_signed_permutations() -> None:
    rng = np.random.default_rng(0)
    known, single = rng.standard_normal((2, 4, 4)), 0.1 * rng.standard_normal((4, 4))
    truth = signed_assignment(rng.standard_normal((4, 4)))
    graphs = Graphs(known, truth.T @ known @ truth, single)
    every = all_signed(4)
    best = max(graphs.value(p) for p in every)
    found, value = match(graphs, random_starts(4, 40, single, rng))
    assert value == graphs.value(found)
    assert abs(value - best) < 1e-9
    assert np.array_equal(np.abs(found).sum(axis=0), np.ones(4))


def test_signed_assignment_is_the_best_for_a_linear_score() -> None:
    score = np.random.default_rng(1).standard_normal((4, 4))
    every = all_signed(4)
    assert abs((score * signed_assignment(score)).sum() - max((score * p).sum() for p in every)) < 1e-9


def test_a_map_is_read_off_pairs_and_survives_lossy_storage() -> None:
    rng = np.random.default_rng(2)
    plain = rng.integers(0, 250, (60, 30)).astype(np.uint8)
    truth = SignedMap(rng.permutation(30), rng.random(30) < 0.5)
    coded = truth.apply(plain)
    for seen in (coded, np.clip(coded + rng.integers(-3, 4, coded.shape), 0, 255).astype(np.uint8)):
        found = read_map(plain, seen, 255)
        assert np.array_equal(found.index, truth.index)
        assert np.array_equal(found.negate, truth.negate)
    assert np.array_equal(truth.invert(coded), plain)


def test_a_jigsaw_of_one_smooth_picture_is_put_together() -> None:
    picture = smooth(1, 3, 24).x.astype(np.float32) - 127.5
    side, rng = 8, np.random.default_rng(3)
    plain = cut(picture, side).reshape(9, 3, side, side)
    order = rng.permutation(9)
    pieces = np.stack([np.rot90(plain[i], int(rng.integers(4)), axes=(1, 2)) * rng.choice([-1, 1]) for i in order])
    placed, cost = puzzle(pieces[:, None].astype(np.float32), (3, 3), orders(3, True)).solve()
    where = {int(order[state // (8 * 6 * 2)]): cell for cell, state in placed.items()}
    for i, j in product(range(9), repeat=2):
        apart = abs(i // 3 - j // 3) + abs(i % 3 - j % 3)
        assert apart == abs(where[i][0] - where[j][0]) + abs(where[i][1] - where[j][1])
    assert cost > 0


def test_a_piece_alone_is_solved() -> None:
    placed, cost = puzzle(np.zeros((1, 1, 1, 4, 4), np.float32), (1, 1), orders(1, True)).solve()
    assert list(placed) == [(0, 0)]
    assert cost == 0


def test_states_are_all_signed_permutations() -> None:
    assert len(states_of(1, True)) == 2
    assert len({state.tobytes() for state in states_of(3, True)}) == 48
    assert np.array_equal(states_of(3, True)[0], np.eye(3))


def test_a_prior_knows_its_own_images_from_others() -> None:
    images = smooth(700, 1, 8).x.reshape(700, -1).astype(np.float32)
    prior, held = fit_prior(images[:600]), images[600:]
    own = prior.misfit(held).mean()
    assert prior.misfit(255 - held).mean() > 1.2 * own
    assert prior.misfit(held[:, np.random.default_rng(0).permutation(64)]).mean() > 5 * own
    constant = fit_prior(np.zeros((3, 1, 2, 2), np.float32))
    assert np.isfinite(constant.misfit(np.ones((1, 4), np.float32))).all()


def test_the_inverse_network_learns_what_is_there_and_nothing_from_noise() -> None:
    rng = np.random.default_rng(4)
    plain = rng.random((400, 16)).astype(np.float32)
    signs = rng.choice([-1, 1], (400, 16))
    hidden = ((plain * signs + 1) / 2).astype(np.float32)  # only sizes survive
    found = fit_inverse(hidden, plain, NetworkRecipe(50), 0)
    assert found.loss_last < 0.1 * found.loss_first
    nothing = fit_inverse(rng.random((400, 16)).astype(np.float32), plain, NetworkRecipe(50), 0)
    assert 0.9 * nothing.loss_first < nothing.loss_last <= nothing.loss_first


def test_blends_are_found_and_solved_from_good_guesses() -> None:
    rng = np.random.default_rng(5)
    records = rng.uniform(-1, 1, (60, 200)).astype(np.float32)
    partner = (np.arange(60) + rng.integers(1, 60, 60)) % 60
    sizes = np.abs(0.6 * records + 0.4 * records[partner])
    guess = records + 0.3 * rng.standard_normal(records.shape).astype(np.float32)
    found = find_blends(sizes, guess, 2)
    assert (found.who[:, 1] == partner).mean() > 0.95
    solved = unmix(sizes, guess, 0.09, 2, 3)
    assert ((solved - records) ** 2).mean() < 0.5 * ((guess - records) ** 2).mean()
