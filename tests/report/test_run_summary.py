"""The summary against plain arithmetic on the rows, and what it must never do with a gate or a gap."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import default_run, default_summary, synthetic_run
from synthetic_facts import LOOP, SCANS

from threatloop.analysis.chains import Enablement
from threatloop.analysis.effects import Effect
from threatloop.analysis.findings import Figure
from threatloop.analysis.summary import Summary, summarise
from threatloop.core.measurement import Measurement, Notice
from threatloop.numerics.equivalence import bh_q
from threatloop.numerics.undefined import Undefined


def _figure(summary: Summary, target: str, metric: str, gate: str | None = None) -> Figure:
    found = [f for f in summary.figures if (f.target, f.metric) == (target, metric) and gate in (None, f.gate)]
    assert len(found) == 1
    return found[0]


def _effect(thing: Figure | Enablement) -> Effect:
    assert isinstance(thing.effect, Effect)
    return thing.effect


def _rows(**wanted: object) -> list[Measurement]:
    return [r for r in default_run().rows if all(getattr(r, k) == v for k, v in wanted.items())]


def test_a_figure_is_plain_arithmetic_on_its_rows() -> None:
    rows = _rows(target="digits", metric="attack_success", arm="attack", lap=1)
    m = np.array([row.value for row in rows], dtype=float)
    b = np.array([row.baseline for row in rows], dtype=float)
    figure = _figure(default_summary(), "digits", "attack_success")
    assert figure.value.mean == pytest.approx(m.mean())
    assert figure.baseline.mean == pytest.approx(b.mean())
    assert _effect(figure).mean == pytest.approx((m - b).mean())
    assert figure.risk.mean == pytest.approx(((m - b) / (1 - b)).mean())
    assert (figure.value.n, figure.records, _effect(figure).verdict) == (12, 200, "amplifies")


def test_a_metric_that_falls_is_judged_from_the_defenders_side_and_shown_as_it_is() -> None:
    figure = _figure(default_summary(), "digits", "watermark.detected")
    effect = _effect(figure)
    assert effect.verdict == "amplifies"
    assert isinstance(effect.mean, float)
    assert effect.mean == pytest.approx(-0.91, abs=0.03)
    assert not isinstance(effect.interval, Undefined)
    assert effect.interval.low < effect.mean < effect.interval.high < 0


def test_headline_and_secondary_figures_are_families_of_their_own() -> None:
    for headline in (True, False):
        family = [f.effect for f in default_summary().figures if f.headline is headline]
        judged = [e for e in family if isinstance(e, Effect)]
        expected = bh_q([e.p for e in judged])
        assert [e.q for e in judged] == [pytest.approx(q) for q in expected]
        assert len(judged) > 3


def test_a_gap_keeps_its_reason_and_is_never_zero() -> None:
    figure = _figure(default_summary(), "digits", "membership.tpr_at_1pct")
    assert isinstance(figure.value.mean, Undefined)
    assert isinstance(figure.risk.mean, Undefined)
    assert figure.missing == (("fewer than ten expected false positives (0.01 × 178 non-members)", 12),)


def test_a_value_that_is_not_finite_is_a_gap_too() -> None:
    rows = [r.model_copy(update={"value": float("nan")}) if r.seed == 2 else r for r in default_run().rows]
    figure = _figure(summarise(default_run().record, rows), "digits", "attack_success")
    assert figure.value.n == 11
    assert figure.missing == (("the value is nan", 1),)
    assert _effect(figure).verdict == "too few seeds"


def test_below_twelve_seeds_there_is_no_verdict() -> None:
    run = synthetic_run(seeds=3)
    summary = summarise(run.record, run.rows)
    effects = [f.effect for f in summary.figures] + [e.effect for e in summary.enablements]
    effects += [gain.effect for gain in summary.loops]
    assert {e.verdict for e in effects if isinstance(e, Effect)} == {"too few seeds"}


def test_the_order_of_rows_does_not_matter() -> None:
    assert summarise(default_run().record, default_run().rows[::-1]) == default_summary()


def test_a_refused_chain_is_stopped_at_its_gate_and_the_oracle_stands_beside() -> None:
    gate = default_summary().gate(SCANS, LOOP)
    assert gate is not None
    assert (gate.status, gate.accepted, gate.n) == ("stopped", 0, 12)
    assert not isinstance(gate.interval, Undefined)
    # Clopper and Pearson's upper end for 0 of n is 1 − .025^(1/n).
    assert gate.interval.high == pytest.approx(1 - 0.025 ** (1 / 12))
    oracle = [a for a in default_summary().arms if (a.target, a.arm, a.metric) == (SCANS, "oracle", "attack_success")]
    assert [round(a.value.mean, 1) for a in oracle if isinstance(a.value.mean, float)] == [0.8]
    assert [
        f.stopped for f in default_summary().figures if f.target == SCANS and f.scenario == LOOP and f.headline
    ] == [
        False,
        True,
        False,
        False,
    ]


def test_enablement_is_the_paired_difference_and_marked_where_the_gate_decided() -> None:
    found = [e for e in default_summary().enablements if (e.target, e.removed, e.step) == ("digits", 1, 2)]
    assert len(found) == 1
    on = {r.seed: r.value for r in _rows(target="digits", metric="attack_success", arm="attack", lap=1)}
    off = {r.seed: r.value for r in _rows(target="digits", metric="attack_success", arm="without:1")}
    expected = np.mean([(on[s] or 0) - (off[s] or 0) for s in range(12)])
    assert _effect(found[0]).mean == pytest.approx(expected)
    assert found[0].gate_determined
    assert _effect(found[0]).verdict == "amplifies"


def test_seeds_on_two_sides_of_a_gate_are_never_averaged() -> None:
    found = [e for e in default_summary().enablements if (e.target, e.removed) == ("digits", 3)]
    assert {(e.gate_off, len(e.paired.differences), e.gate_determined) for e in found} == {
        ("accepted", 9, False),
        ("refused", 3, True),
    }
    mixed = [
        r.model_copy(update={"gate": "refused", "value": 0.0}) if r.seed < 4 and r.metric == "attack_success" else r
        for r in default_run().rows
    ]
    summary = summarise(default_run().record, mixed)
    accepted, refused = (_figure(summary, "digits", "attack_success", gate) for gate in ("accepted", "refused"))
    assert (accepted.value.n, refused.value.n, refused.value.mean) == (8, 4, 0.0)
    assert isinstance(accepted.value.mean, float)
    assert accepted.value.mean > 0.8


def test_enablement_covers_every_later_step() -> None:
    places = {(e.removed, e.step) for e in default_summary().enablements if e.target == "digits"}
    assert places == {(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)}


def test_a_loop_that_gains_nothing_is_a_null_against_every_control() -> None:
    loops = [gain for gain in default_summary().loops if gain.metric == "inversion.accuracy"]
    assert {gain.control for gain in loops} == {"restart", "double", "prior"}
    assert {gain.effect.verdict for gain in loops if isinstance(gain.effect, Effect)} == {"no effect"}


def test_a_planted_loop_gain_is_found_against_its_control_only() -> None:
    rows = [
        r.model_copy(update={"value": (r.value or 0) - 0.2}) if (r.lap, r.arm) == (2, "prior") and r.step == 4 else r
        for r in default_run().rows
    ]
    gains = [g for g in summarise(default_run().record, rows).loops if g.metric == "inversion.accuracy"]
    verdicts = {g.control: g.effect.verdict for g in gains if isinstance(g.effect, Effect)}
    assert verdicts == {"restart": "no effect", "double": "no effect", "prior": "amplifies"}


def test_a_failed_check_casts_doubt_on_the_attack_it_names_or_on_all() -> None:
    assert {f.attack for f in default_summary().figures if f.suspect} == {"inversion"}
    check = Notice(target="digits", what="ε → max gives 0 % accuracy", why="it gives 12 %", passed=False)
    record = default_run().record.model_copy(update={"self_checks": (check,)})
    suspects = {(f.target, f.attack) for f in summarise(record, default_run().rows).figures if f.suspect}
    assert suspects == {("digits", a) for a in ("removal", "badnets", "stealing", "inversion", "lira")}


def test_the_worst_figure_of_a_direction_is_the_one_with_the_highest_risk() -> None:
    worst = default_summary().worst("M→D", "digits")
    assert worst is not None
    assert worst.metric == "membership.auc"
    assert default_summary().worst("D→M", "breast_cancer") is None


def test_the_same_attack_on_another_model_stands_beside_the_figure() -> None:
    run = synthetic_run()
    found = [f for f in summarise(run.record, run.rows).figures if f.metric == "inversion.accuracy"]
    rows = [r.value for r in run.rows if r.arm == "reference:victim" and r.target == "digits" and r.value is not None]
    (digits,) = (f for f in found if f.target == "digits")
    ((name, estimate),) = digits.references
    assert (name, estimate.n) == ("victim", len(rows))
    assert estimate.mean == pytest.approx(sum(rows) / len(rows))
    others = [f for f in summarise(run.record, run.rows).figures if f.metric == "membership.auc"]
    assert all(f.references == () for f in others)
