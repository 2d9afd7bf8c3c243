"""The composite score: its formula, its honesty about choosing the worst, its range."""

from __future__ import annotations

import numpy as np
import pytest

from defended import at_risk, record, row
from threatloop.analysis.estimates import Estimate
from threatloop.analysis.score import Score, combined, halves, scores
from threatloop.analysis.summary import summarise
from threatloop.cli.results import score_lines
from threatloop.core.measurement import Measurement
from threatloop.numerics.intervals import Interval
from threatloop.numerics.undefined import Undefined
from threatloop.report.score_view import panels, shown


def _mean(found: Estimate) -> float:
    assert not isinstance(found.mean, Undefined)
    return found.mean


def _score(rows: list[Measurement], seeds: int = 12) -> Score:
    (found,) = scores(record(seeds), rows, ())
    return found


def _drawn(risks: dict[str, float], seeds: int = 12, spread: float = 0.0, seed: int = 0) -> list[Measurement]:
    rng = np.random.default_rng(seed)
    return [row(a, s, at_risk(r + spread * rng.normal())) for a, r in risks.items() for s in range(seeds)]


def test_the_formula_by_hand() -> None:
    found = _score(_drawn({"evade": 0.5, "poison": 0.2, "steal": 0.0, "infer": 0.1}))
    assert _mean(found.assessed) == pytest.approx(1 - 0.5 * 0.8 * 1.0 * 0.9)
    assert found.at_worst == found.assessed
    assert (found.choosing, found.reporting, found.missing) == (6, 6, ())
    # Six equal seeds are no certainty.
    assert isinstance(found.assessed.interval, Interval)
    assert found.assessed.interval.high - found.assessed.interval.low > 0.1


def test_what_was_not_assessed_makes_a_range_that_is_always_shown() -> None:
    rows = _drawn({"evade": 0.5, "poison": 0.2}, spread=0.02)
    found = _score(rows)
    assert found.missing == ("M→M", "M→D")
    assert _mean(found.assessed) == pytest.approx(0.6, abs=0.03)
    assert _mean(found.at_worst) == 1.0
    assert shown(found).endswith("] to 1.00")
    (line, caveat) = score_lines(summarise(record(12), rows))
    assert "to 1.00 (D→D 0.5" in line
    assert caveat.strip().startswith("M→M, M→D not assessed")
    (panel,) = panels(record(12), (found,))
    assert panel.top == 100.0


def test_nothing_assessed_is_no_zero() -> None:
    found = _score([row("evade", seed, None) for seed in range(12)])
    assert isinstance(found.assessed.mean, Undefined)
    assert _mean(found.at_worst) == 1.0
    assert shown(found).startswith("not computed to 1.00")


def test_the_worst_of_many_equal_attacks_is_not_flattered() -> None:
    """Thirty attacks with one risk and much noise: the maximum over all seeds lies far above, the score does not."""
    rng, reported, greatest = np.random.default_rng(3), [], []
    for _ in range(30):
        draws = 0.3 + 0.1 * rng.normal(size=(30, 12))
        rows = [
            row("evade", s, at_risk(draws[a, s]), scenario=f"evade-{a}")
            for a in range(draws.shape[0])
            for s in range(12)
        ]
        reported.append(_mean(_score(rows).directions[0].risk))
        greatest.append(draws.mean(1).max())
    assert np.mean(reported) == pytest.approx(0.3, abs=0.02)
    assert np.mean(greatest) > 0.34


def test_a_chain_takes_the_place_of_a_single_attack_where_it_reaches_further() -> None:
    def chain(risk: float) -> list[Measurement]:
        return [row("infer", s, at_risk(risk), scenario="loop", step=4, steps=4) for s in range(12)]

    alone = _drawn({"infer": 0.3})
    further = _score(alone + chain(0.6)).directions[3]
    assert (further.chain, further.step) == (True, 4)
    assert _mean(further.risk) == pytest.approx(0.6)
    assert further.alone is not None
    assert _mean(further.alone) == pytest.approx(0.3)
    shorter = _score(alone + chain(0.1)).directions[3]
    assert (shorter.chain, shorter.alone) == (False, None)
    assert _mean(shorter.risk) == pytest.approx(0.3)


def test_seeds_on_the_two_sides_of_a_gate_are_never_averaged() -> None:
    def gated(passes: int) -> list[Measurement]:
        return [
            row("poison", s, at_risk(0.8 if s < passes else 0.0), gate="accepted" if s < passes else "refused")
            for s in range(12)
        ]

    open_to_some = _score(gated(4)).directions[1]
    assert _mean(open_to_some.risk) == pytest.approx(0.8)
    assert not open_to_some.refused
    closed = _score(gated(0)).directions[1]
    assert _mean(closed.risk) == pytest.approx(0.0)
    assert closed.refused


def test_one_seed_says_that_it_chose_for_itself() -> None:
    found = _score(_drawn({"evade": 0.5}, seeds=1), seeds=1)
    assert not found.apart
    assert "flatters" in " ".join(panels(record(1), (found,))[0].caveats)


def test_halves_share_no_seed() -> None:
    choosing, reporting = halves(range(9))
    assert (len(choosing), len(reporting)) == (5, 4)
    assert not choosing & reporting


def test_the_interval_covers() -> None:
    """Three directions that depend on each other, eight seeds, three hundred times."""
    rng, hits, truth = np.random.default_rng(11), 0, np.array([0.1, 0.3, 0.5])
    for _ in range(300):
        common = rng.normal(size=(8, 1))
        risks = np.clip(truth + 0.06 * (common + rng.normal(size=(8, 3))), 0, 1)
        found = combined([dict(enumerate(column)) for column in risks.T], rng)
        assert isinstance(found.interval, Interval)
        hits += 1 - float(np.prod(1 - truth)) in found.interval
    assert 0.91 <= hits / 300 <= 0.99
