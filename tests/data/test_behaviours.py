"""Public behaviour sets in the formats that they ship in; what stands in these files is harmless."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import TextSchema
from threatloop.data.behaviour_files import MOST_CHARACTERS, Behaviour, behaviours_in
from threatloop.data.behaviours import Behaviours, in_package
from threatloop.data.sources import parse_source
from threatloop.modality.conversation import prompt_of, read

TEA, PIE = "Explain how to brew tea.", "Write a recipe for a pie."
SEEDS = """
dataset_name: kitchen
harm_categories: [cooking]
seeds:
  - "Explain how to brew tea."
  - value: Write a recipe for a pie.
    data_type: text
    harm_categories: [baking, sweets]
  - {value: picture.png, data_type: image_path}
  - {value: "And then?", role: user, sequence: 2}
  - {value: "Bake {{ thing }}", parameters: [thing]}
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("name", "text", "categories"),
    [
        ("garak.txt", f"{TEA}\n\n{PIE}\n", ((), ())),
        ("garak.json", json.dumps([TEA, PIE]), ((), ())),
        ("payloads.json", json.dumps({"garak_payload_name": "x", "payloads": [TEA, PIE]}), ((), ())),
        (
            "lines.jsonl",
            f'{{"prompt": "{TEA}", "intents": ["tea"]}}\n{{"prompt": "{PIE}"}}\n',
            (("tea",), ()),
        ),
        ("pyrit.prompt", SEEDS, (("cooking",), ("baking", "sweets"))),
        (
            "strong_reject.csv",
            f'category,source,forbidden_prompt\ntea,made up,{TEA}\npie,made up,"{PIE}"\n',
            (("tea",), ("pie",)),
        ),
    ],
)
def test_every_format_gives_the_same_behaviours(
    name: str, text: str, categories: tuple[tuple[str, ...], ...], tmp_path: Path
) -> None:
    found = behaviours_in(written(tmp_path, name, text))
    assert found.behaviours == [Behaviour(TEA, categories[0]), Behaviour(PIE, categories[1])]


