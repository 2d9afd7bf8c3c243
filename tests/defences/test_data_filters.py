"""Filters of training data find what was planted, spare what is honest, and lose some of what hides."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from threatloop.algorithms.clustering import reduced, silhouette, smaller_half
from threatloop.algorithms.nearest import groups, nearest_distances, plurality
from threatloop.algorithms.sanitising import folds, suspects, whitened
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.attacks.data_to_model.blended import Blended
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.attacks.data_to_model.truth_serum import TruthSerum
from threatloop.core.assets import Architecture, Dataset, concatenate
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.defences.data.activation_clustering import ActivationClustering
from threatloop.defences.data.knn_filter import KnnFilter
from threatloop.defences.data.label_noise_filter import LabelNoiseFilter
from threatloop.defences.data.near_duplicates import NearDuplicates
from threatloop.defences.data.spectral_signatures import SpectralSignatures, outlyingness

STREAMS = Streams(11, ("filters",))
TRAINING = RecipeTraining(Architecture(name="mlp"), Recipe(epochs=20))
OWN, OFFERED = 630, 360
Mask = npt.NDArray[np.bool_]


@cache
def digits(split: int = 0) -> Dataset:
    data = Embedded(embedded="digits").read(Path()).dataset
    return data.take(STREAMS.numpy(f"order-{split}").permutation(len(data)))


@cache
def offer(attack: Any, split: int = 0) -> tuple[Dataset, Mask]:
    """What the attack makes of the contribution, and which of it is relabelled or added."""
    honest = digits(split).take(slice(OWN, OWN + OFFERED))
    if attack is None:
        return honest, np.zeros(OFFERED, np.bool_)
    targets = concatenate([honest.take(slice(0, 10)), digits(split).take(slice(1000, 1010))])
    crafted = attack.run(honest, Bench(STREAMS.child("attack"), {Resource.TARGETS: targets})).result
    planted = np.ones(len(crafted), np.bool_)
    planted[:OFFERED] = crafted.y[:OFFERED] != honest.y
    return crafted, planted


def removed(defence: Any, attack: Any, split: int = 0) -> tuple[float, float]:
    """Shares of what was planted and of the rest of the contribution that the filter takes out."""
    crafted, planted = offer(attack, split)
    data = concatenate([digits(split).take(slice(0, OWN)), crafted])
    trusted = np.arange(len(data)) < OWN
    out = ~defence.keep(data, trusted, TRAINING, STREAMS.child("filter"))
    assert not out[trusted].any()
    found = float(out[OWN:][planted].mean()) if planted.any() else float("nan")
    return found, float(out[OWN:][~planted].mean())


@pytest.mark.parametrize(
    ("defence", "attack", "least", "most"),
    [
        (LabelNoiseFilter(), LabelFlip(rate=0.3), 0.85, 0.08),
        (KnnFilter(), LabelFlip(rate=0.3), 0.9, 0.08),
        (SpectralSignatures(), BadNets(), 0.9, 0.15),
        (SpectralSignatures(), BadNets(rate=0.05), 0.9, 0.15),
        (SpectralSignatures(), Blended(), 0.9, 0.15),
        (ActivationClustering(), BadNets(), 0.85, 0.05),
        (ActivationClustering(criterion="size"), BadNets(), 0.85, 0.15),
        (ActivationClustering(criterion="silhouette"), BadNets(), 0.85, 0.1),
        (KnnFilter(), BadNets(), 0.9, 0.08),
        (NearDuplicates(), TruthSerum(targets=20, replicas=8), 0.9, 0.05),
    ],
)
def test_most_poison_goes_and_most_honest_records_stay(defence: Any, attack: Any, least: float, most: float) -> None:
    poison, honest = removed(defence, attack)
    assert poison >= least
    assert honest <= most


@pytest.mark.parametrize(
    ("defence", "most"),
    [
        (LabelNoiseFilter(), 0.05),
        (SpectralSignatures(), 0.15),
        (ActivationClustering(), 0.03),
        (KnnFilter(), 0.08),
        (NearDuplicates(), 0.01),
    ],
)
def test_an_honest_contribution_stays_nearly_whole(defence: Any, most: float) -> None:
    assert removed(defence, None)[1] <= most


@pytest.mark.parametrize("defence", [SpectralSignatures(), ActivationClustering()])
def test_poison_that_hides_is_found_less_often(defence: Any) -> None:
    plain = [removed(defence, BadNets(), split)[0] for split in range(3)]
    hidden = [removed(defence, BadNets().hidden()[0], split)[0] for split in range(3)]
    assert np.mean(hidden) < np.mean(plain) - 0.2


def test_the_plain_spectral_filter_removes_its_share_of_every_class() -> None:
    plain, data = SpectralSignatures(share=0.1, whitened=False, spare=0), offer(BadNets())[0]
    out = ~plain.keep(data, np.zeros(len(data), np.bool_), TRAINING, STREAMS)
    for label in range(10):
        mine = data.y == label
        assert out[mine].sum() == pytest.approx(0.15 * mine.sum(), abs=0.5 + 1e-9)


def test_outliers_lie_along_the_direction_of_the_planted_cluster() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(100, 8))
    points[:10, 3] += 12
    scores = outlyingness(points - points.mean(axis=0))
    assert set(np.argsort(-scores)[:10]) == set(range(10))
    values = np.linalg.eigvalsh(np.cov(points.T, bias=True))
    assert scores.mean() == pytest.approx(values[-1])


def test_whitened_classes_are_round_where_they_are_trusted() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 200)
    rows = rng.normal(size=(600, 5)) @ (np.diag(np.arange(1, 6)) + np.tri(5)) + 10 * labels[:, None]
    trusted = np.tile([True, True, True, False], 150)
    rows[~trusted & (labels == 0)] += 50
    found = whitened(rows.astype(np.float32), labels, trusted, STREAMS)
    inside = found[trusted]
    assert np.diag(inside.T @ inside / len(inside)) == pytest.approx(np.ones(5), abs=0.3)
    assert np.abs(inside[labels[trusted] == 0].mean(axis=0)).max() < 1e-4
    apart = np.linalg.norm(found, axis=1)
    assert apart[~trusted & (labels == 0)].min() > apart[trusted].max()


def test_two_clouds_are_divided_and_alike_records_are_not() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(60, 12))
    points[:15] += 8
    places = reduced(points, 3)
    small = smaller_half(places, 0)
    assert np.array_equal(small, np.arange(60) < 15)
    assert silhouette(places, small, 0) > 0.5
    same = reduced(np.ones((20, 4)), 3)
    assert not smaller_half(same, 0).any()
    assert silhouette(same, np.zeros(20, np.bool_), 0) == -1


def test_votes_and_distances_are_those_of_the_slow_way() -> None:
    rng = np.random.default_rng(3)
    rows, labels = rng.normal(size=(40, 3)).astype(np.float32), np.repeat([0, 1], [30, 10])
    voters, asked, k = np.arange(0, 40, 2), np.arange(0, 40, 3), 5
    sizes = np.bincount(labels[voters])
    found = plurality(rows, labels, asked, voters, k)
    for i, row in enumerate(asked):
        others = voters[voters != row]
        near = others[np.argsort(np.linalg.norm(rows[others] - rows[row], axis=1))[:k]]
        votes = [(labels[near] == c).sum() / sizes[c] for c in range(2)]
        assert found[i] == int(np.argmax(votes))
        everyone = np.delete(rows, row, axis=0)
        nearest = np.linalg.norm(everyone - rows[row], axis=1).min()
        assert nearest_distances(rows, asked)[i] == pytest.approx(nearest, abs=1e-3)


def test_groups_are_what_lies_within_reach() -> None:
    rows = np.array([[0, 0], [0.05, 0], [5, 5], [5, 5], [9, 0]], np.float32) + 100
    found = groups(rows, np.arange(5), 0.1)
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert len(np.unique(found)) == 3
    assert len(np.unique(groups(rows, np.arange(5), 0.0))) == 4
    assert len(np.unique(groups(np.zeros((30_000, 2), np.float32), np.arange(30_000), 0.0))) == 1


def test_of_duplicates_one_stays_and_none_where_labels_differ() -> None:
    data = digits().take(slice(0, 60))
    x = np.concatenate([data.x, data.x[:4], data.x[50:54], data.x[50:52]])
    y = np.concatenate(
        [data.y, data.y[:2], (data.y[2:4] + 1) % 10, data.y[50:52], (data.y[52:54] + 1) % 10, data.y[50:52]]
    )
    again = Dataset(x, y, data.schema, np.arange(len(y)))
    trusted = np.arange(len(y)) < 40
    out = ~NearDuplicates().keep(again, trusted, TRAINING, STREAMS)
    # Of 50 and 51 the first stays; 52 and 53 go with what contradicts them; trusted ones stay whatever is said of them.
    assert np.flatnonzero(out).tolist() == [52, 53, *range(60, 70)]


def test_everyone_is_suspect_where_all_are_trusted_and_folds_are_even() -> None:
    assert suspects(np.ones(4, np.bool_)).all()
    assert np.array_equal(suspects(np.array([True, False])), [False, True])
    labels = np.repeat([0, 1, 2], [10, 5, 5])
    found = folds(labels, 5, np.random.default_rng(0))
    for label, each in ((0, 2), (1, 1), (2, 1)):
        assert np.array_equal(np.bincount(found[labels == label], minlength=5), np.full(5, each))


def test_one_offered_record_is_too_few_for_folds() -> None:
    data = digits().take(slice(0, 30))
    with pytest.raises(NotAssessable, match="there are 1"):
        LabelNoiseFilter().keep(data, np.arange(30) > 0, TRAINING, STREAMS)
