"""Roles of a seed: disjoint, each class in proportion, and never more than the records there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import Column, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.engine.operations.shadows import balanced_masks
from threatloop.engine.operations.split import SMALLEST_ROLE, split, stratified
from threatloop.engine.products import Loaded, Product, Split
from threatloop.engine.task import Ref, Task

SHARE = st.floats(0.15, 0.3)


def roles(counts: list[int], shares: tuple[float, float, float], seed: int, members: Any = None) -> dict[str, Any]:
    y = np.repeat(np.arange(len(counts)), counts)
    schema = TabularSchema(classes=tuple(map(str, range(len(counts)))), columns=(Column(name="a"),))
    data = Dataset(np.zeros((len(y), 1), np.float32), y.astype(np.int64), schema, np.arange(len(y)))
    partition = np.full(len(y), -1 if members is None else 2, np.int8)
    if members is not None:
        partition[members] = 0
    config = {
        "shares": dict(zip(("own", "contribution", "pool"), shares, strict=True)),
        "fixed_members": members is not None,
    }
    task = Task("split", config, {"data": Ref("0" * 40)}, Streams(seed, ("seed-0",)))
    found = split(task, {"data": Product(Loaded(data, partition))}).value
    assert isinstance(found, Split)
    return {**found.roles, "labels": y}


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(40, 120), min_size=2, max_size=5),
    shares=st.tuples(SHARE, SHARE, SHARE),
    seed=st.integers(0, 2**32),
)
def test_roles_are_disjoint_and_stratified(counts: list[int], shares: tuple[float, float, float], seed: int) -> None:
    found = roles(counts, shares, seed)
    y, n = found["labels"], sum(counts)
    main = [found[name] for name in ("own", "contribution", "pool", "test")]
    assert sorted(np.concatenate(main).tolist()) == list(range(n))
    for rows, share in zip(main, (*shares, 1 - sum(shares)), strict=True):
        assert abs(len(rows) - share * n) <= 4
        for c, count in enumerate(counts):
            assert abs(int((y[rows] == c).sum()) - share * count) <= 4
    own, contribution = main[:2]
    assert set(found["members"]) == set(own) | set(contribution)
    assert not set(found["nonmembers"]) & set(found["members"])
    inside = np.isin(found["candidates"], found["members"])
    assert inside.sum() == (~inside).sum() == min(len(found["members"]), n - len(found["members"]))
    assert len(set(found["candidates"].tolist())) == len(found["candidates"])


def test_a_seed_redraws_the_split_and_the_same_seed_repeats_it() -> None:
    first, again, other = (roles([60, 60], (0.3, 0.2, 0.25), seed) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert set(first["own"]) != set(other["own"])


def test_named_members_stay_members_in_every_seed() -> None:
    members = np.arange(0, 200, 2)
    for seed in (1, 2):
        found = roles([100, 100], (0.3, 0.2, 0.25), seed, members)
        assert sorted(found["own"]) == sorted(found["members"]) == members.tolist()
        for name in ("contribution", "pool", "test", "nonmembers"):
            assert not set(found[name]) & set(members)


def test_too_few_records_for_a_role() -> None:
    with pytest.raises(InputError, match=f"every role needs {SMALLEST_ROLE}: bring more data"):
        roles([12, 12], (0.3, 0.2, 0.25), 0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.1, 0.9))
def test_stratified_parts_cover_everything_once(seed: int, share: float) -> None:
    y = np.repeat([0, 1], [30, 90]).astype(np.int64)
    parts = stratified(y, [share], np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))


@settings(max_examples=50, deadline=None)
@given(half=st.integers(1, 20), n=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_every_candidate_is_in_exactly_half_of_the_shadows(half: int, n: int, seed: int) -> None:
    masks = balanced_masks(2 * half, n, Streams(seed, ("shadows",)))
    assert masks.shape == (2 * half, n)
    assert (masks.sum(axis=0) == half).all()


def test_masks_differ_between_candidates_and_between_seeds() -> None:
    masks = balanced_masks(16, 50, Streams(0))
    assert len({column.tobytes() for column in masks.T}) > 40
    assert (masks != balanced_masks(16, 50, Streams(1))).any()
    assert (masks == balanced_masks(16, 50, Streams(0))).all()
