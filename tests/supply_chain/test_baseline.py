"""Baseline files: written, read, applied, and refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from scan_world import NASTY, TODAY, finding
from threatloop.core.errors import InputError
from threatloop.supply_chain.baseline import Entry, apply, baseline_text, read_baseline
from threatloop.supply_chain.result import COMMENT, Accepted, Result

ONE, TWO = finding(), finding("torch-load", subject="y")


def saved(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "baseline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_accepts_what_was_found(tmp_path: Path) -> None:
    result = Result((ONE, TWO))
    entries = read_baseline(saved(tmp_path, baseline_text(result, (), "first scan", "ann")))
    after = apply(result, entries, "baseline.yaml", TODAY)
    assert after.result.findings == ()
    assert [(one.reason, one.by, one.source) for one in after.result.accepted] == [
        ("first scan", "ann", "baseline.yaml")
    ] * 2
    assert (after.expired, after.stale) == ((), ())


def test_new_findings_are_not_accepted(tmp_path: Path) -> None:
    entries = read_baseline(saved(tmp_path, baseline_text(Result((ONE,)), (), "known", "")))
    assert apply(Result((ONE, TWO)), entries, "b", TODAY).result.findings == (TWO,)


def test_a_moved_line_stays_accepted_and_another_call_does_not(tmp_path: Path) -> None:
    entries = read_baseline(saved(tmp_path, baseline_text(Result((ONE,)), (), "known", "")))
    moved = replace(ONE, place=replace(ONE.place, line=90))
    other = replace(ONE, subject="another call")
    assert apply(Result((moved, other)), entries, "b", TODAY).result.findings == (other,)


@pytest.mark.parametrize(("day", "counts"), [(date(2026, 5, 31), True), (date(2026, 6, 1), False), (None, False)])
def test_entries_expire(day: date | None, counts: bool) -> None:
    after = apply(Result((ONE,)), (Entry(ONE.fingerprint, "known", expires=day),), "b", TODAY)
    assert (len(after.result.findings), len(after.expired)) == (int(counts), int(counts))


def test_entries_that_nothing_needs_are_told() -> None:
    after = apply(Result(), (Entry("0" * 32, "known"),), "b", TODAY)
    assert [one.fingerprint for one in after.stale] == ["0" * 32]


def test_without_reasons_a_written_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, baseline_text(Result((ONE, TWO)), (), "", ""))
    with pytest.raises(InputError, match="2 problems") as caught:
        read_baseline(path)
    assert str(caught.value).count("no reason") == 2


def test_writing_again_keeps_reasons_and_drops_what_is_gone(tmp_path: Path) -> None:
    old = (
        Entry(ONE.fingerprint, "kept", by="ann", expires=date(2027, 1, 1), state="false_positive"),
        Entry("1" * 32, "gone"),
    )
    text = baseline_text(Result((ONE, TWO)), old, "new", "bob")
    entries = {one.fingerprint: one for one in read_baseline(saved(tmp_path, text))}
    assert set(entries) == {ONE.fingerprint, TWO.fingerprint}
    kept = entries[ONE.fingerprint]
    assert (kept.reason, kept.by, kept.expires, kept.state) == ("kept", "ann", date(2027, 1, 1), "false_positive")
    assert entries[TWO.fingerprint].reason == "new"


def test_comments_in_the_code_need_no_entry() -> None:
    text = baseline_text(Result(accepted=(Accepted(ONE, "ours", COMMENT),)), (), "x", "")
    assert ONE.fingerprint not in text


def test_hostile_names_survive(tmp_path: Path) -> None:
    bad = replace(ONE, place=replace(ONE.place, path=f"a\udcff: {NASTY}"), subject="'\": - [x]\n\x85#")
    (entry,) = read_baseline(saved(tmp_path, baseline_text(Result((bad,)), (), "known", "")))
    assert entry.fingerprint == bad.fingerprint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accepted: []", "version: 1"),
        ("version: 2\naccepted: []", "version: 1"),
        ("version: 1\naccepted: {}", "version: 1"),
        ("- 1", "version: 1"),
        ("version: 1\naccepted:\n  - a", "no mapping"),
        ("version: 1\naccepted:\n  - {fingerprint: a, reason: b, why: c}", "unknown key 'why'"),
        ("version: 1\naccepted:\n  - {fingerprint: a}", "no reason"),
        ("version: 1\naccepted:\n  - {reason: a}", "no fingerprint"),
        ("version: 1\naccepted:\n  - {fingerprint: a, reason: b, expires: soon}", "no date"),
        ("version: 1\naccepted:\n  - {fingerprint: a, reason: b, state: fine}", "allowed: exploitable"),
        ("version: 1\naccepted:\n  - {fingerprint: a, reason: b, justification: code_not_present}", "not_affected"),
        ("version: 1\naccepted:\n  - {fingerprint: a, reason: b}\n  - {fingerprint: a, reason: b}", "twice"),
        ("version: 1\naccepted: [", "not YAML"),
        ("a: &a [1]\nb: *a", "alias"),
        ("!!python/object/apply:os.system [ls]", "version: 1"),
    ],
)
def test_bad_files_are_refused_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_baseline(saved(tmp_path, text))
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--write-baseline"):
        read_baseline(tmp_path / "none.yaml")
