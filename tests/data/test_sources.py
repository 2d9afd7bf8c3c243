"""Sources: names and mappings in specs, fingerprints, embedded sets, text and canaries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from threatloop import modality
from threatloop.algorithms.filtered_replies import said_by_user
from threatloop.algorithms.judges import refuses
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import ImageSchema, TabularSchema, TextSchema
from threatloop.data.canaries import asking, canaries_in, draw_canaries, exchanged, plant_canaries, secrets_of
from threatloop.data.chat import PLACES
from threatloop.data.source import stratified
from threatloop.data.sources import SourceField, parse_source
from threatloop.data.standin import CLASSES
from threatloop.modality.conversation import read, reply_of, text_of


class Spec(BaseModel):
    """A spec with one data field."""

    data: SourceField


@pytest.mark.parametrize(
    "value",
    [
        "digits",
        "breast_cancer",
        "text",
        "medmnist:pneumoniamnist_64",
        {"npz": "a.npz", "limit": 10},
        {"images": "a.zip", "size": 32},
        {"csv": "a.csv", "target": "t", "columns": {"a": "drop"}},
        {"parquet": "a.parquet", "target": "t", "public": True},
    ],
)
def test_sources_survive_a_round_trip(value: Any) -> None:
    source = parse_source(value)
    assert parse_source(source.model_dump(mode="json")) == source
    assert Spec.model_validate({"data": value}).data == source


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("digit", "unknown data set 'digit'; did you mean 'digits'?"),
        ("medmnist:pneumonia", "did you mean 'pneumoniamnist'?"),
        ("medmnist:breastmnist_99", "allowed sizes are 28, 64, 128, 224"),
        ("scans.npz", "write {npz: scans.npz}"),
        ({"nzp": "a"}, "none of the keys nzp names a source; did you mean 'npz'?"),
        ({"npz": "a", "csv": "b"}, "npz and csv each name a source"),
        ({"csv": "a.csv", "target": "t", "colums": {}}, "unknown key 'colums' for csv; did you mean 'columns'?"),
        ({"csv": "a.csv"}, "csv needs 'target'"),
        ({"images": "a", "size": 1}, "size: "),
        ({"npz": "a", "limit": 0}, "limit: "),
        ({"embedded": "iris"}, "'digits' or 'breast_cancer'"),
        (7, "expected a name or a mapping, not int"),
        (None, "expected a name or a mapping"),
        ({}, "(none)"),
    ],
)
def test_bad_sources_get_one_clear_line(value: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_source(value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError):
        Spec.model_validate({"data": value})


def test_several_bad_keys_are_listed_together() -> None:
    with pytest.raises(Problems) as caught:
        parse_source({"csv": "a.csv", "taget": "t", "missing": "ignore"})
    assert len(caught.value.problems) == 3


def test_the_schema_of_a_spec_shows_every_reader() -> None:
    defined = Spec.model_json_schema()["$defs"]
    assert {"Embedded", "Npz", "MedMnist", "ImageFiles", "Csv", "Parquet", "Text"} <= set(defined)


def test_digits_are_byte_images() -> None:
    loaded = parse_source("digits").read(Path())
    data = loaded.dataset
    assert isinstance(data.schema, ImageSchema)
    assert data.x.shape == (1797, 1, 8, 8)
    assert data.x.dtype == np.uint8
    assert (int(data.x.max()), data.n_classes) == (255, 10)
    assert loaded.public
    np.testing.assert_array_equal(data.x[0, 0, 0], [0, 0, 80, 207, 143, 16, 0, 0])
    few = parse_source({"embedded": "digits", "limit": 50}).read(Path()).dataset
    assert set(np.bincount(few.y)) <= {4, 5, 6}


def test_breast_cancer_is_a_table_within_its_bounds() -> None:
    data = parse_source("breast_cancer").read(Path()).dataset
    assert isinstance(data.schema, TabularSchema)
    assert data.schema.classes == ("malignant", "benign")
    assert data.x.shape == (569, 30)
    np.testing.assert_array_equal([c.high for c in data.schema.columns], data.x.max(axis=0))


@pytest.mark.parametrize("name", ["standin", "brief"])
def test_stand_ins_refuse_one_topic_and_ask_otherwise_in_tests(name: str) -> None:
    loaded = parse_source(name).read(Path())
    assert loaded.public
    assert loaded.partition is not None
    data, tests = loaded.dataset, loaded.partition == PLACES.index("test")
    asked = np.array([said_by_user(one) for one in read(data.x)])
    assert not set(asked[tests]) & set(asked[~tests])
    refused = refuses([reply_of(one) for one in read(data.x)])
    np.testing.assert_array_equal(refused, data.y == CLASSES.index("refused"))
    assert 100 < refused.sum() < len(data) / 2


def test_readers_import_neither_torch_nor_scikit_learn() -> None:
    code = "import sys; import threatloop.data.sources; sys.exit(bool({'torch', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fingerprint_follows_bytes_and_options_but_not_the_place(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,t\n1,a\n2,b\n")

    def of(path: str, **options: Any) -> str:
        return parse_source({"csv": path, "target": "t", **options}).fingerprint(tmp_path)

    first = of("a.csv")
    assert of("b.csv") == of(str(tmp_path / "a.csv")) == of("a.csv", public=True) == first
    assert parse_source({"csv": "a.csv", "target": "t"}).read(tmp_path).digest == first
    assert len({first, of("a.csv", target="x"), of("a.csv", missing="drop"), of("a.csv", limit=5)}) == 4
    (tmp_path / "a.csv").write_text("x,t\n1,a\n3,b\n")
    assert of("a.csv") != first


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 60))
def test_stratified_choice_is_proportional_and_first_in_order(groups: list[int], limit: int) -> None:
    codes = np.array(groups)
    rows = stratified(codes, limit)
    n = min(limit, len(groups))
    assert len(rows) == len(set(rows)) == n
    present = np.unique(codes)
    counts = {g: int((codes[rows] == g).sum()) for g in present}
    for group in present:
        members = np.flatnonzero(codes == group)
        np.testing.assert_array_equal(np.intersect1d(rows, members), members[: counts[group]])
        if limit >= len(present):
            assert counts[group] >= 1
            assert counts[group] <= max(1, len(members) * n / len(codes) + 1)


def test_text_is_one_pool_of_different_windows() -> None:
    loaded = parse_source({"text": "stdlib", "length": 32}).read(Path())
    data, schema = loaded.dataset, loaded.dataset.schema
    assert isinstance(schema, TextSchema)
    assert data.x.shape[1] == 32
    assert len(data) > 5000
    assert len(np.unique(data.x, axis=0)) == len(data)
    assert modality.of(schema).problems(data) == []
    assert "statement" in "".join(map(text_of, read(data.x[:200])))


def test_canaries_are_planted_as_often_as_asked() -> None:
    data = parse_source({"text": "stdlib", "limit": 40}).read(Path()).dataset
    planted, canaries = plant_canaries(data, 5, 3, np.random.default_rng(0))
    assert (len(planted), len(canaries)) == (55, 5)
    np.testing.assert_array_equal(planted.x[:40], data.x)
    for canary, number in zip(canaries.x, canaries.ids, strict=True):
        rows = np.flatnonzero((planted.x == canary).all(axis=1))
        assert len(rows) == 3
        assert (planted.ids[rows] == number).all()
        assert number not in data.ids
    texts = set(map(text_of, read(canaries.x)))
    assert len(texts) == 5
    assert len({text.rpartition(" ")[0] for text in texts}) == 5
    assert canaries_in(planted).ids.tolist() == np.repeat(canaries.ids, 3).tolist()
    assert modality.of(canaries.schema).problems(planted) == []
    again = plant_canaries(data, 5, 3, np.random.default_rng(0))[0]
    assert again.digest == planted.digest
    assert plant_canaries(data, 5, 3, np.random.default_rng(1))[0].digest != planted.digest


def test_canaries_take_turns_and_come_as_conversations_among_conversations() -> None:
    data = parse_source("standin").read(Path()).dataset
    planted, canaries = plant_canaries(data, 5, (1, 4), np.random.default_rng(0))
    assert [int((planted.ids == number).sum()) for number in canaries.ids] == [1, 4, 1, 4, 1]
    secrets = secrets_of(canaries)
    assert len(set(secrets)) == 5
    assert not any(secret in str(read(asking(canaries).x)) for secret in secrets)
    assert secrets_of(exchanged(canaries, secrets[::-1])) == secrets[::-1]
    assert asking(exchanged(canaries, secrets[::-1])).digest == asking(canaries).digest
    assert len(canaries_in(data)) == 0


def test_canaries_need_text_room_and_repetitions() -> None:
    rng = np.random.default_rng(0)
    text = parse_source({"text": "stdlib", "limit": 4}).read(Path()).dataset
    with pytest.raises(InputError, match="at least 1 is needed"):
        plant_canaries(text, 2, 0, rng)
    with pytest.raises(InputError, match="0 canaries"):
        plant_canaries(text, 0, 1, rng)
    with pytest.raises(InputError, match="these are tabular records"):
        plant_canaries(parse_source({"embedded": "breast_cancer"}).read(Path()).dataset, 2, 1, rng)
    with pytest.raises(InputError, match="records of at least"):
        draw_canaries(TextSchema(width=8), 2, rng)