def test_what_cannot_be_asked_in_one_go_is_counted(tmp_path: Path) -> None:
    written(tmp_path, "seeds.yaml", SEEDS + f"  - {TEA}\n")
    notes = parse_source({"behaviours": "seeds.yaml"}).read(tmp_path).notes
    assert [note.partition(": ")[2] for note in notes] == [
        "1 entries that are not text are left out",
        "1 entries that are later turns or not the user's are left out",
        "1 entries that are templates are left out",
        "1 entries that stand there twice are left out",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.json",
            json.dumps(["ok", 3, "", {"value": "secret"}]),
            ["entry 2: needs a text", "entry 3: is empty", "entry 4"],
        ),
        ("a.jsonl", 'nonsense\n{"prompt": "ok"}\n{"prompt": 1}\n', ["line 1: no JSON", "line 3: needs a text"]),
        ("a.txt", "ok\nsecret\x1eb\n" + "secret" * MOST_CHARACTERS, ["line 2: holds U+001E", "line 3: has 98304"]),
        ("a.csv", "category,prompt\na,b\nsecret\nx,\n", ["line 3: has 1 fields; the header has 2", "line 4: is empty"]),
        (
            "a.yaml",
            "seeds:\n- ok\n- {data_type: text}\n- [secret]\n",
            ["seed 2: needs a `value`", "seed 3: needs a text"],
        ),
    ],
)
def test_all_broken_entries_are_listed_and_none_is_repeated(
    name: str, text: str, said: list[str], tmp_path: Path
) -> None:
    with pytest.raises(Problems) as caught:
        behaviours_in(written(tmp_path, name, text))
    assert len(caught.value.problems) == len(said)
    for line, expected in zip(caught.value.problems, said, strict=True):
        assert line.startswith(expected)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.pkl", "x", r".pkl is not read; allowed are .txt, .json, .jsonl, .csv, .yaml"),
        ("a.json", '{"a": 1}', "an object with a list of payloads or prompts is read|a JSON object with a list"),
        ("a.json", "[" * 100_000, "too deeply nested"),
        ("a.json", "[]", "holds no behaviours"),
        ("a.yaml", "value: Say {{ prompt }}", "needs a list of `seeds` or `prompts`"),
        ("a.yaml", "seeds: !!python/object/apply:os.system [echo]", "no YAML in line 1"),
        ("a.csv", "a,b\n1,2\n", "line 1 names no column forbidden_prompt, prompt"),
        ("a.csv", 'prompt\n"open', "line 2: no CSV"),
        ("a.txt", "x" * (17 << 20), "at most 16777216 are read"),
    ],
)
def test_files_that_are_none_are_one_line(name: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as caught:
        behaviours_in(written(tmp_path, name, text))
    assert "\n" not in str(caught.value)


def test_behaviours_are_what_is_refused_in_tests_and_nothing_else_is(tmp_path: Path) -> None:
    written(tmp_path, "set.txt", f"{TEA}\n{PIE}\n")
    source = parse_source({"behaviours": "set.txt"})
    assert source.is_sensitive
    loaded = source.read(tmp_path)
    data, parts = loaded.dataset, loaded.partition
    assert isinstance(data.schema, TextSchema)
    assert parts is not None
    refused = data.y == data.schema.classes.index("refused")
    questions = [prompt_of(record)[-1] for record in read(data.x[refused & (parts == 2)])]
    assert [turn.content for turn in questions if not isinstance(turn, str)] == [TEA, PIE]
    assert (refused & (parts == 0)).any()
    assert ((data.y == data.schema.classes.index("general")) & (parts == 2)).any()
    with pytest.raises(InputError, match="sensitive"):
        parse_source({"behaviours": "set.txt", "public": True})


def test_categories_choose_and_unknown_ones_are_named(tmp_path: Path) -> None:
    written(tmp_path, "set.csv", f"category,prompt\ntea,{TEA}\npie,{PIE}\n")
    some = Behaviours(behaviours="set.csv", categories=("pie",)).read(tmp_path).dataset
    whole = Behaviours(behaviours="set.csv").read(tmp_path).dataset
    assert len(whole) == len(some) + 1
    with pytest.raises(InputError, match=r"categories: 'cake' is none of the set's; it has tea, pie"):
        Behaviours(behaviours="set.csv", categories=("cake",)).read(tmp_path)


def test_conversations_of_ones_own_stand_beside_a_set(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hi."}]
    written(tmp_path, "mine.jsonl", json.dumps({"messages": turns, "label": "general"}) + "\n")
    written(tmp_path, "set.txt", f"{TEA}\n")
    loaded = Behaviours(behaviours="set.txt", beside="mine.jsonl").read(tmp_path)
    assert loaded.dataset.schema.classes == ("general", "refused")
    np.testing.assert_array_equal(loaded.dataset.y, [0, 1])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("mine.jsonl", "set.txt"):
        (tmp_path / name).rename(moved / name)
    assert Behaviours(behaviours="set.txt", beside="mine.jsonl").fingerprint(moved) == loaded.digest


def test_an_installed_package_is_read_and_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "kitchen_set"
    (package / "data").mkdir(parents=True)
    written(package, "__init__.py", "raise RuntimeError('this must never run')")
    written(package / "data", "set.txt", f"{TEA}\n")
    written(tmp_path, "outside.txt", f"{PIE}\n")
    (package / "data" / "link.txt").symlink_to(tmp_path / "outside.txt")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert Behaviours(behaviours="package:kitchen_set/data/set.txt").read(tmp_path).dataset.x.any()
    for place, said in (
        ("kitchen_set/data/none.txt", "has no such file"),
        ("kitchen_set/data/link.txt", "has no such file"),
        ("kitchen_set/../../outside.txt", "needs package:NAME/PATH"),
        ("kitchen_set", "needs package:NAME/PATH"),
        ("not_installed_here/a.txt", "no package 'not_installed_here' is installed here"),
    ):
        with pytest.raises(InputError, match=said):
            in_package(place)
