"""Attribute inference: what is memorised is found on members only, what the population tells is no leak."""

from __future__ import annotations

import numpy as np
import pytest
from attribute_world import COLOURS, World, build, table

from threatloop.algorithms.attribute_scores import csmia
from threatloop.algorithms.attributes import hidden, question
from threatloop.attacks.model_to_data.attribute_imputation import AttributeImputation
from threatloop.attacks.model_to_data.attribute_inference import AttributeInference
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import ImageSchema

NAME = "attribute_inference"


@pytest.fixture(scope="module")
def remembered() -> World:
    """The label has nothing to do with the colour, but the model has learned by heart what was trained on."""
    return build(table(600, 0, uses=False))


@pytest.fixture(scope="module")
def used() -> World:
    """The colour decides the label, for members and everybody else."""
    return build(table(450, 1, uses=True))


@pytest.mark.parametrize("method", ["learned", "bayes", "csmia"])
@pytest.mark.parametrize("column", [None, "v0"])
def test_what_the_model_remembers_is_found_on_members(method: str, column: str | None, remembered: World) -> None:
    probe = AttributeInference.model_validate({"method": method, "column": column})
    found = remembered.graded(probe, remembered.victim)
    assert found[NAME][0] > found[f"{NAME}.nonmembers"][0]
    if method == "learned":
        guess = remembered.graded(AttributeImputation(column=column), remembered.victim)
        assert found[f"{NAME}.advantage"][1] > 0
        assert found[NAME][0] > guess[NAME][0] + 0.08


def test_a_model_that_never_saw_the_members_gives_no_advantage(remembered: World) -> None:
    found = remembered.graded(AttributeInference(), remembered.stranger)[f"{NAME}.advantage"]
    assert found[1] < 0 < found[2]


def test_what_the_population_tells_is_in_the_baseline_too(used: World) -> None:
    found, guess = (used.graded(probe, used.victim)[NAME] for probe in (AttributeInference(), AttributeImputation()))
    assert min(found[0], guess[0]) > 0.6
    assert found[0] < guess[2]


def test_every_answer_is_one_query_and_budgets_leave_whole_records(remembered: World) -> None:
    probe = AttributeInference(method="csmia")
    outcome = remembered.run(probe, remembered.victim, limit=31)
    assert isinstance(outcome.result, Evidence)
    assert outcome.stop_reason == "query budget spent"
    assert np.isfinite(outcome.result.arrays["predicted"]).sum() == 10  # three colours each
    assert remembered.graded(probe, remembered.victim, limit=300)[NAME][0] > 0
    with pytest.raises(NotAssessable, match="budget"):
        remembered.run(probe, remembered.victim, limit=2)


def test_the_three_cases_of_csmia() -> None:
    """log p of the label, right, log p of what is predicted; answers 0 to 2."""
    one = [[-1.0, 1, -1.0], [-2.0, 0, -0.1], [-2.0, 0, -0.1]]
    several = [[-0.5, 1, -0.5], [-0.2, 1, -0.2], [-3.0, 0, -0.01]]
    none = [[-3.0, 0, -0.3], [-3.0, 0, -0.9], [-3.0, 0, -0.2]]
    assert csmia(np.array([one, several, none])).argmax(axis=1).tolist() == [0, 1, 1]


def test_the_column_is_hidden_and_the_question_fits_it() -> None:
    data = table(50, 0, uses=False)
    assert np.unique(hidden(data, None).x[:, 0]).size == 1
    np.testing.assert_array_equal(hidden(data, "v2").x[:, :3], data.x[:, :3])
    assert question(data, None).column == 0
    assert len(question(data, "colour").values) == len(COLOURS)
    cut = question(data, "v1")
    assert cut.codes(data).mean() == pytest.approx(0.5, abs=0.03)
    assert (cut.values > (cut.cut or 0.0)).tolist() == [False, True]
    np.testing.assert_array_equal(cut.codes(cut.filled(data, 1)), np.ones(50))


def test_skewed_and_constant_columns() -> None:
    data = table(50, 0, uses=False)
    x = np.array(data.x)
    x[:, 1], x[:, 2] = 1.0, np.arange(50) < 40
    flat = data.with_x(x)
    with pytest.raises(NotAssessable, match="constant"):
        question(flat, "v0")
    assert question(flat, "v1").codes(flat).mean() == pytest.approx(0.8)


def test_a_column_that_is_not_there_is_a_problem_before_any_compute() -> None:
    data = table(5, 0, uses=False)
    assert "none called 'v9'" in AttributeInference(column="v9").problems(data.schema, 5)[0]
    assert AttributeInference(column="v1").problems(data.schema, 5) == []
    schema = ImageSchema(classes=("a", "b"), channels=1, height=2, width=2)
    images = Dataset(np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2, np.int64), schema, np.arange(2))
    with pytest.raises(NotAssessable, match="image"):
        AttributeInference().hidden(images)
