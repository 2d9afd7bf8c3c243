"""The bytes: our safetensors writer and reader against the library's, and any artefact through the whole store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load as library_load
from safetensors.numpy import save as library_save

from threatloop.engine.storage.manifest import content_digest, json_text
from threatloop.engine.storage.payload import Array, Artefact, decode_arrays, encode, encode_arrays
from threatloop.engine.storage.store import Store

DTYPES = ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8"]
names = st.text(max_size=12).filter(lambda name: name != "__metadata__")
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
named_arrays = st.dictionaries(names, arrays, max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
metas = st.dictionaries(st.text(), json_values, max_size=4)


def assert_same(got: dict[str, Array], expected: dict[str, Array]) -> None:
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        assert got[name].tobytes() == array.tobytes()


def joined(values: dict[str, Array]) -> bytes:
    return b"".join(bytes(chunk) for chunk in encode_arrays(values))


@settings(deadline=None)
@given(named_arrays)
def test_the_library_reads_what_we_write(values: dict[str, Array]) -> None:
    assert_same(library_load(joined(values)), values)


@settings(deadline=None)
@given(named_arrays)
def test_we_read_what_the_library_writes(values: dict[str, Array]) -> None:
    assert_same(decode_arrays(library_save(values)), values)


@settings(max_examples=60, deadline=None)
@given(named_arrays, metas, st.text(alphabet="0123456789abcdef", min_size=16, max_size=64), st.booleans())
def test_any_artefact_survives_the_store(
    tmp_path_factory: pytest.TempPathFactory,
    values: dict[str, Array],
    meta: dict[str, Any],
    key: str,
    mmap: bool,
) -> None:
    store = Store(str(tmp_path_factory.mktemp("store")))
    store.put(key, Artefact(values, meta), {"seed": 1})
    got = store.get(key, mmap=mmap)
    assert_same(dict(got.arrays), values)
    assert got.meta == meta


@settings(deadline=None)
@given(named_arrays)
def test_arrays_are_aligned_and_writable_and_the_order_of_names_is_irrelevant(
    values: dict[str, Array],
) -> None:
    data = joined(values)
    assert data == joined(dict(reversed(values.items())))
    for array in decode_arrays(bytearray(data)).values():
        assert array.flags.aligned
        assert array.flags.writeable


def test_odd_memory_layouts_are_stored_by_value() -> None:
    base = np.arange(24, dtype=np.int32).reshape(4, 6)
    odd = {"t": base.T, "step": base[::2, ::-1], "big": base.astype(">i4"), "f": np.asfortranarray(base)}
    got = decode_arrays(joined(odd))
    for name, array in odd.items():
        np.testing.assert_array_equal(got[name], array)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_value_error(data: bytes) -> None:
    try:
        got = decode_arrays(data)
    except ValueError:
        return
    assert len(data) >= 8
    assert sum(array.nbytes for array in got.values()) <= len(data)


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype":"F32","shape":[2],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}',
        '{"dtype":"F32","shape":[-1],"data_offsets":[4,0]}',
        '{"dtype":"O","shape":[1],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[1]}',
        "[]",
    ],
)
def test_headers_that_lie_are_refused(entry: str) -> None:
    header = f'{{"x":{entry}}}'.encode()
    with pytest.raises(ValueError, match=r"header entry|place does not fit"):
        decode_arrays(len(header).to_bytes(8, "little") + header + b"\0" * 4)


@settings(deadline=None)
@given(metas)
def test_the_digest_ignores_the_order_of_meta_but_no_value(meta: dict[str, Any]) -> None:
    assert content_digest((), meta) == content_digest((), dict(reversed(meta.items())))
    assert content_digest((), meta) != content_digest((), meta | {"added": len(meta)} | {"more": meta})


def test_tuples_become_lists_and_payload_sizes_are_exact() -> None:
    assert json_text("meta", {"b": (1, 2), "a": []}) == b'{"a":[],"b":[1,2]}'
    values = {"x": np.zeros((3, 5), np.float32)}
    (payload,) = encode(Artefact(values))
    assert payload.size == sum(len(bytes(chunk)) for chunk in payload.chunks) == len(joined(values))
