"""The claims ledger: what it holds, and that its judgement finds planted effects and shows nulls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from threatloop.analysis.claims import Readings, claims_of, judge_claims, plan_claims
from threatloop.analysis.ledger import WORST, Claim, Side, chosen, ledger
from threatloop.core.errors import InputError
from threatloop.core.measurement import Measurement, MetricNote, RunRecord
from threatloop.scenario.build import build, parse_spec
from threatloop.scenario.studies import study

Value = Callable[[int, str, str], float]


def record(name: str = "claims", conditions: Iterable[str] = ("a",)) -> RunRecord:
    note = MetricNote(title="AUC", unit="auc", worst=1.0, margin=0.02, meaning="")
    empty: dict[str, dict[str, object]] = {}
    return RunRecord(
        run="r", name=name, threatloop="0", started="now", seconds=0, peak_memory_mib=0, run_seed=0, seeds=12,
        command="", spec={}, targets=empty, scenarios=empty, attacks=empty, environment={}, tasks={},
        conditions={one: [] for one in conditions}, metrics={"membership": note},
    )  # fmt: skip


def rows(value: Value, arms: Iterable[tuple[str, str]], scenario: str = "lira", seeds: int = 42) -> list[Measurement]:
    """One row per seed, condition and arm."""
    return [
        Measurement(
            run="r",
            target="digits",
            scenario=scenario,
            step=1,
            steps=1,
            arm=arm,
            condition=condition,
            attack="lira",
            direction="M→D",
            seed=seed,
            metric="membership",
            value=value(seed, condition, arm),
            n=100,
        )
        for condition, arm in arms
        for seed in range(seeds)
    ]


def claim(expected: str = "+", arm: str = "attack") -> Claim:
    about = dict.fromkeys(("claim", "source", "setting", "reported", "evidence", "test"), "x")
    return Claim.model_validate(
        {
            "id": "planted",
            "expected": expected,
            "measured": Side(scenario="lira", metric="membership", condition="a", arm=arm),
            "against": Side(scenario="lira", metric="membership"),
            **about,
        }
    )


def noisy(shift: float, spread: float = 0.01) -> Value:
    def value(seed: int, condition: str, arm: str) -> float:
        rng = np.random.default_rng([seed, len(condition), len(arm)])
        return 0.6 + (shift if condition else 0.0) + spread * float(rng.normal())

    return value


@pytest.mark.parametrize(
    ("shift", "expected", "reading"),
    [
        (0.1, "+", "holds"),
        (0.1, "-", "opposite"),
        (0.1, "0", "does not hold"),
        (0.0, "0", "holds"),
        (0.0, "+", "does not hold"),
    ],
)
def test_planted_effects_and_nulls(shift: float, expected: str, reading: str) -> None:
    found = Readings(record(), rows(noisy(shift), [("", "attack"), ("a", "attack")]))
    planned = plan_claims([claim(expected)], found, 12)
    assert planned["planted"] >= 12
    (tested,) = judge_claims([claim(expected)], found, 12, planned)
    assert tested.reading == reading
    assert tested.tested == planned["planted"]
    assert tested.measured is not None
    assert tested.measured == pytest.approx(0.6 + shift, abs=0.02)


def test_screening_seeds_are_never_tested() -> None:
    def value(seed: int, condition: str, arm: str) -> float:
        return noisy(0.1 if seed < 12 else 0.0)(seed, condition, arm)

    found = Readings(record(), rows(value, [("", "attack"), ("a", "attack")]))
    (tested,) = judge_claims([claim()], found, 12, plan_claims([claim()], found, 12))
    assert tested.reading != "holds"


def test_the_worse_arm_is_chosen_by_the_screening_seeds() -> None:
    def value(seed: int, condition: str, arm: str) -> float:
        return noisy(0.1 if (arm == "adaptive" and seed < 12) or (arm == "attack" and seed >= 12) else 0.0)(
            seed, condition, arm
        )

    found = Readings(record(), rows(value, [("", "attack"), ("a", "attack"), ("a", "adaptive")]))
    side = Side(scenario="lira", metric="membership", condition="a", arm=WORST)
    assert np.mean(list(found.of(side, "digits", range(12)).values())) == pytest.approx(0.6 + 0.1 * 12 / 42, abs=0.01)


def test_ranks_over_victims_are_correlated_within_each_seed() -> None:
    names = ("a", "bb", "ccc", "dddd", "eeeee")

    def fit(condition: str) -> float:
        return len(condition) / 10

    x = rows(lambda _s, c, _a: 0.5 + fit(c) / 2, [(c, "attack") for c in ("", *names)], "theft")
    y = rows(lambda s, c, _a: 0.9 - fit(c) / 2 + noisy(0, 0.1)(s, c, ""), [(c, "attack") for c in ("", *names)], "loss")
    sides = (Side(scenario="theft", metric="membership"), Side(scenario="loss", metric="membership"))
    written = claim("-").model_dump() | {"measured": None, "against": None, "correlate": sides}
    one = Claim.model_validate(written)
    found = Readings(record(conditions=names), [*x, *y])
    (tested,) = judge_claims([one], found, 12, plan_claims([one], found, 12))
    assert tested.reading == "holds"
    assert tested.effect is not None
    assert tested.effect.mean < -0.5  # type: ignore[operator]


@pytest.mark.parametrize("seeds", [1, 3, 11])
def test_too_few_seeds_decide_nothing(seeds: int) -> None:
    found = Readings(record(), rows(noisy(0.3), [("", "attack"), ("a", "attack")], seeds=seeds))
    planned = plan_claims([claim()], found, seeds)
    assert planned == {"planted": 0}
    (tested,) = judge_claims([claim()], found, seeds, planned)
    assert (tested.reading, tested.tested) == ("unresolved", 0)
    assert "12" in tested.why


def test_what_was_not_measured_is_not_computed() -> None:
    found = Readings(record(), rows(noisy(0.1), [("", "attack")]))
    (tested,) = judge_claims([claim()], found, 12, plan_claims([claim()], found, 12))
    assert (tested.reading, tested.effect) == ("not computed", None)
    assert claims_of(record("audit"), rows(noisy(0.1), [("", "attack")])) == ()


def test_a_claim_some_of_whose_seeds_could_not_be_matched_gets_all_the_fresh_ones() -> None:
    one = claim().model_copy(update={"against": Side(scenario="lira", metric="membership", arm="matched:1")})
    made = rows(noisy(0.3), [("a", "attack"), ("", "matched:1")])
    kept = [row for row in made if row.arm == "attack" or row.seed not in (3, 20)]
    found = Readings(record(), kept)
    planned = plan_claims([one], found, 12)
    assert planned == {"planted": 30}
    (tested,) = judge_claims([one], found, 12, planned)
    assert (tested.reading, tested.tested, tested.screened) == ("holds", 29, 11)
    few = Readings(record(), [row for row in kept if row.arm == "attack" or row.seed > 6])
    assert plan_claims([one], few, 12) == {"planted": 0}


def test_a_test_is_a_pair_or_a_correlation() -> None:
    written = claim().model_dump()
    with pytest.raises(ValidationError, match="needs both"):
        Claim.model_validate({**written, "against": None})
    with pytest.raises(InputError, match="did you mean 'backdoor-membership'"):
        chosen(["backdoor-membershp"])


def test_the_ledger_reads_what_its_study_runs() -> None:
    claims = ledger()
    assert len({one.id for one in claims}) == len(claims) >= 15
    assert {"+", "-", "0"} == {one.expected for one in claims}
    audit = build(parse_spec(study("claims"), "claims"), Path())
    scenarios = {scenario.name: scenario for scenario in audit.scenarios}
    conditions = {condition.name for condition in audit.conditions}
    owned = ("ownership.", "monitor.", "inspection.")
    for one in claims:
        for side in one.sides:
            assert side.condition in conditions
            step = scenarios[side.scenario].steps[side.step - 1]
            known = side.metric.split(".")[0] in step.info.metrics
            assert known or side.metric.startswith(owned), side


def test_a_claim_that_stays_open_has_had_all_its_seeds() -> None:
    found = Readings(record(), rows(noisy(0.012, 0.05), [("", "attack"), ("a", "attack")]))
    planned = plan_claims([claim()], found, 12)
    assert planned == {"planted": 30}
    (tested,) = judge_claims([claim()], found, 12, planned)
    assert tested.tested == 30
