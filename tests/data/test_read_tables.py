"""CSV and Parquet: inference, declared types, missing cells, and every refusal in one line or one list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import TabularSchema
from threatloop.data.sources import parse_source

TABLE: dict[str, list[Any]] = {
    "age": [20, 35, 50, 65, 41, 33],
    "weight": [50.5, 60.0, 70.25, 80.0, 64.0, 71.0],
    "town": ["B", " A", "A ", "C", "A", "B"],
    "member": [True, False, True, True, False, True],
    "code": ["007", "010", "007", "010", "010", "010"],
    "label": ["no", "yes", "no", "yes", "yes", "no"],
}


def write(folder: Path, **changes: list[Any]) -> Path:
    csv.write_csv(pa.table({**TABLE, **changes}), folder / "t.csv")
    return folder


def read(folder: Path, **options: Any) -> Any:
    return parse_source({"csv": "t.csv", "target": "label", **options}).read(folder)


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, **options)
    return str(caught.value)


def kinds(loaded: Any) -> dict[str, str]:
    assert isinstance(loaded.dataset.schema, TabularSchema)
    return {column.name: column.kind for column in loaded.dataset.schema.columns}


def test_types_are_inferred_and_reported(tmp_path: Path) -> None:
    loaded = read(write(tmp_path))
    expected = {"age": "integer", "weight": "numeric", "town": "categorical", "member": "categorical"}
    assert kinds(loaded) == {**expected, "code": "integer"}
    assert loaded.notes == (
        "inferred as categorical: town, member",
        "inferred as integer: age, code",
        "inferred as numeric: weight",
    )
    data, schema = loaded.dataset, loaded.dataset.schema
    assert schema.classes == ("no", "yes")
    np.testing.assert_array_equal(data.y, [0, 1, 0, 1, 1, 0])
    assert schema.columns[2].categories == ("A", "B", "C")
    np.testing.assert_array_equal(data.x[:, 2], [1, 0, 0, 2, 0, 1])
    np.testing.assert_array_equal(data.x[:, 1], TABLE["weight"])
    assert (schema.columns[0].low, schema.columns[0].high) == (20, 65)
    assert schema.columns[3].categories == ("true", "false")


def test_declared_types_win(tmp_path: Path) -> None:
    declared = {"code": "categorical", "age": "numeric", "member": "drop"}
    loaded = read(write(tmp_path), columns=declared)
    assert kinds(loaded) == {"age": "numeric", "weight": "numeric", "town": "categorical", "code": "categorical"}
    assert loaded.dataset.schema.columns[3].categories == ("010", "007")


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    from_csv = read(write(tmp_path), columns={"code": "categorical"})
    table = pa.table({**TABLE, "town": pa.array(TABLE["town"]).dictionary_encode()})
    parquet.write_table(table, tmp_path / "t.parquet")
    loaded = parse_source({"parquet": "t.parquet", "target": "label"}).read(tmp_path)
    assert loaded.dataset.digest == from_csv.dataset.digest


def test_numeric_targets_are_sorted_as_numbers(tmp_path: Path) -> None:
    loaded = read(write(tmp_path, label=[10, 9, 10, 9, 2, 2]))
    assert loaded.dataset.schema.classes == ("2", "9", "10")
    np.testing.assert_array_equal(loaded.dataset.y, [2, 1, 2, 1, 0, 0])


def test_missing_cells_are_an_error_that_names_columns_and_options(tmp_path: Path) -> None:
    write(tmp_path, town=["?", "A", "A", "", "A", "B"], age=[None, 35, 50, 65, 41, 33])
    message = refusal(tmp_path)
    assert "missing cells in 'age' (1), 'town' (2); set missing: drop, or category" in message
    assert "\n" not in message


def test_missing_drop_removes_rows_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, town=["?", "A", "A", "", "A", "B"])
    loaded = read(tmp_path, missing="drop")
    assert len(loaded.dataset) == 4
    assert "2 of 6 rows with missing cells dropped" in loaded.notes


def test_missing_category_keeps_rows_but_not_for_numbers(tmp_path: Path) -> None:
    write(tmp_path, town=["?", "A", "A", "", "A", "B"])
    column = read(tmp_path, missing="category").dataset.schema.columns[2]
    assert column.categories == ("A", "(missing)", "B")
    write(tmp_path, age=[None, 35, 50, 65, 41, 33], label=["no", None, "no", "yes", "yes", "no"])
    assert "cannot be a category, in 'age' (1), 'label' (1); set missing: drop" in refusal(tmp_path, missing="category")


def test_infinite_cells_are_located(tmp_path: Path) -> None:
    write(tmp_path, weight=["1", "2", "inf", "-inf", "5", "6"])
    assert "column 'weight': 2 NaN or infinite cells" in refusal(tmp_path)
    assert "(first at record 2)" in refusal(tmp_path)


def test_nan_in_parquet_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({**TABLE, "weight": [1.0, float("nan"), 3, 4, 5, 6]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"column 'weight': 1 NaN or infinite cells.*first at record 1"):
        parse_source({"parquet": "t.parquet", "target": "label"}).read(tmp_path)


def test_absent_target_suggests_the_nearest(tmp_path: Path) -> None:
    assert "target 'lable' is not a column; did you mean 'label'?" in refusal(write(tmp_path), target="lable")


def test_all_wrong_names_are_listed_at_once(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(Problems) as caught:
        read(tmp_path, columns={"agee": "numeric", "label": "categorical"})
    assert len(caught.value.problems) == 2
    assert "did you mean 'age'?" in caught.value.problems[0]


def test_free_text_must_be_declared(tmp_path: Path) -> None:
    remarks = [f"remark number {i}" for i in range(60)]
    numbers = list(range(60))
    table = pa.table({"n": numbers, "remark": remarks, "when": pa.array(numbers, pa.date32()), "label": [0, 1] * 30})
    parquet.write_table(table, tmp_path / "t.parquet")
    source = {"parquet": "t.parquet", "target": "label"}
    with pytest.raises(Problems) as caught:
        parse_source(source).read(tmp_path)
    text, date = caught.value.problems
    assert "column 'remark' looks like free text (60 different values in 60 rows); declare it 'drop'" in text
    assert "column 'when' holds date32[day]" in date
    loaded = parse_source({**source, "columns": {"remark": "categorical", "when": "drop"}}).read(tmp_path)
    assert len(loaded.dataset.schema.columns[1].categories) == 60  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({"label": ["no"] * 6}, {}, "single class 'no'"),
        ({"label": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]}, {}, "regression is not supported"),
        ({}, {"columns": {"town": "numeric"}}, "conversion error"),
        ({"weight": [1.5] * 6}, {"columns": {"weight": "integer"}}, "conversion error"),
        ({"age": [None] * 6}, {"missing": "drop"}, "nothing but missing cells in 'age'"),
        ({}, {"columns": dict.fromkeys(["age", "weight", "town", "member", "code"], "drop")}, "no columns beside"),
        ({"age": [2**30] * 6}, {"columns": {"age": "integer"}}, "float32 is not exact"),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, list[Any]], options: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(write(tmp_path, **changes), **options)


@pytest.mark.parametrize(
    "content", [b"", b"age,label\n1,2,3\n", b"age,label\n\xff\xfe,a\n", b"age,age,label\n1,2,a\n", b"age,label\n"]
)
def test_files_that_are_no_such_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    message = refusal(tmp_path)
    assert "csv t.csv: " in message
    assert "\n" not in message
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"parquet t.parquet: cannot be read"):
        parse_source({"parquet": "t.parquet", "target": "label"}).read(tmp_path)


def test_types_are_inferred_from_all_rows(tmp_path: Path) -> None:
    lines = ["1,a", "2,b"] * 200_000 + ["x,a"]
    (tmp_path / "t.csv").write_text("\n".join(["v,label", *lines]))
    assert kinds(read(tmp_path)) == {"v": "categorical"}


def test_adult(shared_data: Path) -> None:
    source = {"csv": "adult.csv", "target": "income-per-year"}
    with pytest.raises(InputError, match=r"'workclass' \(1836\), 'occupation' \(1843\), 'native-country' \(583\)"):
        parse_source(source).read(shared_data)
    loaded = parse_source({**source, "missing": "category"}).read(shared_data)
    numbers = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
    assert {name for name, kind in kinds(loaded).items() if kind == "integer"} == numbers
    assert {kind for name, kind in kinds(loaded).items() if name not in numbers} == {"categorical"}
    np.testing.assert_array_equal(np.bincount(loaded.dataset.y), [24720, 7841])
    assert loaded.dataset.schema.classes == ("<=50K", ">50K")
