"""Every output says the three lists, holds its schema, and lets no text do anything."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import scan_world
from threatloop.cli.console import console
from threatloop.supply_chain.baseline import Entry
from threatloop.supply_chain.outputs.cyclonedx import as_cyclonedx
from threatloop.supply_chain.outputs.html import as_html
from threatloop.supply_chain.outputs.machine import as_json
from threatloop.supply_chain.outputs.sarif import as_sarif
from threatloop.supply_chain.outputs.terminal import print_scan
from threatloop.supply_chain.outputs.view import View, fails, summary
from threatloop.supply_chain.result import Place, Result, Severity, Skipped
from threatloop.supply_chain.scan import Scan


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    scan_world.repository(tmp_path)
    monkeypatch.chdir(tmp_path / "repo")
    first = scan_world.view_of(Path("."))
    remote = next(one for one in first.findings if one.rule == "unpinned-artefact")
    entry = Entry(
        remote.fingerprint, "behind a mirror", by="ann", state="not_affected", justification="protected_at_perimeter"
    )
    return scan_world.view_of(Path("."), (entry, Entry("9" * 32, "gone")))


def printed(view: View, everything: bool = False) -> str:
    out = console()
    with out.capture() as captured:
        print_scan(out, view, everything)
    return captured.get()


def test_the_terminal_always_prints_three_lists_within_100_columns(view: View) -> None:
    lines = printed(view).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if re.match(r"(Findings|Errors|Skipped|Accepted)\b.*\(\d+\)", line)] == [
        "Findings (1)",
        "Errors (1)",
        f"Skipped, with the reason ({len(view.result.skipped)})",
        "Accepted (2)",
    ]
    text = " ".join(" ".join(lines).split())
    assert "src/broken.py:1" in text
    assert "behind a mirror (ann)" in text
    assert "no finding has this fingerprint any more" in text
    empty = printed(scan_world.seen(Scan(Result())))
    assert [empty.count(name) for name in ("Findings (0)", "Errors (0)", "Skipped, with the reason (0)")] == [1, 1, 1]


def test_the_summary_never_sounds_clean_when_something_was_left_out() -> None:
    nothing = scan_world.seen(Scan(Result(read=(Place("a.py"),))))
    assert summary(nothing) == "No findings in 1 file read and understood."
    skipped = scan_world.seen(Scan(Result(read=(Place("a.py"),), skipped=(Skipped(Place("b.py"), "why"),))))
    assert summary(skipped) == "No findings in 1 file read and understood; not assessed: 1 skipped or not judged."
    assert "nothing to assess" in summary(scan_world.seen(Scan(Result())))


def test_a_file_with_something_skipped_in_it_does_not_count_as_understood() -> None:
    part = Result(read=(Place("a.zip"), Place("a.zip!/x")), skipped=(Skipped(Place("a.zip!/y"), "why"),))
    assert scan_world.seen(Scan(part)).read == 0


def test_long_lists_are_cut_and_say_so() -> None:
    many = Result(tuple(scan_world.finding(subject=str(i)) for i in range(200)))
    cut = printed(scan_world.seen(Scan(many)))
    assert "140 more" in cut
    assert "--all" in cut
    assert printed(scan_world.seen(Scan(many)), everything=True).count("a.py:3") == 200


@pytest.mark.parametrize(
    ("severity", "limit", "strict", "expected"),
    [
        ("high", "high", False, True), ("medium", "high", False, False), ("unknown", "high", False, True),
        ("unknown", "critical", False, False), ("critical", "low", False, True), ("low", None, False, False),
        ("low", None, True, True),
    ],
)  # fmt: skip
def test_builds_fail_by_limit_and_strictness(severity: str, limit: str | None, strict: bool, expected: bool) -> None:
    result = Result((scan_world.finding(severity=Severity(severity)),), skipped=(Skipped(Place("b"), "why"),))
    assert fails(scan_world.seen(Scan(result)), Severity(limit) if limit else None, strict) is expected


def test_json_holds_everything(view: View) -> None:
    content = json.loads(as_json(view))
    assert content["version"] == 1
    assert [len(content[name]) for name in ("findings", "errors", "accepted")] == [1, 1, 2]
    assert len(content["skipped"]) == len(view.result.skipped)
    assert content["findings"][0]["fingerprint"] == view.findings[0].fingerprint
    assert content["baseline"]["stale"][0]["fingerprint"] == "9" * 32
    assert [one["name"] for one in content["dependencies"]] == ["torch"]


def test_sarif_has_what_code_hosting_reads(view: View) -> None:
    log = json.loads(as_sarif(view))
    (run,) = log["runs"]
    assert (log["version"], log["$schema"][-23:]) == ("2.1.0", "sarif-schema-2.1.0.json")
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        (location,) = result["locations"]
        where = location["physicalLocation"]["artifactLocation"]
        assert where["uriBaseId"] in run["originalUriBaseIds"]
        assert not where["uri"].startswith(("/", "file:"))
        assert re.fullmatch("[0-9a-f]{32}", result["partialFingerprints"]["threatloop/v1"])
    assert all(rule["help"]["text"] and rule["defaultConfiguration"]["level"] for rule in rules)
    kinds = [one["kind"] for result in run["results"] for one in result["suppressions"]]
    assert sorted(kinds) == ["external", "inSource"]
    (invocation,) = run["invocations"]
    levels = [note["level"] for note in invocation["toolExecutionNotifications"]]
    assert levels.count("error") == 1
    assert levels.count("warning") == len(view.result.skipped)
    assert invocation["executionSuccessful"] is False


def test_sarif_holds_the_schema(view: View) -> None:
    model = pytest.importorskip("pydantic_sarif.model", reason="pydantic-sarif holds the schema; it is not installed")
    for one in (view, scan_world.nasty_view()):
        log = json.loads(as_sarif(one))
        for result in log["runs"][0]["results"]:
            for suppression in result["suppressions"]:
                # That package was made from a draft in which this was called `state`.
                assert suppression.pop("status") == "accepted"
        model.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate(log)


def bill(view: View) -> dict[str, Any]:
    pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed")
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = as_cyclonedx(view)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content: dict[str, Any] = json.loads(text)
    return content


def test_the_bill_of_materials_has_models_packages_and_states(view: View) -> None:
    content = bill(view)
    kinds = {one["name"]: one for one in content["components"]}
    model = kinds["models/model.safetensors"]
    assert model["type"] == "machine-learning-model"
    assert len(model["hashes"][0]["content"]) == 64
    parameters = model["modelCard"]["modelParameters"]
    assert (parameters["modelArchitecture"], parameters["task"]) == ("LlamaForCausalLM", "text-generation")
    assert parameters["datasets"] == [{"type": "dataset", "name": "org/data"}]
    assert kinds["torch"]["purl"] == "pkg:pypi/torch@2.3.1"
    needs = {one["ref"]: one.get("dependsOn", []) for one in content["dependencies"]}
    assert set(needs["root"]) == {"pkg:pypi/torch@2.3.1", "model:models/model.safetensors"}
    states = {one["id"]: one["analysis"] for one in content["vulnerabilities"]}
    assert states["torch-load"]["state"] == "in_triage"
    assert states["unpinned-artefact"] == {
        "state": "not_affected",
        "justification": "protected_at_perimeter",
        "detail": "behind a mirror; by ann",
    }
    assert (states["pickle-load"]["state"], states["pickle-load"]["response"]) == ("exploitable", ["will_not_fix"])
    assert any(one["name"] == "threatloop:not-assessed" for one in content["properties"])


def test_hostile_texts_make_a_valid_bill() -> None:
    content = bill(scan_world.nasty_view())
    (one,) = content["vulnerabilities"]
    assert "<script>alert(1)</script> [bold]x[/bold]" in one["description"]
    assert [entry["name"] for entry in content["properties"]].count("threatloop:not-assessed") == 2


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]


def test_html_is_one_inert_file(view: View) -> None:
    for text in (as_html(view), as_html(scan_world.nasty_view())):
        seen = _Tags()
        seen.feed(text)
        assert "script" not in seen.tags
        assert not [name for name in seen.tags if name.startswith("on")]
        assert "default-src 'none'" in text
        assert not re.search(r"(src|href)=\"(?!#|data:)", text)
        assert "\u202e" not in text
        assert "\x1b" not in text
    assert all(f'id="{name}"' in as_html(view) for name in ("findings", "errors", "skipped", "accepted"))


def test_hostile_texts_do_nothing_in_a_terminal() -> None:
    text = printed(scan_world.nasty_view())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]x[/bold]" in text
    plain = Console(file=io.StringIO(), width=100)
    print_scan(plain, scan_world.nasty_view())


def test_machine_outputs_of_hostile_texts_are_json() -> None:
    view = scan_world.nasty_view()
    own, sarif = (json.loads(text.encode("utf-8")) for text in (as_json(view), as_sarif(view)))
    assert own["findings"][0]["title"] == scan_world.NASTY
    assert (own["errors"][0]["reason"], own["skipped"][0]["place"]["path"]) == (scan_world.NASTY, "b\udcff.py")
    (run,) = sarif["runs"]
    assert run["results"][0]["message"]["text"].startswith(scan_world.NASTY)
    assert [one["descriptor"]["id"] for one in run["invocations"][0]["toolExecutionNotifications"]] == [
        "not-readable",
        "not-assessed",
    ]
