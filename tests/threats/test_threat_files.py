"""Bad files of a catalogue: every problem of every file at once, with the file and the threat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from threatloop.core.errors import Problems
from threatloop.threats.catalogue import read

REFERENCES = {"doe-2020-example": {"authors": "Doe", "year": 2020, "title": "An Example", "arxiv": "2001.00001"}}


def _threat(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": "some-threat",
        "name": "Some threat",
        "description": "The attacker does something and somebody is harmed.",
        "direction": "D→M",
        "stages": ["training"],
        "access": ["data contribution"],
        "assets": ["model behaviour"],
        "systems": ["images"],
        "techniques": ["AML.T0020"],
        "references": ["doe-2020-example"],
        "measured_by": ["badnets"],
        "controls": ["honest_contribution"],
    }
    row |= changes
    return {name: value for name, value in row.items() if value is not None}


def _write(folder: Path, *rows: Any, references: Any = REFERENCES) -> Path:
    (folder / "threats.yaml").write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    (folder / "references.yaml").write_text(json.dumps(references), encoding="utf-8")
    return folder


def test_good(tmp_path: Path) -> None:
    (found,) = read(_write(tmp_path, _threat()))
    assert found.year == 2020
    assert str(found.references[0]) == "Doe 2020, An Example, arXiv 2001.00001"


def test_without_a_direction(tmp_path: Path) -> None:
    because = "because a package attacks the machine"
    (found,) = read(_write(tmp_path, _threat(direction="none", no_direction=because)))
    assert found.direction is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Some Threat"}, "id: String should match"),
        ({"direction": None}, "direction: Field required"),
        ({"direction": "none"}, "give direction, or no_direction with the reason; not both"),
        ({"no_direction": "because of this"}, "give direction, or no_direction with the reason; not both"),
        ({"direction": "D→X"}, "direction: Input should be 'D→D', 'D→M', 'M→D' or 'M→M'"),
        ({"stages": ["holiday"]}, "stages.0: Input should be 'data preparation'"),
        ({"stages": ["training", "data preparation"]}, "stages: each once, in the lifecycle's order"),
        ({"stages": []}, "stages: Tuple should have at least 1 item"),
        ({"access": ["magic"]}, "access.0: Input should be 'labels', 'scores'"),
        ({"techniques": ["T0020"]}, "techniques.0: String should match"),
        ({"techniques": []}, "give techniques, or no_technique with the reason; not both"),
        ({"weaknesses": ["CWE-0"]}, "weaknesses.0: String should match"),
        ({"measured_by": ["badnet"]}, "measured_by: no attack 'badnet' in its catalogue (did you mean 'badnets'?)"),
        ({"defences": ["dpsgd"]}, "defences: no defence 'dpsgd' in its catalogue (did you mean 'dp_sgd'?)"),
        ({"measured_by": []}, "give measured_by, or not_measurable with the reason; not both"),
        ({"measured_by": [], "not_measurable": "we could not"}, "not_measurable: String should match"),
        ({"references": ["doe-2020-exampel"]}, "no reference 'doe-2020-exampel' in references.yaml (did you mean"),
        ({"references": []}, "references: Tuple should have at least 1 item"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"name": 7}, "name: Input should be a valid string"),
        (
            {"relations": [{"relation": "uses", "threat": "x", "why": "it can"}]},
            "must be enables, amplifies or precedes",
        ),
        ({"relations": [{"relation": "enables", "threat": "x", "why": "it can"}]}, "relations: no threat 'x'"),
        ({"relations": [{"relation": "enables", "threat": "some-threat", "why": "odd"}]}, "does nothing for itself"),
    ],
)
def test_bad_threat(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Problems) as caught:
        read(_write(tmp_path, _threat(**changes)))
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arxiv": "20010.1"}, "arxiv: String should match"),
        ({"arxiv": None}, "give arxiv, or venue for what is not on arXiv"),
        ({"venue": "Some Conference"}, "give arxiv, or venue for what is not on arXiv"),
        ({"year": "2020"}, "year: Input should be a valid integer"),
        ({"year": 20}, "year: Input should be greater than or equal to 1985"),
    ],
)
def test_bad_reference(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    row = {name: value for name, value in (REFERENCES["doe-2020-example"] | changes).items() if value is not None}
    with pytest.raises(Problems) as caught:
        read(_write(tmp_path, _threat(), references={"doe-2020-example": row}))
    assert f"references.yaml: doe-2020-example: {message}" in caught.value.problems[0]


def test_all_problems_of_all_files(tmp_path: Path) -> None:
    _write(tmp_path, _threat(direction="D→X", colour="red"), "a line", _threat(id="other", defences=["none"]))
    (tmp_path / "broken.yaml").write_text("- id: [", encoding="utf-8")
    (tmp_path / "mapping.yaml").write_text("id: x", encoding="utf-8")
    with pytest.raises(Problems) as caught:
        read(tmp_path)
    places = [problem.split(": ")[:2] for problem in caught.value.problems]
    assert places == [
        ["broken.yaml", "cannot be read"],
        ["broken.yaml", "must be a list of threats"],
        ["mapping.yaml", "must be a list of threats"],
        ["threats.yaml", "some-threat"],
        ["threats.yaml", "some-threat"],
        ["threats.yaml", "threat 2"],
        ["threats.yaml", "other"],
    ]


def test_taken_id(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"threats.yaml: some-threat: the id is taken"):
        read(_write(tmp_path, _threat(), _threat()))


def test_uncited_reference(tmp_path: Path) -> None:
    more = REFERENCES | {"roe-2021-other": REFERENCES["doe-2020-example"] | {"title": "Another"}}
    with pytest.raises(Problems, match=r"references.yaml: roe-2021-other: cited by no threat"):
        read(_write(tmp_path, _threat(), references=more))


def test_no_references(tmp_path: Path) -> None:
    (tmp_path / "threats.yaml").write_text(json.dumps([_threat()]), encoding="utf-8")
    with pytest.raises(Problems, match=r"references.yaml: cannot be read"):
        read(tmp_path)


def test_code_is_not_run(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "threats.yaml").write_text("- !!python/object/apply:os.system ['true']", encoding="utf-8")
    with pytest.raises(Problems, match="could not determine a constructor"):
        read(tmp_path)
