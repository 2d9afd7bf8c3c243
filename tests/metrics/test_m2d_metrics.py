"""Grading membership and inversion: against oracles, with copies, strangers, touched records and tilted splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from threatloop.algorithms.fit import fit
from threatloop.attacks.data_to_model.label_flip import LabelFlip
from threatloop.attacks.model_to_data.lira import Lira
from threatloop.core.assets import Architecture, Dataset, Evidence
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.metric import Case, Graded
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.metrics.inversion import Inversion
from threatloop.metrics.membership import Membership

Values = Mapping[str, float | None]


def digits() -> Dataset:
    raw = load_digits()
    schema = ImageSchema(classes=tuple("0123456789"), channels=1, height=8, width=8)
    x = np.rint(raw.images * (255 / 16)).astype(np.uint8)[:, None]
    return Dataset(x, raw.target.astype(np.int64), schema, np.arange(len(x)))


DATA = digits().take(np.random.default_rng(0).permutation(1797))


def values(graded: Graded) -> Values:
    return {reading.metric: reading.value for reading in graded.readings}


def membership(
    score: npt.NDArray[np.float64],
    candidates: Dataset,
    members: Dataset,
    touched: list[int] | None = None,
    seed: int = 0,
) -> Graded:
    truths: dict[str, Any] = {
        "outcome": Evidence({"score": score}),
        "candidates": candidates,
        "members": members,
    }
    return Membership().grade(Case(truths, Lira(), Streams(seed), facts={"touched": touched or []}))


def test_area_and_curve_agree_with_scikit_learn() -> None:
    score = np.random.default_rng(1).normal(size=600) + np.where(np.arange(600) < 300, 0.5, 0)
    graded = membership(score, DATA.take(slice(0, 600)), DATA.take(slice(0, 300)))
    found = graded.readings[0]
    assert found.metric == "membership"
    assert found.value == pytest.approx(roc_auc_score(np.arange(600) < 300, score))
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert 0.5 < found.low < found.value < found.high < 1
    curve = graded.curves["roc"]
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(found.value)
    assert graded.records["member"].sum() == 300


def test_low_rates_are_unresolved_with_few_nonmembers_and_resolved_with_many() -> None:
    rng = np.random.default_rng(2)
    few = values(membership(rng.normal(size=600), DATA.take(slice(0, 600)), DATA.take(slice(0, 300))))
    assert few["membership.tpr_at_1pct"] is None
    score = np.where(np.arange(1700) < 500, 3.0, 0) + rng.normal(size=1700)
    many = values(membership(score, DATA.take(slice(0, 1700)), DATA.take(slice(0, 500))))
    assert many["membership.tpr_at_1pct"] is not None
    assert many["membership.tpr_at_1pct"] > 0.5
    assert many["membership.tpr_at_01pct"] is None


def test_touched_made_and_unasked_records_are_left_out() -> None:
    candidates, members = DATA.take(slice(0, 400)), DATA.take(slice(0, 200))
    ids = candidates.ids.copy()
    ids[399] = -1
    candidates = Dataset(candidates.x, candidates.y, candidates.schema, ids)
    score = np.where(np.arange(400) < 200, 1.0, 0.0)
    score[50:100] = -5.0  # touched members that would spoil the area
    score[398] = np.nan
    graded = membership(score, candidates, members, touched=[int(i) for i in ids[50:100]])
    assert values(graded)["membership"] == 1.0
    assert graded.readings[0].n == 400 - 50 - 2
    assert not set(ids[50:100]) & set(graded.records["record"])


def test_classes_that_a_poison_aims_at_are_graded_apart() -> None:
    candidates, members = DATA.take(slice(0, 600)), DATA.take(slice(0, 300))
    score = np.where((np.arange(600) < 300) & (candidates.y == 1), 1.0, 0.0)
    truths: dict[str, Any] = {
        "outcome": Evidence({"score": score}),
        "candidates": candidates,
        "members": members,
    }

    def graded(**flip: int) -> Values:
        return values(Membership().grade(Case(truths, Lira(), Streams(0), (LabelFlip(**flip),), facts={"touched": []})))

    assert graded(source=1, target=0)["membership.aimed_classes"] == 1.0
    assert graded(source=2, target=0)["membership.aimed_classes"] == 0.5
    assert "membership.aimed_classes" not in graded()


def test_one_kind_only_is_undefined_and_no_score_is_not_assessed() -> None:
    candidates = DATA.take(slice(0, 50))
    alone = membership(np.arange(50.0), candidates, candidates)
    assert values(alone)["membership"] is None
    assert "non-members" in alone.readings[0].undefined
    with pytest.raises(NotAssessable):
        membership(np.full(50, np.nan), candidates, candidates.take(slice(0, 25)))
    with pytest.raises(InputError, match="one `score` each"):
        membership(np.zeros(3), candidates, candidates.take(slice(0, 25)))


MEMBERS, NONMEMBERS, HELD = (DATA.take(slice(600 * i, 600 * i + 590)) for i in range(3))
EVALUATOR = fit(
    Architecture(name="mlp", parameters={"hidden": [32]}), DATA, Recipe(epochs=15), Streams(3, ("evaluator",))
)


def inversion(outcome: Dataset, members: Dataset = MEMBERS) -> Graded:
    truths: dict[str, Any] = {
        "outcome": outcome,
        "members": members,
        "nonmembers": NONMEMBERS,
        "evaluator": EVALUATOR,
        "held": HELD,
    }
    return Inversion().grade(Case(truths, Lira(), Streams(0)))


def some(data: Dataset, per_class: int = 4) -> Dataset:
    rows = np.concatenate([np.flatnonzero(data.y == label)[:per_class] for label in range(10)])
    return Dataset(data.x[rows], data.y[rows], data.schema, np.full(len(rows), -1))


def test_copied_members_are_the_worst_case() -> None:
    # Every member must be in the reference: leave as many of each class as the smallest one has.
    size = int(np.bincount(MEMBERS.y).min())
    members = MEMBERS.take(np.concatenate([np.flatnonzero(MEMBERS.y == label)[:size] for label in range(10)]))
    found = values(inversion(some(members), members))
    assert found["inversion"] == pytest.approx(1.0, abs=1e-2)
    assert found["inversion.distance"] == pytest.approx(0.0, abs=1e-2)
    assert found["inversion.accuracy"] == 1.0
    assert found["inversion.member_share"] == 1.0


def test_fresh_records_resemble_their_class_but_no_member() -> None:
    found = inversion(some(HELD))
    got = values(found)
    assert got["inversion"] is not None
    assert 0.1 < got["inversion"] < 0.5
    assert got["inversion.distance"] == pytest.approx(1.0, abs=0.15)
    assert got["inversion.mean_distance"] == pytest.approx(1.0, abs=0.15)
    share = found.readings[4]
    assert share.low is not None
    assert share.high is not None
    assert share.low < 0.5 < share.high


def test_wrong_labels_and_noise_have_no_advantage() -> None:
    fresh = some(HELD)
    wrong = values(inversion(fresh.with_y((fresh.y + 1) % 10)))
    assert wrong["inversion"] is not None
    assert wrong["inversion"] < -0.1
    assert wrong["inversion.accuracy"] == pytest.approx(0.0, abs=0.1)
    noise = np.random.default_rng(0).integers(0, 256, size=fresh.x.shape).astype(np.uint8)
    nothing = values(inversion(fresh.with_x(noise)))
    assert nothing["inversion"] == pytest.approx(0.0, abs=0.07)
    assert nothing["inversion.distance"] is not None
    assert nothing["inversion.distance"] > 2


def test_distances_agree_with_a_plain_oracle() -> None:
    size = int(np.bincount(MEMBERS.y).min())
    members = MEMBERS.take(np.concatenate([np.flatnonzero(MEMBERS.y == label)[:size] for label in range(10)]))
    outcome = some(HELD, 1)
    got = inversion(outcome, members).records
    pixels = members.x.reshape(len(members), -1) / 255.0
    for i, record in enumerate(outcome.x.reshape(10, -1) / 255.0):
        away = np.linalg.norm(pixels - record, axis=1) / pixels.std()
        assert got["own"][i] == pytest.approx(away[members.y == i].min(), rel=1e-3)
        assert got["other"][i] == pytest.approx(away[members.y != i].min(), rel=1e-3)


def test_the_gallery_shows_recovered_nearest_and_guess_side_by_side() -> None:
    gallery = inversion(some(HELD)).gallery
    assert set(gallery) == {"recovered", "nearest_member", "held_class_mean"}
    assert {batch.shape for batch in gallery.values()} == {(40, 1, 8, 8)}
    assert all(0 <= batch.min() <= batch.max() <= 1 for batch in gallery.values())


def test_without_two_classes_there_is_no_advantage_to_measure() -> None:
    one = MEMBERS.take(MEMBERS.y == 3)
    with pytest.raises(NotAssessable, match="two classes"):
        inversion(some(HELD), one)
