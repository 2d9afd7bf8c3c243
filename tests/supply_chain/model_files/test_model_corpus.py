"""The bars: nothing missed that another scanner finds, nothing unreadable called clean, hardly a false alarm."""

from __future__ import annotations

import pytest

from model_corpus import Scanned
from scanner_verdicts import verdicts
from threatloop.supply_chain.result import Severity

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_the_corpora_are_as_large_as_promised(hostile: Scanned, harmless: Scanned) -> None:
    assert len(hostile.cases) >= 60
    assert len(harmless.cases) >= 40
    assert len({case.name for case in hostile.cases}) == len(hostile.cases)


def test_every_malicious_file_has_a_finding_and_every_broken_one_at_least_an_open_point(hostile: Scanned) -> None:
    missed = [
        case.name
        for case in hostile.cases
        if not hostile.findings(case) and not (case.broken and hostile.open_points(case))
    ]
    assert missed == []


def test_nothing_is_missed_that_a_third_party_scanner_finds(hostile: Scanned) -> None:
    pytest.importorskip("fickling")
    pytest.importorskip("modelaudit_picklescan")
    told = verdicts(list(hostile.paths.values()))
    assert all(sum(said.values()) > 50 for said in told.values()), "the scanners were not asked"
    for scanner, said in told.items():
        found = [case for case in hostile.cases if said[str(hostile.paths[case.name])]]
        missed = [case for case in found if not hostile.findings(case)]
        assert [case.name for case in missed if not (case.broken and hostile.open_points(case))] == [], scanner


def test_no_unreadable_file_is_reported_as_read(hostile: Scanned) -> None:
    read = {place.path for place in hostile.result.read}
    for case in hostile.cases:
        if case.group == "truncated":
            assert hostile.open_points(case), case.name
            assert str(hostile.paths[case.name]) not in read, case.name


def test_every_file_is_in_a_list(hostile: Scanned, harmless: Scanned) -> None:
    for scanned in (hostile, harmless):
        result = scanned.result
        named = {entry.place.path for entry in result.errors} | {entry.place.path for entry in result.skipped}
        named |= {place.path for place in result.read}
        assert {str(path) for path in scanned.paths.values()} <= named


def test_false_alarms_are_at_most_two_and_only_for_what_is_unknown(harmless: Scanned) -> None:
    alarms = [case for case in harmless.cases if harmless.findings(case)]
    assert [case.name for case in alarms] == ["data-own-class"]
    assert {finding.rule for finding in harmless.findings(alarms[0])} == {"unknown-global"}


def test_benign_files_are_read_to_their_end(harmless: Scanned) -> None:
    read = {place.path for place in harmless.result.read}
    assert [case.name for case in harmless.cases if str(harmless.paths[case.name]) not in read] == []
    assert harmless.result.errors == ()


def test_disagreement_is_shown_never_hidden(harmless: Scanned) -> None:
    pytest.importorskip("fickling")
    case = next(case for case in harmless.cases if case.name == "torch-checkpoint")
    found = harmless.findings(case, Severity.LOW)
    assert [finding.rule for finding in found] == ["second-opinion"]
    assert "fickling: " in found[0].detail
    assert "allowlist" in found[0].title


def test_agreeing_scanners_make_one_finding(hostile: Scanned) -> None:
    pytest.importorskip("fickling")
    case = next(case for case in hostile.cases if case.name == "protocol-4")
    found = hostile.findings(case, Severity.LOW)
    assert [(finding.rule, finding.severity) for finding in found] == [("unsafe-pickle", Severity.CRITICAL)]
    assert found[0].scanner == "threatloop + fickling + modelaudit-picklescan"
    assert found[0].subject in ("posix.system", "nt.system")
