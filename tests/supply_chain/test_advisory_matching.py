"""Findings of dependencies: aliases merged, upgrades that fix all, what is only possible, and what is not decided."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from manifests import advisories, advisory
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.matching import Matcher
from threatloop.supply_chain.result import Place, Result, Severity
from threatloop.supply_chain.severity import severity_of
from threatloop.threats.advisories import Advisory, AdvisoryProblem, AdvisorySet, Affected, Event, Range

NOW = datetime(2024, 1, 31, tzinfo=UTC)
HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def _match(*found: Advisory, name: str = "torch", line: int = 3, **fields: object) -> Result:
    one = Dependency("PyPI", name, Place("requirements.txt", line), **fields)  # type: ignore[arg-type]
    return Matcher(advisories(*found), NOW).match([one])


def test_ids_of_one_vulnerability_are_one_finding() -> None:
    found = _match(
        advisory("PYSEC-1", "torch", ("0", "2.0"), aliases=("CVE-1",)),
        advisory("GHSA-1", "Torch", ("0", "2.0"), aliases=("CVE-1",), vector=HIGH),
        advisory("GHSA-2", "torch", ("0", "2.1"), vector=CRITICAL),
        version="1.9",
    )
    first, second = found.findings
    assert first.identifiers == ("CVE-1", "GHSA-1", "PYSEC-1")
    assert (first.severity, second.severity) == (Severity.HIGH, Severity.CRITICAL)
    assert first.title == "torch==1.9 has CVE-1: About torch"
    assert first.place == Place("requirements.txt", 3)
    assert "2.1" in first.fix
    assert "Fixed in 2.0." in first.detail
    assert "30 days since the advisory was published (2024-01-01)" in first.detail


def test_chains_of_aliases_are_joined() -> None:
    found = _match(
        advisory("A", "torch", ("0", "2")),
        advisory("B", "torch", ("0", "2")),
        advisory("C", "torch", ("0", "2"), aliases=("A", "B")),
        version="1",
    )
    assert [one.identifiers for one in found.findings] == [("A", "B", "C")]


def test_the_upgrade_is_the_lowest_version_without_any_advisory() -> None:
    late = advisory("LATE", "torch", ("2.0", "2.3"), versions=("2.0", "2.1"))
    assert "upgrade to 2.3," in _match(advisory("A", "torch", ("0", "2.0")), late, version="1.0").findings[0].fix
    early = advisory("A", "torch", ("0", "2.0rc1"), ("2.0", "2.2"))
    assert "upgrade to 2.2," in _match(early, version="1.0").findings[0].fix
    assert "upgrade to 2.0rc1," in _match(early, version="1.0rc1").findings[0].fix
    open_end = advisory("A", "torch", ("0", ""), versions=("1.0", "2.0"))
    assert "no version without an advisory is known" in _match(open_end, version="1.0").findings[0].fix


def test_what_is_withdrawn_or_fixed_is_clean() -> None:
    gone = advisory("GONE", "torch", ("0", ""), withdrawn=NOW)
    assert _match(gone, advisory("A", "torch", ("0", "2.0")), version="2.0") == Result()
    assert _match(gone, specifier=">=1") == Result()


def test_a_range_is_possibly_vulnerable() -> None:
    known = advisory("A", "torch", ("1.0", "2.0"), vector=CRITICAL, versions=("1.0", "1.5"), aliases=("CVE-1",))
    [loose] = _match(known, specifier=">=1.2").findings
    assert (loose.rule, loose.severity) == ("possibly-vulnerable-dependency", Severity.LOW)
    assert loose.identifiers == ("A", "CVE-1")
    assert ">=2.0" in loose.fix
    [tight] = _match(known, specifier=">=1.0,<2").findings
    assert tight.severity is Severity.CRITICAL
    assert _match(known, specifier=">=2.0").findings == ()
    assert [one.severity for one in _match(known).findings] == [Severity.LOW]


def test_a_lock_beside_the_manifest_decides() -> None:
    known = advisories(advisory("A", "torch", ("0", "2.0")))
    loose = Dependency("PyPI", "torch", Place("a/pyproject.toml", 3), specifier=">=1")
    locked = Dependency("PyPI", "Torch", Place("a/poetry.lock", 9), version="2.1")
    elsewhere = Dependency("PyPI", "torch", Place("b/poetry.lock", 9), version="2.1")
    assert Matcher(known, NOW).match([loose, locked]).findings == ()
    assert len(Matcher(known, NOW).match([loose, elsewhere]).findings) == 1


def test_an_exact_version_that_the_range_does_not_admit_decides_nothing() -> None:
    known = advisories(advisory("A", "torch", ("0", "2.0"), versions=("1.0",)))
    loose = Dependency("PyPI", "torch", Place("requirements.txt", 1), specifier="<2")
    other = Dependency("PyPI", "torch", Place("requirements-dev.txt", 1), version="2.6")
    assert [one.place.path for one in Matcher(known, NOW).match([loose, other]).findings] == ["requirements.txt"]


@pytest.mark.parametrize("specifier", ["", "<1.0", ">1.0"])
def test_a_package_that_is_bad_in_every_version_is_found_without_one(specifier: str) -> None:
    [found] = _match(advisory("MAL-1", "torch", ("0", ""), vector=CRITICAL), specifier=specifier).findings
    assert (found.rule, found.severity) == ("possibly-vulnerable-dependency", Severity.CRITICAL)
    assert "999999" not in f"{found.title}{found.detail}{found.fix}"


def test_a_range_without_a_known_version_is_skipped() -> None:
    found = _match(advisory("A", "torch", ("5", "6")), specifier=">1,<2")
    assert [one.reason for one in found.skipped] == [
        "torch>1,<2: it admits no version that an advisory names, so it was compared with none"
    ]


def test_ecosystems_without_advisories_are_not_clean() -> None:
    known = advisories(advisory("A", "torch", ("5", "6")))
    all_ = [Dependency(kind, "lodash", Place("bom.json", 1), version="1.0") for kind in ("npm", "conda", "PyPI")]
    assert [one.reason.split(":")[0] for one in Matcher(known, NOW).match(all_).skipped] == [
        "packages of npm were compared with nothing",
        "conda packages have no advisories by their names on PyPI; other names and languages are unknown (1)",
    ]
    assert len(Matcher(AdvisorySet(()), NOW).match(all_).skipped) == 3


def test_old_advisories_say_how_old_they_are() -> None:
    known = advisories(advisory("A", "torch", ("5", "6")))
    assert not Matcher(known, NOW).problems().skipped
    [found] = Matcher(known, datetime(2026, 1, 1, tzinfo=UTC)).problems().skipped
    assert "731 days" in found.reason


def test_the_advice_for_a_range_does_not_lead_to_a_later_advisory() -> None:
    known = advisory("A", "torch", ("1.0", "1.5"), ("2.0", ""), versions=("1.2", "2.0", "2.1"))
    assert _match(known).findings[0].fix == "lock torch==1.5"


def test_what_is_not_decided_is_skipped() -> None:
    commits = Advisory("GIT", affected=(Affected("PyPI", "torch", (Range("GIT", (Event("introduced", "0"),)),)),))
    for version, specifier, findings in (("1.0", "", 0), ("", ">=1,<5", 0), ("", ">=1", 1)):
        found = _match(commits, advisory("A", "torch", ("5", "6")), version=version, specifier=specifier)
        assert len(found.findings) == findings
        assert "GIT is not decided: it names commits only" in found.skipped[0].reason
    assert "upgrade to 6," in _match(commits, advisory("A", "torch", ("5", "6")), version="5").findings[0].fix
    odd = _match(advisory("A", "torch", ("0", "2")), version="1-of-mine")
    assert len(odd.findings) == 1
    assert "no version in the sense of PEP 440" in odd.skipped[0].reason


def test_conda_packages_are_compared_with_their_projects_on_pypi() -> None:
    one = Dependency("conda", "pytorch", Place("environment.yml", 2), version="1.9.0")
    [found] = Matcher(advisories(advisory("A", "torch", ("0", "2.0"))), NOW).match([one]).findings
    assert found.subject == "pytorch==1.9.0"
    assert "A conda package" in found.detail


def test_the_way_in_and_the_age_are_told() -> None:
    found = _match(
        advisory("A", "torch", ("0", "2.0")),
        version="1.0",
        path=("app", "torch"),
        released=datetime(2023, 1, 31, tzinfo=UTC),
    )
    assert "Comes in by app > torch." in found.findings[0].detail
    assert "365 days old (released 2023-01-31)" in found.findings[0].detail
    undated = Advisory("A", affected=(Affected("PyPI", "torch", (), ("1.0",)),))
    assert "not computed, because the advisory has no date" in _match(undated, version="1.0").findings[0].detail
    [future] = Matcher(advisories(advisory("A", "torch", ("0", "2"))), datetime(2023, 1, 1, tzinfo=UTC)).match(
        [Dependency("PyPI", "torch", Place("r"), version="1")]
    ).findings  # fmt: skip
    assert "after the day of this scan" in future.detail


def test_problems_of_the_advisories_are_errors() -> None:
    found = Matcher(AdvisorySet((), (AdvisoryProblem("a.yaml", "broken"),)), NOW).problems()
    assert [(one.place.path, one.reason) for one in found.errors] == [("a.yaml", "broken")]


@pytest.mark.parametrize(
    ("vectors", "rating", "severity"),
    [
        ((("CVSS_V3", CRITICAL),), "", Severity.CRITICAL),
        ((("CVSS_V2", "AV:N/AC:L/Au:N/C:P/I:P/A:P"),), "", Severity.HIGH),
        ((("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"),), "", Severity.CRITICAL),
        (
            (("CVSS_V3", CRITICAL), ("CVSS_V4", "CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N")),
            "",
            Severity.LOW,
        ),
        ((("CVSS_V3", "CVSS:3.1/rubbish"),), "", Severity.UNKNOWN),
        ((("CVSS_V3", "CVSS:3.1/rubbish"),), "moderate", Severity.MEDIUM),
        ((("Ubuntu", "high"),), "", Severity.UNKNOWN),
        ((), "HIGH".lower(), Severity.HIGH),
        ((), "", Severity.UNKNOWN),
    ],
)
def test_severity(vectors: tuple[tuple[str, str], ...], rating: str, severity: Severity) -> None:
    found, reason = severity_of(Advisory("A", severity=vectors, rating=rating), Affected("PyPI", "x"))
    assert found is severity
    assert reason
