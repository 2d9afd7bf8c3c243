"""What a long report shows at once: grouping by direction, notices by reason, pictures in order."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from synthetic import Run, default_run

from threatloop.analysis.estimates import Estimate
from threatloop.analysis.summary import summarise
from threatloop.core.measurement import GalleryItem, Notice, RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.build import build
from threatloop.report.folds import CHAINS, direction_of, folds
from threatloop.report.notices import by_reason, grouped

TITLES = {"removal": "Removal", "removal_two": "Removal by two"}
COPIES = 50
MOST_BYTES = 5_000_000


def _notice(what: str, why: str, scenario: str = "", target: str = "t", passed: bool | None = None) -> Notice:
    return Notice(target=target, scenario=scenario, what=what, why=why, passed=passed)


def test_notices_with_one_reason_are_told_once() -> None:
    notices = [
        _notice("removal", "Removal works on images", "a"),
        _notice("removal_two", "Removal by two works on images", "b"),
        _notice("removal", "Removal works on images", "c"),
        _notice("removal", "Removal works on images", "a", target="u"),
        _notice("theft", "theft: the budget is spent"),
    ]
    first, second, third = by_reason(notices, TITLES)
    assert (first.target, first.why) == ("t", "works on images")
    assert [str(subject) for subject in first.subjects] == ["removal ×2", "removal_two"]
    assert first.subjects[0].scenarios == ("a", "c")
    assert (second.target, second.why) == ("u", "works on images")
    assert (third.why, third.subjects[0].scenarios) == ("the budget is spent", ())


def test_no_notice_is_lost() -> None:
    notices = [_notice(f"attack {i % 7}", f"reason {i % 3}", f"s{i}", f"t{i % 2}") for i in range(60)]
    reasons = by_reason(notices, {})
    assert len(reasons) == 6
    assert sum(subject.times for reason in reasons for subject in reason.subjects) == 60


def test_failed_checks_come_first() -> None:
    found = grouped([_notice("a", "", passed=True), _notice("b", "", passed=True), _notice("b", "bad", passed=False)])
    assert [(g.notice.what, g.notice.why, g.times, g.failed) for g in found] == [("b", "bad", 2, 1), ("a", "", 1, 0)]


ITEMS = [("M→D", "roc"), ("D→D", "marks"), ("", "loop"), ("D→D", "marks"), ("D→D", "evasion"), ("D→D", "marks")]


def test_short_lists_are_shown_whole_by_direction() -> None:
    found = folds(ITEMS, lambda i: i[0], lambda i: i[1], most=6, first=1)
    assert [(f.title, len(f.shown), len(f.folded)) for f in found] == [
        ("D→D · Data → Data", 4, 0),
        ("M→D · Model → Data", 1, 0),
        (CHAINS, 1, 0),
    ]


@pytest.mark.parametrize(("first", "kinds"), [(1, ["marks"]), (2, ["marks", "evasion"]), (9, ["marks", "evasion"])])
def test_of_long_lists_one_of_each_kind_is_seen(first: int, kinds: list[str]) -> None:
    found = folds(ITEMS, lambda i: i[0], lambda i: i[1], most=5, first=first)
    assert [kind for _, kind in found[0].shown] == kinds
    assert sum(len(f.shown) + len(f.folded) for f in found) == len(ITEMS)


def test_a_chain_has_no_single_direction() -> None:
    record = default_run().record
    attacks = {"one": {"direction": "D→M"}, "two": {"direction": "M→D"}}
    scenarios = {"alone": {"attacks": ["one"]}, "chain": {"attacks": ["one", "two"]}}
    record = record.model_copy(update={"attacks": attacks, "scenarios": scenarios})
    assert [direction_of(record, name) for name in ("alone", "chain", "unknown")] == ["D→M", "", ""]


def test_one_seed_takes_no_line_of_reasons() -> None:
    found = Estimate(0.5, Undefined("an interval over seeds needs at least 2, got 1"), 1)
    assert numbers.with_interval(found, "rate") == "0.500 (1 seed)"
    two = Estimate(0.5, Undefined("all seeds are equal"), 2)
    assert numbers.with_interval(two, "rate") == "0.500 no interval: all seeds are equal"


def _many(run: Run) -> tuple[RunRecord, Run]:
    """The run with every scenario of one attack fifty times, under other names."""
    record = run.record
    alone = {name for name, about in record.scenarios.items() if len(about["attacks"]) == 1}
    assert alone
    names = {f"{name}-{i}": about for name, about in record.scenarios.items() if name in alone for i in range(COPIES)}
    rows = [row for row in run.rows if row.seed < 2]
    more = [
        row.model_copy(update={"scenario": f"{row.scenario}-{i}"})
        for row in rows
        if row.scenario in alone
        for i in range(COPIES)
    ]
    record = record.model_copy(update={"scenarios": {**record.scenarios, **names}, "seeds": 2})
    return record, replace(run, record=record, rows=(*rows, *more))


def test_a_run_of_a_whole_catalogue_stays_small_and_folded(tmp_path: Path) -> None:
    record, run = _many(default_run())
    summary = summarise(record, run.rows)
    headlines = sum(figure.headline for figure in summary.figures)
    assert headlines > COPIES
    html = build(run.write(tmp_path / "run"), summary=summary).read_text(encoding="utf-8")
    assert len(html.encode()) < MOST_BYTES
    findings = html.split('id="findings"')[1].split('id="errors"')[0]
    seen = re.sub(r"<details.*?</details>", "", findings, flags=re.S)
    assert seen.count("<li>") == 12
    assert findings.count("<li>") == headlines
    assert html.count('<details class="direction">') >= 2


STAGES = {
    "evasion": ("original", "adversarial", "difference"),
    "decryption": ("original", "protected", "recovered"),
    "inversion": ("nearest_member", "recovered", "held_class_mean"),
    "removal": ("original", "marked", "attacked"),
}


@pytest.mark.parametrize("kind", STAGES)
def test_pictures_stand_in_the_order_in_which_they_changed(kind: str, tmp_path: Path) -> None:
    run = default_run()
    target, scenario = "digits", next(iter(run.record.scenarios))
    items = tuple(
        GalleryItem(target=target, scenario=scenario, arm="attack", step=1, seed=0, name=name, file=f"{name}.png")
        for name in sorted(STAGES[kind])
    )
    gallery = {item.file: np.full((3, 1, 8, 8), 0.5) for item in items}
    changed = replace(run, record=run.record.model_copy(update={"gallery": items}), gallery=gallery)
    html = build(changed.write(tmp_path / "run")).read_text(encoding="utf-8")
    album = html.split('id="gallery"')[1].split('id="curves"')[0]
    captions = [unescape(text) for text in re.findall(r"<figcaption><b>(.*?)</b>", album)]
    words = {
        "original": "Original",
        "adversarial": "Adversarial",
        "difference": "Difference",
        "protected": "Under the owner's protection",
        "marked": "Under the owner's mark",
        "attacked": "After the attack",
        "recovered": "Recovered",
        "nearest_member": "Nearest training record",
        "held_class_mean": "Baseline: mean of the attacker's own records",
    }
    assert len(captions) == 3
    for caption, name in zip(captions, STAGES[kind], strict=True):
        assert caption.startswith(words[name])
