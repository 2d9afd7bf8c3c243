"""The run folder: written whole or not at all, read with one clear line for everything that can be wrong with it.

The layout is documented in ``docs/run-folder.md``; ``core/measurement.py`` fixes its version and the rows.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import TypeAdapter, ValidationError

from threatloop.core.errors import InputError
from threatloop.core.measurement import RUN_FOLDER_VERSION, Measurement, RunRecord
from threatloop.core.text_item import TextItem
from threatloop.runs.images import png_grid

RECORD: Final = "run.json"
MEASUREMENTS: Final = "measurements.parquet"
CURVES: Final = "curves.parquet"
RECORDS: Final = "records.parquet"
SPEC: Final = "spec.yaml"
GALLERY: Final = "gallery"
TEXTS: Final = "texts.json"

_TEXTS: Final = TypeAdapter(tuple[TextItem, ...])
_TEXT, _INTEGER, _NUMBER = pa.string(), pa.int64(), pa.float64()
_KINDS: Final = {"str": _TEXT, "int": _INTEGER, "float": _NUMBER, "float | None": _NUMBER, "bool": pa.bool_()}
_PLACE: Final = [
    ("target", _TEXT),
    ("scenario", _TEXT),
    ("arm", _TEXT),
    ("step", _INTEGER),
    ("lap", _INTEGER),
    ("seed", _INTEGER),
]
MEASUREMENT_SCHEMA: Final = pa.schema(
    [
        (name, _KINDS[about.annotation.__name__ if isinstance(about.annotation, type) else str(about.annotation)])
        for name, about in Measurement.model_fields.items()
    ]
)
"""One column per field of ``Measurement``, in its order."""
CURVES_SCHEMA: Final = pa.schema(
    [
        *_PLACE,
        ("metric", _TEXT),
        ("curve", _TEXT),
        ("x_name", _TEXT),
        ("y_name", _TEXT),
        ("x", _NUMBER),
        ("y", _NUMBER),
    ]
)
"""One row per point of a curve, in the order in which it is drawn."""
RECORDS_SCHEMA: Final = pa.schema([*_PLACE, ("record", _INTEGER), ("name", _TEXT), ("value", _NUMBER)])
"""One row per record and named value, such as ``member`` or ``score:lira_online``."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder as read.

    Attributes:
        path: where it lies.
        record: ``run.json``.
        rows: ``measurements.parquet``, one per figure and seed.
        curves: table with the columns of ``CURVES_SCHEMA``.
        records: table with the columns of ``RECORDS_SCHEMA``.
        texts: ``texts.json``; empty where no model wrote any.
    """

    path: Path
    record: RunRecord
    rows: tuple[Measurement, ...] = field(repr=False)
    curves: pa.Table = field(repr=False)
    records: pa.Table = field(repr=False)
    texts: tuple[TextItem, ...] = field(default=(), repr=False)


def write_run_folder(
    path: Path,
    record: RunRecord,
    rows: Sequence[Measurement],
    curves: pa.Table,
    records: pa.Table,
    gallery: Mapping[str, npt.NDArray[np.floating[Any]]] | None = None,
    texts: Sequence[TextItem] = (),
) -> None:
    """Write the folder beside its place and move it there at once; an older run folder in that place is replaced.

    Args:
        path: the folder; parents are made as needed.
        record: becomes ``run.json``; its ``spec`` becomes ``spec.yaml`` too.
        rows: become ``measurements.parquet``.
        curves: columns of ``CURVES_SCHEMA``; its empty table where there are none.
        records: columns of ``RECORDS_SCHEMA``.
        gallery: by ``GalleryItem.file``, images of shape (n, channels, height, width) in [0, 1]; drawn as PNG grids.
        texts: for the gallery of texts; no file is written where there are none.

    Raises:
        InputError: the place holds something that is not a run folder, cannot be written, or the disk is full.
    """
    refuse_foreign(path)
    images = {_safe_name(name): batch for name, batch in (gallery or {}).items()}
    if missing := sorted({item.file for item in record.gallery} - set(images)):
        raise InputError(f"run folder {path}: no images for the gallery file {missing[0]}; pass them by that name")
    with _replacing(path) as fresh:
        (fresh / RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")
        (fresh / SPEC).write_text(yaml.safe_dump(record.spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
        table = pa.Table.from_pylist([row.model_dump() for row in rows], schema=MEASUREMENT_SCHEMA)
        for name, columns in ((MEASUREMENTS, table), (CURVES, curves), (RECORDS, records)):
            pq.write_table(columns, fresh / name, compression="zstd")
        if texts:
            (fresh / TEXTS).write_bytes(_TEXTS.dump_json(tuple(texts), indent=1))
        for name, batch in images.items():
            file = fresh / GALLERY / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png_grid(batch))


def read_run_folder(path: Path) -> RunFolder:
    """Read and check a run folder.

    Raises:
        InputError: missing, not a run folder, written by a newer version, or damaged; one line.
    """
    record = _read_record(path)
    rows = _read_table(path / MEASUREMENTS, MEASUREMENT_SCHEMA).to_pylist()
    try:
        measurements = tuple(Measurement.model_validate(row) for row in rows)
    except ValidationError as error:
        raise InputError(f"{path / MEASUREMENTS}: {_first(error)}; run the audit again") from None
    curves = _read_table(path / CURVES, CURVES_SCHEMA)
    records = _read_table(path / RECORDS, RECORDS_SCHEMA)
    return RunFolder(path, record, measurements, curves, records, _read_texts(path / TEXTS))


def gallery_file(folder: Path, name: str) -> Path:
    """The path of a gallery image inside the run folder.

    Raises:
        InputError: the name leads out of the gallery, or there is no such file.
    """
    file = folder / GALLERY / _safe_name(name)
    if not file.is_file():
        raise InputError(f"{folder}: the gallery image {name!r} is missing; run the audit again")
    return file


def refuse_foreign(path: Path) -> None:
    """Raise InputError where ``path`` holds something that is neither a run folder nor empty: not ours to replace."""
    if path.is_dir():
        if (path / RECORD).is_file() or not any(path.iterdir()):
            return
        raise InputError(f"{path}: is not empty and not a run folder, so it is left alone; choose another --out")
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: is a file, and a run needs a folder; choose another --out")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A fresh folder beside ``path`` that takes its place when the block ends without an error, else is removed."""
    token = uuid.uuid4().hex[:12]
    fresh, old = (path.parent / f".{path.name}.{kind}-{token}" for kind in ("new", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _safe_name(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name:
        raise InputError(f"gallery file {name!r}: give a relative name without '..', such as digits-marked.png")
    return name


def _read_record(path: Path) -> RunRecord:
    if not path.exists():
        raise InputError(f"{path}: there is no such run folder; `threatloop audit --out {path}` writes one")
    file = path / RECORD
    if not file.is_file():
        raise InputError(f"{path}: is not a run folder (it holds no {RECORD})")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({str(error).splitlines()[0]}); run the audit again") from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{path}: is not a run folder ({RECORD} states no version)")
    if version > RUN_FOLDER_VERSION:
        raise InputError(
            f"{path}: written in layout {version} by a newer version; this one reads up to {RUN_FOLDER_VERSION}, so "
            "upgrade threatloop"
        )
    try:
        return RunRecord.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{file}: {_first(error)}; run the audit again") from None


def _read_texts(file: Path) -> tuple[TextItem, ...]:
    if not file.exists():
        return ()
    try:
        return _TEXTS.validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}); run the audit again") from None
    except ValidationError as error:
        raise InputError(f"{file}: {_first(error)}; run the audit again") from None


def _read_table(file: Path, schema: pa.Schema) -> pa.Table:
    if not file.is_file():
        raise InputError(f"{file.parent}: is not a whole run folder ({file.name} is missing); run the audit again")
    try:
        table = pq.ParquetFile(file, memory_map=True).read()
        if missing := [name for name in schema.names if name not in table.column_names]:
            raise InputError(f"{file}: the column {missing[0]} is missing; run the audit again")
        return table.select(schema.names).cast(schema)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(f"{file}: is damaged ({str(error).splitlines()[0]}); run the audit again") from None


def _first(error: ValidationError) -> str:
    worst = error.errors()[0]
    return f"{'.'.join(str(part) for part in worst['loc'])}: {worst['msg']}"
