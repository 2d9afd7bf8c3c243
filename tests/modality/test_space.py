"""The perturbation space, against a slow and obvious judge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Column, ImageSchema, TabularSchema, TextSchema
from threatloop.modality import of
from threatloop.modality.space import Norm, radius_problems

TABLE = TabularSchema(
    classes=("a", "b"),
    columns=(
        Column(name="years", kind="integer", low=0, high=20),
        Column(name="colour", kind="categorical", categories=("red", "green", "blue")),
        Column(name="free"),
        Column(name="fixed", low=0.0, high=4.0),
        Column(name="same", low=2.0, high=2.0),
    ),
)
X = np.array([[4, 0, 1.0, 2, 2], [6, 3, -1.0, 1, 2], [5, 2, 1.0, 0, 2], [5, 1, -1.0, 3, 2]], np.float32)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_distances_and_validity_on_a_table(norm: Norm) -> None:
    kind = of(TABLE)
    space = kind.space(TABLE, X, ("fixed",), 0.5)
    origin = kind.encode(X, TABLE)
    cases = [
        (np.array([[9, 0, 1.0, 2, 2]]), [0.25], True),
        (np.array([[4, 1, 1.0, 2, 2]]), [0.5], True),
        (np.array([[4, 1, 3.0, 2, 2]]), [0.5, 0.5], True),  # four standard deviations of 1 make one unit
        (np.array([[4.5, 0, 1.0, 2, 2]]), [0.025], False),
        (np.array([[21, 0, 1.0, 2, 2]]), [0.85], False),
        (np.array([[4, 0, 1.0, 3, 2]]), [], False),
        (np.array([[4, 3, 1.0, 2, 2]]), [0.5], False),  # no unseen category is made
        (np.array([[4, 0, 1.0, 2, 3]]), [], False),
    ]
    for record, parts, valid in cases:
        moved = kind.encode(record.astype(np.float32), TABLE)
        expected = max(parts, default=0.0) if norm == "linf" else math.sqrt(sum(part**2 for part in parts))
        assert space.distance(moved, origin[:1], norm)[0] == pytest.approx(expected, abs=1e-6)
        assert bool(space.valid(moved, origin[:1])[0]) is valid
    assert space.valid(origin, origin).all()
    assert np.array_equal(kind.decode(origin, TABLE), X)


def test_half_a_category_is_no_category() -> None:
    space, origin = of(TABLE).space(TABLE, X), of(TABLE).encode(X, TABLE)
    torn = origin.copy()
    torn[:, 1:4] = (0.5, 0.5, 0)
    both = origin.copy()
    both[:, 1:4] = (1, 1, 0)
    nan = origin.copy()
    nan[:, 0] = np.nan
    for moved in (torn, both, nan):
        assert not space.valid(moved, origin).any()


def test_reach_is_the_whole_range() -> None:
    image = ImageSchema(classes=("a", "b"), channels=3, height=4, width=2)
    assert of(image).space(image).reach("linf") == 1.0
    assert of(image).space(image).reach("l2") == pytest.approx(math.sqrt(24))
    bounded = of(TABLE).space(TABLE, X, ("free",))
    assert bounded.reach("linf") == 1.0
    assert bounded.reach("l2") == pytest.approx(math.sqrt(3))
    nothing = of(TABLE).space(TABLE, X, ("free", "fixed", "years", "colour"))
    assert nothing.reach("linf") == 0.0
    assert "leave at least one out" in radius_problems(nothing, "linf", None)[0]


def test_texts_have_no_ball() -> None:
    schema = TextSchema(width=4)
    with pytest.raises(NotAssessable, match="no ball around them"):
        of(schema).space(schema)


def test_images_beyond_their_bounds_are_invalid() -> None:
    schema = ImageSchema(classes=("a", "b"), channels=1, height=1, width=2)
    space = of(schema).space(schema)
    origin = np.full((3, 1, 1, 2), 0.5, np.float32)
    moved = origin + np.array([0.5, 0.6, -0.2], np.float32)[:, None, None, None]
    assert space.valid(moved, origin).tolist() == [True, False, True]
    assert space.within(moved, origin, "linf", 0.3).tolist() == [False, False, True]
