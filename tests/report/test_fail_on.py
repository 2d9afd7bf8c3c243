"""The threshold language: what it accepts, where it points at a mistake, and that it fails closed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import default_run, default_summary
from synthetic_facts import SCANS

from threatloop.analysis.summary import summarise
from threatloop.analysis.threshold_syntax import Comparison, Group, Names, comparisons, parse
from threatloop.analysis.thresholds import ThresholdResult, check_thresholds, names_of
from threatloop.core.errors import InputError
from threatloop.core.measurement import Measurement, RunRecord

NAMES = Names(("digits", "a b"), {"full loop": ("lira",)}, {"lira": ("membership.auc", "fidelity")})


def _result(text: str, allow: bool = False, record: RunRecord | None = None) -> ThresholdResult:
    return check_thresholds([text], record or default_run().record, default_summary(), allow)[0]


@pytest.mark.parametrize(
    ("text", "kind", "target", "name", "limit"),
    [
        ("membership.auc > 0.6", "figure", "", "membership.auc", 0.6),
        ("membership auc>.6", "figure", "", "membership.auc", 0.6),
        ("digits/lira.membership.auc >= 6e-1", "figure", "digits", "lira.membership.auc", 0.6),
        ('"full loop".fidelity < 1', "figure", "", "full loop.fidelity", 1.0),
        ("full loop fidelity <= 1", "figure", "", "full.loop.fidelity", 1.0),
        ("'a b'/fidelity.where_victim_errs > -2", "figure", "a b", "fidelity.where_victim_errs", -2.0),
        ("risk(D→M) > 0.5", "risk", "", "D→M", 0.5),
        ("digits/risk( M -> D ) > 0.5", "risk", "digits", "M→D", 0.5),
        ("errors > 0", "errors", "", "errors", 0.0),
        ("digits/not_assessed > 0", "not_assessed", "digits", "not_assessed", 0.0),
    ],
)
def test_a_comparison_is_read(text: str, kind: str, target: str, name: str, limit: float) -> None:
    found = parse(text, NAMES)
    assert isinstance(found, Comparison)
    assert (found.kind, found.target, found.name, found.limit) == (kind, target, name, limit)


def test_and_binds_tighter_than_or_and_brackets_change_that() -> None:
    loose, tight = (
        parse(t) for t in ("errors > 1 or errors > 2 and errors > 3", "(errors>1 or errors>2) and errors>3")
    )
    assert isinstance(loose, Group)
    assert isinstance(tight, Group)
    assert (loose.join, tight.join) == ("or", "and")
    assert [c.limit for c in comparisons(loose)] == [c.limit for c in comparisons(tight)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", 1, "expected a figure"),
        ("fidelity", 9, "expected one of > >= < <="),
        ("fidelity >", 11, "expected a number"),
        ("fidelity > high", 12, "expected a number"),
        ("fidelity > 0.5.1", 12, "expected a number"),
        ("fidelity == 1", 10, "expected one of > >= < <="),
        ("fidelity > 1 and", 17, "expected a figure"),
        ("(fidelity > 1", 14, "expected ')'"),
        ("fidelity > 1 fidelity > 2", 14, "expected 'and', 'or' or the end"),
        ("errors > 0 or fidelty > 1", 15, "unknown figure 'fidelty' (did you mean 'fidelity'?"),
        ("digit/fidelity > 1", 1, "unknown target 'digit' (did you mean 'digits'?"),
        ("risk(D→X) > 1", 5, "expected one of"),
        ("__import__('os').system('x') > 1", 11, "expected one of"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, where: int, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        parse(text, NAMES)
    line = str(caught.value)
    assert f"(at character {where})" in line
    assert line.index("‸") == len("--fail-on: ") + where - 1
    assert "\n" not in line


@given(st.text(alphabet="()<>=.→->/'\" DMadnorik0123", max_size=30))
def test_no_text_gets_past_the_parser_with_anything_but_a_clear_error(text: str) -> None:
    try:
        found = parse(text)
    except InputError as error:
        message = str(error)
    else:
        assert all(c.operator in (">", ">=", "<", "<=") for c in comparisons(found))
        return
    assert "at character" in message


@pytest.mark.parametrize(
    ("text", "crossed"),
    [
        ("digits/membership.auc > 0.55", True),
        ("digits/membership.auc > 0.65", False),
        ("digits/removal.watermark.detected < 0.2", True),
        ("digits/removal.watermark.detected < 0.05", False),
        ("digits/risk(D→M) > 0.5", True),
        ("digits/risk(D→M) > 0.9", False),
        ("errors > 0", True),
        ("errors > 1", False),
        ("not_assessed >= 2", True),
        ("digits/not_assessed > 0", False),
        ("errors > 1 or digits/fidelity > 0.9", True),
        ("errors > 1 and digits/fidelity > 0.9", False),
    ],
)
def test_a_resolved_figure_is_compared(text: str, crossed: bool) -> None:
    assert _result(text).crossed is crossed
    assert _result(text).why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("digits/membership.auc > 0.608", "straddles"),
        ("digits/membership.tpr_at_1pct > 0.9", "not computed, because"),
        ("digits/inversion.accuracy > 0.99", "a self-check failed"),
        ("breast_cancer/membership.auc > 0.9", "errored: diverged"),
        ("breast_cancer/risk(D→D) > 0.9", "was not assessed"),
        ("risk(D→M) > 0.99", "breast_cancer: D→M was not assessed"),
        ("breast_cancer/inversion.accuracy > 0.99", "not assessed: over budget"),
    ],
)
def test_what_is_unresolved_counts_as_crossed_unless_allowed(text: str, why: str) -> None:
    strict, lenient = _result(text), _result(text, allow=True)
    assert strict.crossed
    assert why in strict.why
    assert not lenient.crossed


def test_missing_seeds_count_as_crossed() -> None:
    record = default_run().record.model_copy(update={"seeds": 13, "errors": ()})
    result = _result("digits/membership.auc > 0.9", record=record)
    assert result.crossed
    assert "only 12 of 13 seeds have a value" in result.why


def test_a_figure_that_was_planned_but_never_measured_counts_as_crossed() -> None:
    rows: list[Measurement] = [r for r in default_run().rows if r.attack != "lira"]
    summary = summarise(default_run().record, rows)
    record = default_run().record.model_copy(update={"errors": ()})
    assert check_thresholds(["membership.auc > 0.9"], record, summary)[0].crossed


def test_a_metric_may_be_named_with_its_unit() -> None:
    record = default_run().record
    attack = record.attacks["lira"] | {"metrics": ["membership"]}
    note = record.metrics["membership.auc"]
    changes = {"attacks": record.attacks | {"lira": attack}, "metrics": {"membership": note}, "errors": ()}
    record = record.model_copy(update=changes)
    renamed = {"membership.auc": "membership"}
    rows = [r.model_copy(update={"metric": renamed.get(r.metric, r.metric)}) for r in default_run().rows]
    summary = summarise(record, rows)
    found = check_thresholds(["digits/membership auc > 0.55", "digits/membership.auk > 0.99"], record, summary)
    assert found[0].why.startswith("digits/membership.membership is 0.6")
    assert "the run has no such figure (it has" in found[1].why
    assert [result.crossed for result in found] == [True, True]


def test_the_names_of_a_run_are_known_hostile_ones_included() -> None:
    assert SCANS in names_of(default_run().record).targets
    assert not _result(f'"{SCANS}"/lira.membership.auc > 0.6').crossed
