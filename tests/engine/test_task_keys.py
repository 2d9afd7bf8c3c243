"""A task's key is the name of its result: the same for the same work, another for anything that changes it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from threatloop.core.seeds import Streams
from threatloop.engine.task import Ref, Task

KEY = st.text("0123456789abcdef", min_size=40, max_size=40)
WORD = st.text(min_size=1, max_size=8)
SCALAR = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORD
)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3), max_leaves=8
)
REF = st.builds(Ref, KEY, st.sampled_from(["", "own", "test"]))
STREAMS = st.builds(Streams, st.integers(0, 2**40), st.lists(WORD, max_size=3).map(tuple))
TASKS = st.builds(
    Task,
    st.sampled_from(["act", "train", "grade"]),
    st.dictionaries(WORD, JSON, max_size=4),
    st.dictionaries(WORD, REF, max_size=3),
    STREAMS,
    st.lists(st.sampled_from(["threatloop.core.seeds", "threatloop.core.access"]), max_size=2).map(tuple),
    st.sampled_from(["", "torch-2.13/cpu/f32"]),
)


def reordered(value: Any) -> Any:
    """The same JSON value with every mapping written the other way round."""
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=100, deadline=None)
@given(task=TASKS)
def test_the_order_of_mappings_and_what_is_for_people_do_not_count(task: Task) -> None:
    same = Task(
        task.operation,
        reordered(dict(task.config)),
        reordered(dict(task.inputs)),
        Streams(task.streams.run_seed, tuple(task.streams.path)),
        tuple(reversed(task.sources)) * 2,
        task.profile,
        {"path": "/elsewhere"},
        "another label",
        {"training_passes": 1.0},
    )
    assert same.key == task.key


@settings(max_examples=100, deadline=None)
@given(task=TASKS, other=TASKS)
def test_any_change_changes_the_key(task: Task, other: Task) -> None:
    for name in ("operation", "config", "inputs", "streams", "profile"):
        changed = replace(task, **{name: getattr(other, name)})
        same = canonical(getattr(task, name)) == canonical(getattr(other, name))
        assert (changed.key == task.key) == same, name


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=lambda found: vars(found))


@settings(max_examples=50, deadline=None)
@given(task=TASKS, word=WORD, value=JSON)
def test_one_more_entry_changes_the_key(task: Task, word: str, value: Any) -> None:
    assume(word not in task.config)
    assert replace(task, config={**task.config, word: value}).key != task.key
    assert replace(task, config={"nested": task.config}).key != task.key


@settings(max_examples=100, deadline=None)
@given(task=TASKS)
def test_a_task_survives_its_journey_to_a_worker(task: Task) -> None:
    again = Task.from_json(task.to_json())
    assert again == task
    assert again.key == task.key
    # Recomputed, not only carried along.
    assert replace(again).key == task.key


def test_boundaries_between_the_parts_of_a_stream_count() -> None:
    first = Task("act", {}, streams=Streams(0, ("ab", "c")))
    second = Task("act", {}, streams=Streams(0, ("a", "bc")))
    assert first.key != second.key


def test_the_planners_key_holds_although_a_source_changed_since() -> None:
    task = Task("act", {}, sources=("threatloop.core.seeds",))
    text = json.loads(task.to_json())
    text["sources"] = ["threatloop.core.access"]
    assert Task.from_json(json.dumps(text)).key == task.key
