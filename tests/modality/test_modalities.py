"""What all modalities promise, and the labelled ones' statistics against a naive float64 oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Column, ImageSchema, Schema, TabularSchema, TextSchema

IMAGE = ImageSchema(classes=("a", "b", "c"), channels=1, height=6, width=5)
TABLE = TabularSchema(
    classes=("a", "b", "c"),
    columns=(
        Column(name="size", low=-1.5, high=2.0),
        Column(name="rooms", kind="integer", low=1, high=9),
        Column(name="town", kind="categorical", categories=("x", "y", "z")),
    ),
)
TEXT = TextSchema(width=5)


def dataset(x: npt.NDArray[Any], schema: Schema, y: list[int] | None = None) -> Dataset:
    n = len(x)
    labels = np.zeros(n, dtype=np.int64) if y is None else np.array(y, dtype=np.int64)
    return Dataset(x, labels, schema, np.arange(n, dtype=np.int64))


def naive_log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.array([[v - np.log(sum(np.exp(w - max(row)) for w in row)) - max(row) for v in row] for row in logits])


@pytest.mark.parametrize("schema", [IMAGE, TABLE, TEXT])
def test_of_finds_the_modality_by_kind(schema: Schema) -> None:
    assert modality.of(schema).kind == schema.kind


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-12, 12), min_size=3, max_size=3), min_size=1, max_size=6), st.randoms())
def test_signal_and_losses_agree_with_naive_softmax(logits: list[list[float]], random: Any) -> None:
    scores = np.array(logits)
    y = [random.randrange(3) for _ in logits]
    data = dataset(np.zeros((len(y), 1, 6, 5), dtype=np.uint8), IMAGE, y)
    log_probs = naive_log_softmax(scores)
    p = np.exp(log_probs[np.arange(len(y)), y])
    kind = modality.of(IMAGE)
    answers = log_probs.astype(np.float32)
    np.testing.assert_allclose(kind.membership_signal(answers, data), np.log(p / (1 - p)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(kind.losses(answers, data), -np.log(p), rtol=1e-5, atol=1e-5)


def test_signal_keeps_its_order_where_probabilities_round_to_one_or_zero() -> None:
    logits = np.array([[0.0, 40, 0], [0.0, 60, 0], [200.0, 0, 0]])
    data = dataset(np.zeros((3, 1, 6, 5), dtype=np.uint8), IMAGE, [1, 1, 1])
    signal = modality.of(IMAGE).membership_signal(naive_log_softmax(logits).astype(np.float32), data)
    np.testing.assert_allclose(signal, [40 - np.log(2), 60 - np.log(2), -200], rtol=1e-6)


def test_signal_is_finite_where_answers_are_not() -> None:
    data = dataset(np.zeros((2, 1, 6, 5), dtype=np.uint8), IMAGE, [0, 1])
    answers = np.array([[0, -np.inf, -np.inf], [0, -np.inf, -np.inf]], dtype=np.float32)
    sure, wrong = modality.of(IMAGE).membership_signal(answers, data)
    assert np.isfinite([sure, wrong]).all()
    assert sure > 700
    assert wrong < -700


def test_answers_of_the_wrong_shape_are_refused() -> None:
    data = dataset(np.zeros((2, 1, 6, 5), dtype=np.uint8), IMAGE)
    with pytest.raises(InputError, match=r"need \(2, 3\)"):
        modality.of(IMAGE).losses(np.zeros((2, 4), dtype=np.float32), data)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([IMAGE, TABLE]), st.integers(1, 8))
def test_projection_and_encoding_are_idempotent(seed: int, schema: Any, n: int) -> None:
    rng = np.random.default_rng(seed)
    kind = modality.of(schema)
    shape = (1, 6, 5) if schema.kind == "image" else (3,)
    x = rng.normal(0, 4, size=(n, *shape)).astype(np.float32)
    valid = kind.project(x, schema)
    np.testing.assert_array_equal(kind.project(valid, schema), valid)
    assert kind.problems(dataset(valid, schema)) == []
    encoded = kind.encode(valid, schema)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(kind.encode(kind.project(valid, schema), schema), encoded)
    changed = np.abs(valid - x).max()
    assert changed > 0 or kind.problems(dataset(x, schema)) == []


@pytest.mark.parametrize("schema", [IMAGE, TABLE])
def test_noise_records_are_valid_varied_and_reproducible(schema: Schema) -> None:
    kind = modality.of(schema)
    noise = kind.noise_records(schema, 50, np.random.default_rng(1))
    assert kind.problems(dataset(noise, schema)) == []
    assert len(np.unique(noise.reshape(50, -1), axis=0)) == 50
    np.testing.assert_array_equal(noise, kind.noise_records(schema, 50, np.random.default_rng(1)))


@pytest.mark.parametrize("schema", [IMAGE, TABLE])
def test_start_points_are_within_bounds_and_wider_than_the_data(schema: Any) -> None:
    kind, rng = modality.of(schema), np.random.default_rng(2)
    auxiliary = dataset(kind.noise_records(schema, 400, rng), schema)
    start = kind.start_points(auxiliary, np.zeros(300, dtype=np.int64), rng)
    encoded = kind.encode(auxiliary.x, schema)
    assert start.shape == (300, *encoded.shape[1:])
    assert (start >= encoded.min(axis=0) - 0.1).all()
    assert (start <= encoded.max(axis=0) + 0.1).all()
    assert start[:, 0].std() > encoded[:, 0].std()


@pytest.mark.parametrize("schema", [IMAGE, TABLE])
def test_decoded_records_are_valid_and_undo_encoding(schema: Any) -> None:
    kind = modality.of(schema)
    records = kind.noise_records(schema, 20, np.random.default_rng(3))
    back = kind.decode(kind.encode(records, schema), schema)
    np.testing.assert_allclose(kind.encode(back, schema), kind.encode(records, schema))
    wild = np.random.default_rng(4).normal(0, 9, kind.encode(records, schema).shape).astype(np.float32)
    assert kind.problems(dataset(kind.decode(wild, schema), schema)) == []


@pytest.mark.parametrize("schema", [IMAGE, TABLE, TEXT])
def test_a_data_set_without_records_is_a_problem(schema: Any) -> None:
    kind = modality.of(schema)
    one = np.full((1, 5), 97, np.uint8) if schema is TEXT else kind.noise_records(schema, 1, np.random.default_rng(0))
    empty: npt.NDArray[Any] = one[:0]
    assert kind.problems(dataset(empty, schema)) == ["there are no records"]


def test_labels_out_of_range_are_named() -> None:
    data = dataset(np.zeros((3, 1, 6, 5), dtype=np.uint8), IMAGE, [0, 3, -1])
    (line,) = modality.of(IMAGE).problems(data)
    assert "2 labels are out of range (found -1, 3; first at record 1)" in line


@pytest.mark.parametrize("method", ["project", "insert_trigger", "watermark_view", "noise_records", "start_points"])
def test_what_text_cannot_do_is_not_assessable(method: str) -> None:
    kind, x, rng = modality.of(TEXT), np.full((2, 5), 97, dtype=np.uint8), np.random.default_rng(0)
    arguments: dict[str, tuple[Any, ...]] = {
        "project": (x, TEXT),
        "insert_trigger": (x, TEXT, 1),
        "watermark_view": (x, TEXT),
        "noise_records": (TEXT, 2, rng),
        "start_points": (dataset(x, TEXT), np.zeros(2, dtype=np.int64), rng),
    }
    with pytest.raises(NotAssessable):
        getattr(kind, method)(*arguments[method])


@pytest.mark.parametrize("method", ["watermark_view"])
def test_what_tables_cannot_do_is_not_assessable(method: str) -> None:
    with pytest.raises(NotAssessable, match="tabular"):
        getattr(modality.of(TABLE), method)(np.zeros((1, 3), dtype=np.float32), TABLE)
